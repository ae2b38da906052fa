"""Reading an object: its first load and its changes, what was deleted, and all of it anew.

Checkpoints of a stream, by slice:

    bulk        a Bulk job whose results have landed up to a locator; empty where there is none
    bulk 00001  a page of it that has landed; empty when all have
    changes     up to when changes have landed
    refresh     when all records were read last, and which fields they had
    deletions   when all ids were read last
    feed        up to when the feed of deleted records has landed
"""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from crmhouse.errors import SourceUnavailableError
from ingestion.slices import Slice
from ingestion.sources.salesforce.pages import pages
from ingestion.sources.salesforce.queries import JOBS, Queries, Whole, fits_url
from ingestion.sources.salesforce.rows import of_feed
from ingestion.sources.schedule import is_due, read_now, window_name

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from ingestion.batches import Batch
    from ingestion.sources.salesforce.answers import Job
    from ingestion.sources.salesforce.described import Described
    from ingestion.sources.salesforce.org import Org

    Landed = Mapping[str, Mapping[str, Any]]

logger = logging.getLogger(__name__)

BULK, CHANGES, REFRESH, DELETIONS, FEED = "bulk", "changes", "refresh", "deletions", "feed"
_FEED_GOES_BACK = timedelta(days=15) - timedelta(hours=1)
_SHORTEST_FEED = timedelta(minutes=2)  # the feed ignores seconds


@dataclass(frozen=True)
class Reader:
    """Reads one object.

    Attributes:
        queries: ask for its records.
    """

    queries: Queries

    @property
    def org(self) -> Org:
        """Return where the records come from."""
        return self.queries.org

    @property
    def object(self) -> Described:
        """Return what describe tells of the object."""
        return self.queries.object

    def slices(self, landed: Landed) -> Generator[Slice]:
        """Yield what is to be landed, in order."""
        if self.object.cursor is None:
            yield from self.everything()
            return
        plan, changes = landed.get(BULK), landed.get(CHANGES)
        if plan:
            yield from self._by_bulk(plan, dict(plan))
        elif not changes:
            yield from self._of_window(None, self._until, is_small=self._is_small)
        elif self._is_refresh_due(landed.get(REFRESH, {})):
            yield from self.everything()
        else:
            yield from self._changes(changes)
            yield from self._deletions(landed)

    def everything(self) -> Generator[Slice]:
        """Yield one slice with all records."""
        until = self._until
        whole = self.queries.whole(self.object.soql(), self.object.types)
        checkpoint = {**read_now(), "fields": sorted(self.object.types)}
        also = {
            BULK: {}, DELETIONS: read_now(), FEED: {"covered": until.isoformat()},
            **({CHANGES: {"cursor": until.isoformat()}} if self.object.cursor else {}),
        }  # fmt: skip
        yield Slice(
            REFRESH, whole.read, lambda: checkpoint, reported=whole.rows, holds="all",
            types=self.object.types, also=lambda: also,
        )  # fmt: skip

    def window(self, start: datetime, end: datetime) -> Generator[Slice]:
        """Yield the slice of the records that changed in `start` <= time < `end`."""
        whole = self.queries.whole(self.object.soql(start, end), self.object.types)
        yield Slice(
            window_name(start, end), whole.read, lambda: {"landed": True},
            reported=whole.rows, types=self.object.types, window=(start, end),
        )  # fmt: skip

    @property
    def _until(self) -> datetime:
        """Return up to when changes are read: later ones may not all be seen yet."""
        return self.org.now - timedelta(seconds=self.org.options.safety_seconds)

    def _is_refresh_due(self, last: Mapping[str, Any]) -> bool:
        """Say whether all records are to be read: for a field that is new, or for formulas."""
        if set(self.object.types) - set(last.get("fields", ())):
            return True
        hours = self.org.options.formulas_every_hours
        return bool(self.object.calculated) and is_due(last, hours)

    def _changes(self, changes: Mapping[str, Any]) -> Generator[Slice]:
        """Yield what has changed: by REST where that is little."""
        until = self._until
        lookback = timedelta(seconds=self.org.options.lookback_seconds)
        since = datetime.fromisoformat(changes["cursor"]) - lookback
        if since >= until:
            return
        yield from self._of_window(since, until, is_small=True)

    @property
    def _is_small(self) -> bool:
        return self.org.is_small(self.object.stream.object)

    def _of_window(
        self, since: datetime | None, until: datetime, *, is_small: bool
    ) -> Generator[Slice]:
        """Yield the records of a span of time: by REST where it has few, by Bulk otherwise.

        Args:
            since: from the beginning when None.
            until: its end.
            is_small: whether REST is to be asked how many there are.
        """
        plan = {"cursor": until.isoformat(), "since": since.isoformat() if since else None}
        soql = self.object.soql(since, until)
        if is_small and fits_url(soql):
            page = self.org.query(soql)
            if page.totalSize <= self.org.options.bulk_from_rows:
                yield self._last(plan, self.queries.of_rest(soql, page, self.object.types))
                return
        yield from self._by_bulk(plan)

    def _by_bulk(
        self, asked: Mapping[str, Any], plan: Mapping[str, Any] | None = None
    ) -> Generator[Slice]:
        """Yield the results of a job, page by page; the job is made anew where it fails.

        Args:
            asked: `since` and `cursor`, the bounds of what is read.
            plan: that of a job which was begun before.
        """
        since = datetime.fromisoformat(asked["since"]) if asked["since"] else None
        soql = self.object.soql(since, datetime.fromisoformat(asked["cursor"]))
        why = ""
        for _ in range(JOBS):
            if plan is None:
                made = self.org.create_job(soql)
                if made is None:
                    logger.info("%s: Bulk refuses it, so REST is asked", self.queries.place)
                    page = self.org.query(self.queries.short_enough(soql))
                    yield self._last(asked, self.queries.of_rest(soql, page, self.object.types))
                    return
                plan = {
                    "cursor": asked["cursor"], "since": asked["since"], "job": made.id,
                    "locator": None, "rows": 0, "pages": 0, "fields": sorted(self.object.types),
                }  # fmt: skip
                yield _note(plan)
            job = self.org.wait(plan["job"])
            if job and job.state == "JobComplete":
                yield from self._pages(plan, job)
                return
            why = f"{job.state} ({job.why})" if job else "gone"
            logger.info("%s: the Bulk job %s is %s", self.queries.place, plan["job"], why)
            plan = None
        yield _note({})
        raise self.queries.failed(why)

    def _pages(self, plan: Mapping[str, Any], job: Job) -> Generator[Slice]:
        """Yield a slice for each page that has not landed. Only the last one moves the cursor."""
        with closing(pages(self.org, job, plan["locator"])) as found:
            for page in found:
                plan = {
                    **plan, "locator": page.following, "rows": plan["rows"] + page.rows,
                    "pages": plan["pages"] + 1,
                }  # fmt: skip
                whole = Whole(page.rows, self.queries.reading(page.file, self.object.types))
                if page.following is None:
                    if plan["rows"] != job.numberRecordsProcessed:
                        yield _note({})
                        raise self.queries.incomplete(job, plan["rows"])
                    yield self._last(plan, whole)
                    return
                yield self._page(plan, whole)
        yield _note({})
        raise SourceUnavailableError(
            f"{self.queries.place}: the results of the Bulk job {job.id} are gone. What has landed "
            "stays; the next sync asks for all of them again."
        )

    def _page(self, plan: Mapping[str, Any], whole: Whole) -> Slice:
        """Return the slice of a page that others follow; with it lands where the next begins."""
        return Slice(
            _page_name(plan["pages"]),
            whole.read,
            lambda: {"landed": True},
            reported=whole.rows,
            types=self.object.types,
            is_first=plan["since"] is None,
            also=lambda: {BULK: plan},
        )

    def _last(self, plan: Mapping[str, Any], whole: Whole) -> Slice:
        """Return the slice after which all that was asked for has landed."""
        also: dict[str, Mapping[str, Any]] = {BULK: {}}
        if plan["since"] is None:
            fields = plan.get("fields", sorted(self.object.types))
            also[REFRESH] = {**read_now(), "fields": fields}
            also[DELETIONS] = read_now()
            also[FEED] = {"covered": plan["cursor"]}
        return Slice(
            CHANGES,
            whole.read,
            lambda: {"cursor": plan["cursor"]},
            reported=whole.rows,
            types=self.object.types,
            is_first=plan["since"] is None,
            overtakes=[_page_name(number) for number in range(1, plan.get("pages", 0))],
            also=lambda: also,
        )

    def _deletions(self, landed: Landed) -> Generator[Slice]:
        """Yield the feed of deleted records, and now and then all ids."""
        is_too_much = False
        if self.object.has_feed:
            covered = datetime.fromisoformat(
                landed.get(FEED, {}).get("covered") or landed[CHANGES]["cursor"]
            )
            now = self.org.now
            start = max(
                covered - timedelta(seconds=self.org.options.lookback_seconds),
                now - _FEED_GOES_BACK,
            )
            told = None
            if now - start >= _SHORTEST_FEED:
                told = self.org.deleted(self.object.stream.object, start, now)
                is_too_much = told is None
            if told and told.deletedRecords:
                covered_now = told.latestDateCovered
                yield Slice(
                    FEED,
                    _once(of_feed(told.deletedRecords, str(self.object.cursor))),
                    lambda: {"covered": covered_now},
                    reported=len(told.deletedRecords),
                )
        hours = self.org.options.sweep_every_hours
        if is_too_much or is_due(landed.get(DELETIONS), hours):
            yield self._sweep()

    def _sweep(self) -> Slice:
        read = read_now()
        ids = {"Id": self.object.types["Id"]}
        whole = self.queries.whole(self.object.soql(only_ids=True), ids)

        def keys() -> Iterator[Batch]:
            return (replace(batch, whole=False) for batch in whole.read())

        return Slice(DELETIONS, keys, lambda: read, reported=whole.rows, holds="keys")


def _note(plan: Mapping[str, Any]) -> Slice:
    """Return a slice that lands no more than its checkpoint."""
    return Slice(BULK, lambda: iter(()), lambda: plan)


def _page_name(number: int) -> str:
    """Return a name of its own: each slice leaves a record of what it did in a run."""
    return f"{BULK} {number:05d}"


def _once(batch: Batch) -> Callable[[], Iterator[Batch]]:
    return lambda: iter((batch,))
