"""The org: its requests, their count, and its clock."""

from __future__ import annotations

import logging
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import msgspec

from crmhouse.errors import QuotaExhaustedError, SourceRefusedError, SourceUnavailableError
from ingestion.http import Api, Credentials, Patience, Rule
from ingestion.sources.salesforce.answers import (
    ApiError,
    Counts,
    Deleted,
    Description,
    Job,
    Page,
    Parts,
    ResultPages,
    judge,
)
from ingestion.sources.salesforce.described import Described, described

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from ingestion.http import Verdict
    from ingestion.sources.salesforce.options import SalesforceOptions

logger = logging.getLogger(__name__)

# An org lets 25 long requests run at once, whoever makes them.
_LIMITS = {"default": Rule(per_second=25, burst=25, at_once=10)}
_USAGE = re.compile(r"(?:^|;)\s*api-usage=(\d+)/(\d+)")
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.5, 15.0, 1.5
# mypy takes no union for the type that an answer is to have.
_JOB: Any = Job | list[ApiError]
_DELETED: Any = Deleted | list[ApiError]
_RESULT_PAGES: Any = ResultPages | list[ApiError]
_PARTS = 25  # requests that may be sent as one
_ENDED = frozenset({"JobComplete", "Failed", "Aborted"})


class Results(NamedTuple):
    """A page of a job's results.

    Attributes:
        rows: how many the org says are in it.
        following: where the next page begins; None for the last one.
    """

    rows: int
    following: str | None


@dataclass
class Known:
    """What one process knows of an org, from all its answers.

    Attributes:
        used: requests of the last 24 hours; None before the first answer.
        allowed: so many are allowed.
        ahead: how far the org's clock is ahead of ours.
        objects: those that were described.
        asked_for: those that were asked for together with others.
        counts: how many records objects have; None before it was asked for.
    """

    used: int | None = None
    allowed: int = 0
    ahead: timedelta = timedelta()
    objects: dict[str, Described] = field(default_factory=dict)
    asked_for: set[str] = field(default_factory=set)
    counts: dict[str, int] | None = None

    def note(self, response: httpx.Response) -> None:
        """Take from an answer what it tells beside the point."""
        if usage := _USAGE.search(response.headers.get("Sforce-Limit-Info", "")):
            self.used, self.allowed = int(usage[1]), int(usage[2])
        try:
            when = parsedate_to_datetime(response.headers["Date"])
        except (KeyError, ValueError):
            return
        self.ahead = when - datetime.now(UTC)


@dataclass(frozen=True)
class Org:
    """An org, while connections to it are open.

    Attributes:
        place: source, for messages.
        options: as configured.
        api: how it is asked.
        known: what it has told.
    """

    place: str
    options: SalesforceOptions
    api: Api
    known: Known

    @property
    def now(self) -> datetime:
        """Return the time of the org, which is what its records have."""
        return datetime.now(UTC) + self.known.ahead

    def log_in(self) -> None:
        """Get a session, which other requests would do.

        Raises:
            SourceRefusedError: the org does not let us in.
        """
        if self.api.credentials:
            self.api.credentials.headers()

    def describe(self, object_: str) -> Described:
        """Return what is read of an object.

        Raises:
            SourceRefusedError: there is no such object, or it is not for queries.
        """
        if object_ not in self.known.objects:
            self._describe_together(object_)
        if object_ not in self.known.objects:
            self._require_requests()
            try:
                told = self.api.json("GET", self._describe(object_), Description)
            except SourceRefusedError as error:
                raise SourceRefusedError(f"Object {object_}: {error}") from None
            if not told.queryable:
                raise SourceRefusedError(
                    f"{self.place}: {object_} cannot be queried. Leave it out of objects."
                )
            self.known.objects[object_] = described(told)
        return self.known.objects[object_]

    def _describe_together(self, object_: str) -> None:
        """Ask for this object and for others that are to be read, all by one request.

        Those that cannot be described are left out: asked for alone, the org says why.
        """
        known = self.known
        others = [name for name in self.options.objects if name not in known.asked_for]
        asked = [*dict.fromkeys([object_, *others])][:_PARTS]
        if object_ in known.asked_for or len(asked) == 1:
            return
        known.asked_for.update(asked)
        parts = [
            {"method": "GET", "url": f"/{self._describe(name)}", "referenceId": f"object{number}"}
            for number, name in enumerate(asked)
        ]
        self._require_requests()
        try:
            told = self.api.json(
                "POST", self._path("composite"), Parts,
                json={"allOrNone": False, "compositeRequest": parts},
            )  # fmt: skip
        except SourceRefusedError as error:
            logger.info("%s; objects are described one by one", error)
            return
        for name, part in zip(asked, told.compositeResponse, strict=False):
            if part.httpStatusCode == HTTPStatus.OK:
                description = msgspec.json.decode(part.body, type=Description)
                if description.name == name and description.queryable:
                    known.objects[name] = described(description)

    def is_small(self, object_: str) -> bool:
        """Say whether an object has so few records that Bulk is not worth it, as far as is known.

        The org counts them now and then, and does not count deleted ones.
        """
        counts = self.known.counts
        if not self.options.bulk_from_rows:
            return False
        if counts is None:
            self._require_requests()
            names = ",".join(self.options.objects)
            try:
                told = self.api.json(
                    "GET", self._path("limits/recordCount"), Counts, params={"sObjects": names}
                )
            except SourceRefusedError as error:
                logger.info("%s; first loads are made by Bulk", error)
                told = Counts([])
            counts = self.known.counts = {one.name: one.count for one in told.sObjects}
        return object_ in counts and counts[object_] <= self.options.bulk_from_rows

    def query(self, soql: str) -> Page:
        """Return the first page of a query, deleted records among its records."""
        self._require_requests()
        return self.api.json("GET", self._path("queryAll"), Page, params={"q": soql})

    def more(self, url: str) -> Page:
        """Return a further page of a query."""
        self._require_requests()
        return self.api.json("GET", url, Page)

    def create_job(self, soql: str) -> Job | None:
        """Create a query job, deleted records among its results; None where Bulk refuses."""
        self._require_requests()
        asked = {"operation": "queryAll", "query": soql, "contentType": "CSV",
                 "columnDelimiter": "COMMA", "lineEnding": "LF"}  # fmt: skip
        made: Job | list[ApiError] = self.api.json(
            "POST", self._path("jobs/query"), _JOB, json=asked
        )
        return made if isinstance(made, Job) else None

    def wait(self, job: str) -> Job | None:
        """Return a job that has ended, well or not; None where there is none any more.

        Raises:
            SourceUnavailableError: it has not ended in the time that the options give it.
        """
        pause, end = _FIRST_PAUSE, time.monotonic() + self.options.job_minutes * 60
        while True:
            self._require_requests()
            path = self._path(f"jobs/query/{job}")
            told: Job | list[ApiError] = self.api.json("GET", path, _JOB)
            if isinstance(told, list):
                return None
            if told.state in _ENDED:
                return told
            if time.monotonic() + pause > end:
                minutes = f"{self.options.job_minutes:g} minutes"
                raise SourceUnavailableError(
                    f"{self.place}: the Bulk job {job} has not ended in {minutes}; it is "
                    f"{told.state}. What has landed stays; sync again."
                )
            time.sleep(pause)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)

    def result_pages(self, job: str, url: str | None) -> ResultPages | None:
        """Return addresses of pages of a job's results; None where it has none any more.

        Args:
            job: its id.
            url: of the further addresses; None for the first ones.
        """
        self._require_requests()
        told: ResultPages | list[ApiError] = self.api.json(
            "GET", url or self._path(f"jobs/query/{job}/resultPages"), _RESULT_PAGES
        )
        return told if isinstance(told, ResultPages) else None

    def results(
        self, job: str, locator: str | None, file: BinaryIO, *, url: str | None = None
    ) -> Results | None:
        """Write a page of a job's results into a file; None where the job has no results any more.

        Args:
            job: its id.
            locator: where the page begins; the start when None.
            file: an empty one.
            url: that of the page, where the org has named it.
        """
        self._require_requests()
        accept = {"Accept": "text/csv"}
        if url:
            told = self.api.download(url, file, headers=accept)
        else:
            asked = {"maxRecords": str(self.options.page_rows)}
            if locator:
                asked["locator"] = locator
            path = self._path(f"jobs/query/{job}/results")
            told = self.api.download(path, file, params=asked, headers=accept)
        rows = told.get("Sforce-NumberOfRecords")
        if rows is None:
            return None
        following = told.get("Sforce-Locator", "null")
        return Results(int(rows), None if following in {"null", ""} else following)

    def deleted(self, object_: str, start: datetime, end: datetime) -> Deleted | None:
        """Return the records that were deleted; None where they are too many for one answer."""
        self._require_requests()
        told: Deleted | list[ApiError] = self.api.json(
            "GET",
            self._path(f"sobjects/{object_}/deleted/"),
            _DELETED,
            params={
                "start": start.isoformat(timespec="seconds"),
                "end": end.isoformat(timespec="seconds"),
            },
        )
        return told if isinstance(told, Deleted) else None

    def _require_requests(self) -> None:
        """Leave others the requests that are theirs.

        Raises:
            QuotaExhaustedError: so few are left.
        """
        used, allowed = self.known.used, self.known.allowed
        if used is None or allowed - used > self.options.request_reserve * allowed:
            return
        raise QuotaExhaustedError(
            f"{self.place}: {used} of the org's {allowed} requests of 24 hours are used up, and "
            f"request_reserve leaves {self.options.request_reserve:.0%} of them to others. What "
            "has landed stays; the next sync goes on from there."
        )

    def _describe(self, object_: str) -> str:
        return self._path(f"sobjects/{object_}/describe")

    def _path(self, path: str) -> str:
        return f"services/data/v{self.options.api_version}/{path}"


@contextmanager
def opened(
    place: str,
    options: SalesforceOptions,
    credentials: Credentials,
    known: Known,
    patience: Patience,
) -> Iterator[Org]:
    """Open connections to an org until the end of the block."""

    def noting(response: httpx.Response) -> Verdict:
        known.note(response)
        return judge(response)

    with Api(
        place,
        options.url,
        credentials,
        noting,
        _LIMITS,
        account=f"{options.url} {options.client_id}",
        patience=patience,
    ) as api:
        yield Org(place, options, api, known)
