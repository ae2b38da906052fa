"""Windows of time: small enough for the search to give all their records, and proved complete."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from crmhouse.errors import SourceUnavailableError
from ingestion.sources.hubspot.crm import SEARCH_PAGE, Steps, record
from ingestion.sources.hubspot.streams import cursor_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ingestion.sources.hubspot.crm import Crm, Page

logger = logging.getLogger(__name__)

_TRIES = 5


@dataclass(frozen=True)
class Window:
    """Records by the time of their last change, and by their ids where one moment has too many.

    Attributes:
        low: milliseconds since 1970; the first that is in it.
        high: the first that is not in it.
        ids: the first and the last id; None: all.
    """

    low: int
    high: int
    ids: tuple[int, int] | None = None

    def filters(self, cursor: str) -> list[dict[str, str]]:
        """Return the filters of the search."""
        found = [
            {"propertyName": cursor, "operator": "GTE", "value": str(self.low)},
            {"propertyName": cursor, "operator": "LT", "value": str(self.high)},
        ]
        if self.ids:
            low, high = map(str, self.ids)
            between = {"propertyName": "hs_object_id", "operator": "BETWEEN"}
            found.append({**between, "value": low, "highValue": high})
        return found


@dataclass(frozen=True)
class Found:
    """A window whose records fit into one search.

    Attributes:
        window: as it was searched.
        page: its first page.
    """

    window: Window
    page: Page


@dataclass(frozen=True)
class Searches:
    """The searches for the records of an object.

    Attributes:
        crm: is asked.
        object: the type.
        properties: what is shown of a record.
        most: records of a window.
    """

    crm: Crm
    object: str
    properties: Sequence[str]
    most: int

    def within(self, window: Window) -> Iterator[Found]:
        """Yield the windows that this one has to be cut into, in the order of time."""
        page = self._page(window, None)
        if page.total <= self.most:
            yield Found(window, page)
            return
        for half in self._halves(window, page):
            yield from self.within(half)

    def everything(self, found: Found) -> dict[str, bytes]:
        """Return all records of a window, by id.

        While it is read, records leave it when they are changed again, and the pages that follow
        move up. So the number of different records must be the total; else it is read again.

        Raises:
            SourceUnavailableError: it was another one each time.
        """
        page = found.page
        for _ in range(_TRIES):
            records: dict[str, bytes] = {}
            total = self._read(found.window, page, records)
            if len(records) == total:
                return records
            logger.info(
                "%s: a search found %d, %d arrived; again", self.object, total, len(records)
            )
            page = self._page(found.window, None)
        raise SourceUnavailableError(
            f"{self.object}: HubSpot's search has found {total} records and delivered "
            f"{len(records)}, and not once the same in {_TRIES} tries. Nothing of them was landed; "
            "sync again."
        )

    def _read(self, window: Window, page: Page, records: dict[str, bytes]) -> int:
        """Follow the pages to their end, and return the total that the last one told."""
        steps = Steps(self.object)
        asked: str | None = None
        while True:
            for raw in page.results:
                records[record(self.object, raw).id] = bytes(raw)
            asked = steps.next(asked, page.after)
            if asked is None or int(asked) >= self.most:
                return page.total
            page = self._page(window, asked)

    def _halves(self, window: Window, page: Page) -> tuple[Window, Window]:
        """Cut a window in two: its time, down to the millisecond, then its ids."""
        first = record(self.object, page.results[0]).changed if page.results else 0
        low = min(max(window.low, first), window.high - 1)  # none is older than the first one
        if window.high - low > 1:
            middle = (low + window.high) // 2
            return replace(window, low=low, high=middle), replace(window, low=middle)
        least, most = window.ids or (0, self._last_id(window))
        middle = (least + most) // 2
        return (
            replace(window, low=low, ids=(least, middle)),
            replace(window, low=low, ids=(middle + 1, most)),
        )

    def _last_id(self, window: Window) -> int:
        body = self._body(window, 1, "hs_object_id", "DESCENDING")
        page = self.crm.search(self.object, body)
        return max((int(record(self.object, raw).id) for raw in page.results), default=0)

    def _page(self, window: Window, after: str | None) -> Page:
        limit = min(SEARCH_PAGE, self.most - int(after or 0))
        body = self._body(window, limit, cursor_of(self.object), "ASCENDING")
        return self.crm.search(self.object, {**body, "after": after or "0"})

    def _body(self, window: Window, limit: int, sort: str, direction: str) -> dict[str, Any]:
        return {
            "filterGroups": [{"filters": window.filters(cursor_of(self.object))}],
            "sorts": [{"propertyName": sort, "direction": direction}],
            "properties": [*self.properties],
            "limit": limit,
            "after": "0",
        }
