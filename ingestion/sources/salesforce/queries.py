"""All results of a query: by Bulk, and by REST where Bulk refuses."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from crmhouse.errors import RunFailedError, SourceRefusedError, SourceUnavailableError
from ingestion.sources.salesforce.pages import pages
from ingestion.sources.salesforce.rows import of_csv, of_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

    from ingestion.batches import Batch
    from ingestion.sources.salesforce.answers import Job, Page
    from ingestion.sources.salesforce.described import Described
    from ingestion.sources.salesforce.org import Org
    from ingestion.streams import ColumnType

JOBS = 3
"""How many jobs are made for one query, should they fail."""

_LONGEST_QUERY = 12_000  # bytes of a URL; an org takes 16,384 with the headers


@dataclass(frozen=True)
class Whole:
    """All results of a query.

    Attributes:
        rows: how many the org says there are.
        read: reads them.
    """

    rows: int
    read: Callable[[], Iterator[Batch]]


@dataclass(frozen=True)
class Queries:
    """Asks for the records of one object.

    Attributes:
        org: where from.
        object: what describe tells of it.
        batch_rows: records in memory at once.
    """

    org: Org
    object: Described
    batch_rows: int

    def whole(self, soql: str, types: Mapping[str, ColumnType]) -> Whole:
        """Ask for all results of a query, by Bulk where that is allowed."""
        why = ""
        for _ in range(JOBS):
            made = self.org.create_job(soql)
            if made is None:
                return self.of_rest(soql, self.org.query(self.short_enough(soql)), types)
            job = self.org.wait(made.id)
            if job and job.state == "JobComplete":
                return Whole(job.numberRecordsProcessed, self._all_pages(job, types))
            why = f"{job.state} ({job.why})" if job else "gone"
        raise self.failed(why)

    def _all_pages(
        self, job: Job, types: Mapping[str, ColumnType]
    ) -> Callable[[], Iterator[Batch]]:
        def read() -> Iterator[Batch]:
            rows = 0
            with closing(pages(self.org, job, None)) as found:
                for page in found:
                    yield from of_csv(page.file, self.object.stream, self.batch_rows, types)
                    rows += page.rows
                    if page.following is None:
                        return
            raise self.incomplete(job, rows)

        return read

    def reading(
        self,
        file: BinaryIO,
        types: Mapping[str, ColumnType],
    ) -> Callable[[], Iterator[Batch]]:
        """Return what reads a page of results from a file."""
        return lambda: of_csv(file, self.object.stream, self.batch_rows, types)

    def of_rest(self, soql: str, first: Page, types: Mapping[str, ColumnType]) -> Whole:
        """Return the results of a query of REST. Read again, they are asked for again."""
        firsts = [first]

        def read() -> Iterator[Batch]:
            page, asked = firsts.pop() if firsts else self.org.query(soql), None
            while True:
                if page.records:
                    yield of_json(page.records, types)
                # One that names itself as the next one never ends: the count refuses what is there.
                if page.done or page.nextRecordsUrl in {None, asked}:
                    return
                asked = page.nextRecordsUrl
                page = self.org.more(str(asked))

        return Whole(first.totalSize, read)

    def short_enough(self, soql: str) -> str:
        """Return a query that fits into a URL.

        Raises:
            SourceRefusedError: it does not.
        """
        if not fits_url(soql):
            raise SourceRefusedError(
                f"{self.place}: it has {len(self.object.types)} fields, too many for a request of "
                "REST, and Bulk refuses the object. Take the right to read some of them from the "
                "user."
            )
        return soql

    @property
    def place(self) -> str:
        """Return source and object, for messages."""
        return f"{self.org.place}, {self.object.stream.object}"

    def failed(self, why: str) -> SourceUnavailableError:
        """Return the error of jobs that do not complete."""
        return SourceUnavailableError(
            f"{self.place}: {JOBS} Bulk jobs did not complete; the last one is {why}. What has "
            "landed stays, and the cursor has not moved: sync again."
        )

    def incomplete(self, job: Job, rows: int) -> RunFailedError:
        """Return the error of results that are not all that a job has."""
        return RunFailedError(
            f"{self.place}: the Bulk job {job.id} processed {job.numberRecordsProcessed} records, "
            f"its results have {rows}. The cursor has not moved: sync again."
        )


def fits_url(soql: str) -> bool:
    """Say whether a query is short enough for a request of REST."""
    return len(quote(soql)) <= _LONGEST_QUERY
