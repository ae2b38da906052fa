"""The results of a Bulk job, page by page in their order.

Where the org names its pages (resultPages), some are downloaded side by side, each into a file of
its own. A page tells where the next one begins. Where that is not what the list of pages says, or
the list ends too early, the pages that follow are read one after the other, each from where the
one before has ended.
"""

from __future__ import annotations

import logging
import tempfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from crmhouse.errors import SourceRefusedError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import BinaryIO

    from ingestion.sources.salesforce.answers import Job
    from ingestion.sources.salesforce.org import Org

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResultPage:
    """A page of results.

    Attributes:
        rows: how many the org says are in it.
        following: where the next page begins; None for the last one.
        file: CSV with a header; it is closed when the next page is asked for.
    """

    rows: int
    following: str | None
    file: BinaryIO


@dataclass(frozen=True)
class _Listed:
    locator: str
    url: str


def pages(org: Org, job: Job, locator: str | None) -> Generator[ResultPage]:
    """Yield the pages from a locator on; it ends before the last one where the results are gone.

    Args:
        org: has them.
        job: it has completed.
        locator: where the first page begins; the start when None.
    """
    options = org.options
    if options.pages_at_once > 1 and job.numberRecordsProcessed > options.page_rows:
        with closing(_side_by_side(org, job, locator)) as found_together:
            for page in found_together:
                with page.file:
                    yield page
                locator = page.following
                if locator is None:
                    return
    while (found := _downloaded(org, job, locator)) is not None:
        with found.file:
            yield found
        locator = found.following
        if locator is None:
            return


def _side_by_side(org: Org, job: Job, locator: str | None) -> Generator[ResultPage]:
    """Yield those pages that are named, as long as each begins where the one before has ended."""
    listed = _listed(org, job, locator)
    under_way: deque[tuple[_Listed, Future[ResultPage | None]]] = deque()
    with ThreadPoolExecutor(org.options.pages_at_once) as pool:

        def begin() -> None:
            if (following := next(listed, None)) is not None:
                under_way.append((following, pool.submit(_downloaded, org, job, None, following)))

        try:
            for _ in range(org.options.pages_at_once):
                begin()
            while under_way:
                page = under_way[0][1].result()
                begin()
                under_way.popleft()
                if page is None:
                    return
                named = under_way[0][0].locator if under_way else None
                following = page.following or named
                yield ResultPage(page.rows, following, page.file)
                if following != named:
                    if named:
                        logger.info("The Bulk job %s: pages are not where its list says", job.id)
                    return
        finally:
            pool.shutdown(cancel_futures=True)
            for _, future in under_way:
                if not future.cancelled() and not future.exception() and (left := future.result()):
                    left.file.close()


def _listed(org: Org, job: Job, locator: str | None) -> Iterator[_Listed]:
    """Yield the named pages from a locator on; none where the org names no such page."""
    url: str | None = None
    is_found = locator is None
    while True:
        try:
            told = org.result_pages(job.id, url)
        except SourceRefusedError as error:
            logger.info("%s; pages are read one after the other", error)
            return
        if told is None:
            return
        for page in told.resultPages:
            named = parse_qs(urlsplit(page.resultUrl).query).get("locator", [""])[0]
            is_found |= named == locator
            if is_found:
                yield _Listed(named, page.resultUrl)
        url = told.nextRecordsUrl
        if told.done or url is None:
            return


def _downloaded(
    org: Org, job: Job, locator: str | None, listed: _Listed | None = None
) -> ResultPage | None:
    """Download a page into a file; None where the job has no results any more."""
    file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115  # whoever gets the page closes it
    try:
        told = org.results(job.id, locator, file, url=listed.url if listed else None)
    except BaseException:
        file.close()
        raise
    if told is None:
        file.close()
        return None
    return ResultPage(told.rows, told.following, file)
