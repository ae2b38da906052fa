"""Bulk API 2.0: query jobs, their states, and their results page by page."""

from __future__ import annotations

import base64
import gzip
import itertools
import threading
from array import array
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from simulators.salesforce.answers import Refusal, not_found
from simulators.salesforce.fields import SYSTEM
from simulators.salesforce.values import csv_line, csv_value, has_compound, moment

if TYPE_CHECKING:
    from simulators.salesforce.org import Org

_DELIMITERS = {
    "COMMA": ",", "TAB": "\t", "PIPE": "|", "CARET": "^", "SEMICOLON": ";", "BACKQUOTE": "`",
}  # fmt: skip
_LINE_ENDS = {"LF": "\n", "CRLF": "\r\n"}
_PAGES_AT_ONCE = 5
_MOMENT = 5  # seconds
_FAULTS = {"job_slow": "InProgress", "job_failed": "Failed", "job_aborted": "Aborted"}


@dataclass
class Job:
    """A query job.

    Attributes:
        body: what is told of it.
        header: the first line of its results.
        lines: the others.
        starts: where each of these begins, and at last where they end.
        work: collects the results.
    """

    body: dict[str, Any]
    header: bytes
    lines: bytearray = field(default_factory=bytearray)
    starts: array[int] = field(default_factory=lambda: array("Q", [0]))
    work: threading.Thread = field(default_factory=threading.Thread)

    @property
    def is_at_work(self) -> bool:
        """Say whether results are still to come, after a moment in which most jobs end."""
        self.work.join(_MOMENT)
        return self.work.is_alive()

    @property
    def rows(self) -> int:
        """Return the number of its results."""
        return len(self.starts) - 1

    def add(self, line: bytes) -> None:
        """Put another line to the results."""
        self.lines += line
        self.starts.append(len(self.lines))

    def page(self, first: int, end: int) -> bytes:
        """Return some of the results, as CSV."""
        return self.header + self.lines[self.starts[first] : self.starts[end]]


@dataclass
class Bulk:
    """The query jobs of an org.

    Attributes:
        org: its records.
        page: records of a page, where a request does not say it.
    """

    org: Org
    page: int = 50_000
    jobs: dict[str, Job] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def create(self, asked: dict[str, Any], version: str) -> dict[str, Any]:
        """Create a job.

        Raises:
            Refusal: Bulk does not take the query, or the object.
        """
        operation = asked.get("operation")
        if operation not in {"query", "queryAll"}:
            raise _invalid("INVALIDJOB", "operation must be query or queryAll")
        delimiter = asked.get("columnDelimiter", "COMMA")
        line_end = asked.get("lineEnding", "LF")
        if delimiter not in _DELIMITERS or line_end not in _LINE_ENDS:
            raise _invalid("INVALIDJOB", "unknown columnDelimiter or lineEnding")
        query = self.org.parse(str(asked.get("query", "")))
        known = self.org.fields(query.object)
        if query.object in self.org.no_bulk:
            message = f"Entity '{query.object}' is not supported by the Bulk API."
            raise _invalid("INVALIDENTITY", message)
        if query.has_count:
            raise _invalid("API_ERROR", "Aggregate queries are not supported by the Bulk API")
        if has_compound(known, query.fields):
            raise _invalid(
                "FEATURENOTENABLED", "Selecting compound data not supported in Bulk Query"
            )
        how = _DELIMITERS[delimiter], _LINE_ENDS[line_end]
        when = moment(int(self.org.now.timestamp() * 1000), "+0000")
        name = f"750{next(self._numbers):015d}"
        job = Job(
            {
                "id": name, "operation": operation, "object": query.object,
                "createdById": "005SIM000000000001", "createdDate": when, "systemModstamp": when,
                "state": "UploadComplete", "concurrencyMode": "Parallel", "contentType": "CSV",
                "apiVersion": float(version), "lineEnding": line_end,
                "columnDelimiter": delimiter,
            },
            csv_line(query.fields, how),
        )  # fmt: skip
        chosen = [known[name] for name in query.fields]
        rows = self.org.each(query, is_all=operation == "queryAll")

        def fill() -> None:
            for row in rows:
                job.add(csv_line([csv_value(found, row.body) for found in chosen], how))

        job.work = threading.Thread(target=fill, daemon=True)
        job.work.start()
        self.jobs[name] = job
        return self.jobs[name].body

    def get(self, name: str) -> dict[str, Any]:
        """Tell of a job, and let it get on."""
        job = self._job(name)
        if job.is_at_work:
            job.body["state"] = "InProgress"
        elif job.body["state"] in {"UploadComplete", "InProgress"}:
            path = f"{job.body['object']} {name}"
            fault = self.org.faults.take(SYSTEM, path, *_FAULTS)
            job.body["state"] = _FAULTS[fault.kind] if fault else "JobComplete"
        state = job.body["state"]
        more: dict[str, Any] = {
            "jobType": "V2Query",
            "retries": 0,
            "totalProcessingTime": 15,
            "numberRecordsProcessed": job.rows if state == "JobComplete" else 0,
            "isPkChunkingSupported": True,
        }
        if state == "Failed":
            more["errorMessage"] = "InvalidBatch : Failed to process query: the query timed out"
        return job.body | more

    def results(self, name: str, version: str, locator: str | None, most: int | None) -> Response:
        """Give a page of the results.

        Args:
            name: of the job.
            version: of the API, which must be that of the job.
            locator: where the page begins; the start when None.
            most: records of the page.
        """
        job = self._complete(name, version)
        first, size = _start(locator), most or self.page
        after = min(first + size, job.rows)
        is_last = after == job.rows
        return Response(
            gzip.compress(job.page(min(first, after), after), 1),
            media_type="text/csv; charset=UTF-8",
            headers={
                "Content-Encoding": "gzip",
                "Sforce-Locator": "null" if is_last else _locator(after),
                "Sforce-NumberOfRecords": str(max(0, after - first)),
            },
        )

    def pages(self, name: str, version: str, locator: str | None) -> dict[str, Any]:
        """List addresses of pages of the results, which may be read side by side."""
        job = self._complete(name, version)
        base = f"/services/data/v{version}/jobs/query/{name}"
        starts = [*range(0, max(job.rows, 1), self.page)]
        first = _start(locator) // self.page
        listed, rest = starts[first:][:_PAGES_AT_ONCE], starts[first + _PAGES_AT_ONCE :]
        return {
            "resultPages": [
                {"resultUrl": f"{base}/results?locator={_locator(start)}"} for start in listed
            ],
            "nextRecordsUrl": f"{base}/resultPages?locator={_locator(rest[0])}" if rest else None,
            "done": not rest,
        }

    def abort(self, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Abort a job that has not ended."""
        job = self._job(name)
        if asked.get("state") != "Aborted":
            raise _invalid("INVALIDJOBSTATE", "a query job can only be aborted")
        if job.body["state"] not in {"UploadComplete", "InProgress"}:
            raise _invalid("INVALIDJOBSTATE", "the job has ended already")
        job.body["state"] = "Aborted"
        return job.body

    def delete(self, name: str) -> Response:
        """Delete a job that has ended."""
        if self._job(name).body["state"] in {"UploadComplete", "InProgress"}:
            raise _invalid("INVALIDJOBSTATE", "the job has not ended")
        del self.jobs[name]
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def list(self) -> Response:
        """List the jobs."""
        records = [{**job.body, "jobType": "V2Query"} for job in self.jobs.values()]
        return JSONResponse({"done": True, "records": records, "nextRecordsUrl": None})

    def _job(self, name: str) -> Job:
        if name not in self.jobs:
            raise not_found()
        return self.jobs[name]

    def _complete(self, name: str, version: str) -> Job:
        job = self._job(name)
        if job.body["apiVersion"] != float(version):
            raise Refusal(
                HTTPStatus.CONFLICT, "INVALIDVERSION", "the job was made with another version"
            )
        if job.body["state"] != "JobComplete":
            raise _invalid("INVALIDJOBSTATE", "the job has no results (yet)")
        return job


def _invalid(code: str, message: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, code, message)


def _locator(start: int) -> str:
    return base64.urlsafe_b64encode(str(start).encode()).decode().rstrip("=")


def _start(locator: str | None) -> int:
    if locator is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4)))
    except ValueError:
        raise _invalid("INVALIDLOCATOR", "the locator is not one of this job") from None
