"""Reads one stream: the first load, what has changed since, and everything anew.

Checkpoints of a stream, by slice:

    load      where the first load is in the list, until it is done; and what `changes` begins with
    changes   up to when events were read, the newest of them, and when all objects were read last
    pass      where all objects are being read again, and what `changes` begins with then, or empty
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingestion.readers.json_lines import batches_of
from ingestion.slices import Slice, Span
from ingestion.sources.schedule import window_name
from ingestion.sources.stripe.account import PAGE_RECORDS, Mark, tombstone
from ingestion.sources.stripe.feed import HORIZON_SECONDS, PATH, kinds, remembered
from ingestion.sources.stripe.spans import Seconds

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from ingestion.batches import Batch
    from ingestion.sources.stripe.account import Account
    from ingestion.sources.stripe.feed import Changed, Events, Feed
    from ingestion.sources.stripe.options import StripeOptions
    from ingestion.sources.stripe.resources import Resource
    from ingestion.streams import Stream

logger = logging.getLogger(__name__)

LOAD, CHANGES, PASS = "load", "changes", "pass"
_DAY = 24 * 3600
# An event that is about to expire may be gone between two requests.
_SAFE_HORIZON = HORIZON_SECONDS - 3600


@dataclass
class _Read:
    """How far a slice was read."""

    records: int = 0
    last: Mark | None = None
    is_done: bool = False


@dataclass(frozen=True)
class Reader:
    """Reads the objects of one stream.

    Attributes:
        account: whose.
        stream: the declaration.
        resource: where its objects are.
        options: as configured.
        batch_rows: records in memory at once, and of a slice of the first load.
        feed: the events, which streams share.
    """

    account: Account
    stream: Stream
    resource: Resource
    options: StripeOptions
    batch_rows: int
    feed: Feed

    def slices(self, landed: Mapping[str, Mapping[str, Any]]) -> Generator[Slice]:
        """Yield what is to be landed; see `Connector.slices`."""
        if not landed.get(CHANGES):
            yield from self._load(landed)
        state = landed.get(CHANGES) or landed[LOAD][CHANGES]
        if landed.get(PASS) or self._is_due(state):
            yield from self._pass(landed)
        elif not self.resource.events:
            yield self._recent(state)
        else:
            yield from self._changes(state, landed)

    def everything(self) -> Generator[Slice]:
        """Yield one slice with all objects; what changes while they are read, events tell later."""
        state, read = self._beginning(), _Read()

        def pages() -> Iterator[bytes]:
            read.records = 0
            for page in self.account.pages(self.resource.path, self.resource.query):
                read.records += len(page)
                yield from (self.account.whole(found.text) for found in page)

        yield Slice(
            CHANGES,
            lambda: self._batches(pages()),
            lambda: {**state, "records": read.records},
            holds="all",
            also=lambda: {PASS: {}},
        )

    def created(self, start: datetime, end: datetime) -> Generator[Slice]:
        """Yield the slice of the objects that were created in `start` <= time < `end`."""
        window = {
            "created[gte]": _second_from(start),
            "created[lt]": _second_from(end),
        }
        name = window_name(start, end)
        yield Slice(
            name,
            lambda: self._batches(self._listed(window)),
            lambda: {"landed": True},
            window=(start, end),
        )

    def touch(self) -> None:
        """Ask for what a sync asks for, as little as can be."""
        self.account.newest(self.resource.path, self.resource.query)
        if self.resource.events:
            self.account.newest(PATH, kinds(self.resource))

    def _load(self, landed: Mapping[str, Mapping[str, Any]]) -> Generator[Slice]:
        """Yield the slices of the first load that have not landed."""
        while not (plan := landed.get(LOAD) or {}).get("is_done"):
            plan = plan or {CHANGES: self._beginning(), "after": None, "records": 0}
            yield self._part(plan)

    def _part(self, plan: Mapping[str, Any]) -> Slice:
        """Make the slice of the first load that goes on where the last one ended."""
        read = _Read()
        after = Mark(*plan["after"]) if plan["after"] else None

        def texts() -> Iterator[bytes]:
            read.records, read.last, read.is_done = 0, after, False
            for page in self.account.pages(self.resource.path, self.resource.query, after):
                yield from (self.account.whole(found.text) for found in page)
                read.records += len(page)
                read.last = page[-1].mark if page else read.last
                if read.records >= self.batch_rows:
                    return
            read.is_done = True

        def checkpoint() -> Mapping[str, Any]:
            records = plan["records"] + read.records
            changes = {**plan[CHANGES], "records": records}
            return {
                CHANGES: changes, "after": read.last, "records": records, "is_done": read.is_done,
            }  # fmt: skip

        return Slice(LOAD, lambda: self._batches(texts()), checkpoint)

    def _pass(self, landed: Mapping[str, Mapping[str, Any]]) -> Generator[Slice]:
        """Yield slices with all objects, by the second of their creation, from the newest down.

        Each says of its seconds which objects are gone, so one that has landed is not read again.
        """
        plan, is_done = landed.get(PASS) or {}, False
        if not plan or plan[CHANGES]["until"] < time.time() - _SAFE_HORIZON:
            plan = {CHANGES: self._beginning(), "high": None, "records": 0}
        while not is_done:
            span = Seconds(self.account, self.resource, plan["high"], self.batch_rows)
            yield self._span(plan, span)
            plan, is_done = landed[PASS], span.low is None

    def _span(self, plan: Mapping[str, Any], span: Seconds) -> Slice:
        """Make the slice of a pass that goes on where the last one ended."""
        before = plan["records"]

        def checkpoint() -> Mapping[str, Any]:
            if span.low is None:
                return {}
            return {**plan, "high": span.low, "records": before + span.records}

        def also() -> Mapping[str, Mapping[str, Any]]:
            changes = {**plan[CHANGES], "records": before + span.records}
            return {CHANGES: changes} if span.low is None else {}

        return Slice(
            PASS, lambda: self._batches(span.texts()), checkpoint, holds="all", also=also,
            span=lambda: Span("created", span.low, span.high, before),
        )  # fmt: skip

    def _beginning(self) -> dict[str, Any]:
        """Return from when on events are to be read, before any object is."""
        now, newest = int(time.time()), None
        if self.resource.events:
            now, newest = self.feed.beginning(self.account)
        return {"until": now, "last": newest, "seen": [], "passed_at": now, "records": 0}

    def _is_due(self, state: Mapping[str, Any]) -> bool:
        """Say whether all objects are to be read again, and why in the log."""
        now, days = time.time(), self.options.full_pass_every_days
        if self.resource.events and state["until"] < now - _SAFE_HORIZON:
            self._tell_gap("the last sync is longer ago than Stripe keeps events")
            return True
        return days is not None and state["passed_at"] + days * _DAY <= now

    def _tell_gap(self, why: str) -> None:
        logger.warning(
            "%s.%s: %s, so changes may be missing. All objects are read again.",
            self.account.api.place, self.stream.name, why,
        )  # fmt: skip

    def _recent(self, state: Mapping[str, Any]) -> Slice:
        """Make the slice of the objects that may have changed without an event."""
        now = int(time.time())
        window = {"created[gte]": state["until"] - self.options.reread_days * _DAY}
        return Slice(
            CHANGES,
            lambda: self._batches(self._listed(window)),
            lambda: {**state, "until": now},
        )

    def _changes(
        self, state: Mapping[str, Any], landed: Mapping[str, Mapping[str, Any]]
    ) -> Generator[Slice]:
        """Yield a slice for each day of events."""
        is_end = False
        while not is_end:
            began, last = time.time(), _kept(state["last"])
            until = state["until"] + _DAY
            is_end = until >= began
            since = state["until"] - self.options.lookback
            found = self.feed.events(
                self.account,
                self.resource,
                min(since, last.created) if last else since,
                None if is_end else until,
                frozenset(state["seen"]),
            )
            if last and last not in found.marks:
                self._tell_gap("the newest event of the last sync is gone")
                yield from self._pass(landed)
                return
            state = self._state(state, found)
            yield self._changed(found, since, state)

    def _state(self, state: Mapping[str, Any], found: Events) -> dict[str, Any]:
        newest = max(found.marks, key=lambda mark: mark.created, default=state["last"])
        since = found.until - self.options.lookback
        if newest:
            since = min(since, Mark(*newest).created)
        seen = remembered(found.told, since)
        return {**state, "until": found.until, "last": newest, "seen": seen}

    def _changed(self, found: Events, since: int, state: Mapping[str, Any]) -> Slice:
        """Make the slice of the objects that events tell of, as they are now."""

        def texts() -> Iterator[bytes]:
            if self.resource.may_come_silently:
                yield from self._listed({"created[gte]": since})
            yield from self._reread(found.changed, state["records"])

        return Slice(CHANGES, lambda: self._batches(texts()), lambda: state)

    def _reread(self, changed: Mapping[str, Changed], records: int) -> Iterator[bytes]:
        """Read objects again: many from lists, the others by their ids.

        Args:
            changed: the objects.
            records: how many there were when all were read last.
        """
        left = dict.fromkeys(changed)
        new = [one.created for one in changed.values() if one.is_new and one.created]
        if len(new) > 1:
            window = {"created[gte]": min(new), "created[lte]": max(new)}
            yield from self._listed(window, left, len(new))
        if len(left) > max(1, records / PAGE_RECORDS):
            yield from self._listed({}, left, len(left))
        for id_, text in self.account.objects(self.resource, left):
            last = changed[id_].last
            if text is not None:
                yield text
            elif last is not None:  # else an event of its own tells that it is gone
                yield tombstone(last)

    def _listed(
        self,
        window: Mapping[str, Any],
        wanted: dict[str, None] | None = None,
        most_pages: int | None = None,
    ) -> Iterator[bytes]:
        """Read a list; where objects are wanted, until none is left or it would take too long."""
        pages = self.account.pages(self.resource.path, {**self.resource.query, **window})
        for number, page in enumerate(pages, start=1):
            for mark, text in page:
                if wanted is not None:
                    wanted.pop(mark.id, None)
                yield self.account.whole(text)
            if wanted is not None and (not wanted or number == most_pages):
                return

    def _batches(self, texts: Iterable[bytes]) -> Iterator[Batch]:
        return batches_of(texts, self.stream, self.batch_rows, "object")


def _kept(newest: Sequence[Any] | None) -> Mark | None:
    """Return the newest event of a sync; None where it may be gone by now, which says nothing."""
    mark = Mark(*newest) if newest else None
    return mark if mark and mark.created >= time.time() - _SAFE_HORIZON else None


def _second_from(when: datetime) -> int:
    """Return the first whole second that is not before a time."""
    return -int(-when.timestamp() // 1)
