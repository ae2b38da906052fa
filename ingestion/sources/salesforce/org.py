"""The org: its requests, their count, and its clock."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from crmhouse.errors import QuotaExhaustedError, SourceRefusedError, SourceUnavailableError
from ingestion.http import Api, Credentials, Patience, Rule
from ingestion.sources.salesforce.answers import (
    ApiError,
    Deleted,
    Description,
    Job,
    Page,
    judge,
)
from ingestion.sources.salesforce.described import Described, described

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from ingestion.http import Verdict
    from ingestion.sources.salesforce.options import SalesforceOptions

# An org lets 25 long requests run at once, whoever makes them.
_LIMITS = {"default": Rule(per_second=25, burst=25, at_once=10)}
_USAGE = re.compile(r"(?:^|;)\s*api-usage=(\d+)/(\d+)")
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.5, 15.0, 1.5
# mypy takes no union for the type that an answer is to have.
_JOB: Any = Job | list[ApiError]
_DELETED: Any = Deleted | list[ApiError]
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
    """

    used: int | None = None
    allowed: int = 0
    ahead: timedelta = timedelta()
    objects: dict[str, Described] = field(default_factory=dict)

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
            self._require_requests()
            try:
                told = self.api.json("GET", self._path(f"sobjects/{object_}/describe"), Description)
            except SourceRefusedError as error:
                raise SourceRefusedError(f"Object {object_}: {error}") from None
            if not told.queryable:
                raise SourceRefusedError(
                    f"{self.place}: {object_} cannot be queried. Leave it out of objects."
                )
            self.known.objects[object_] = described(told)
        return self.known.objects[object_]

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

    def results(self, job: str, locator: str | None, file: BinaryIO) -> Results | None:
        """Write a page of a job's results into a file; None where the job has no results any more.

        Args:
            job: its id.
            locator: where the page begins; the start when None.
            file: an empty one.
        """
        self._require_requests()
        asked = {"maxRecords": str(self.options.page_rows)}
        if locator:
            asked["locator"] = locator
        path = self._path(f"jobs/query/{job}/results")
        told = self.api.download(path, file, params=asked, headers={"Accept": "text/csv"})
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
