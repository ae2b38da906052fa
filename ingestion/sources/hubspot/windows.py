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

    from ingestion.sources.hubspot.crm import Crm, Page, Record

logger = logging.getLogger(__name__)

_TRIES = 5
_ID = "hs_object_id"


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
            between = {"propertyName": _ID, "operator": "BETWEEN"}
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

    def everything(self, found: Found) -> dict[str, Record]:
        """Return all records of a window, by id.

        As many must have arrived as the search has told at first. Where records were changed
        meanwhile, which takes them out of the window, or the search has learnt of others: as many
        as it tells afterwards.

        Raises:
            SourceUnavailableError: fewer arrived, each time.
        """
        page = found.page
        for _ in range(_TRIES):
            records: dict[str, Record] = {}
            self._read(found.window, page, records)
            if len(records) == page.total:
                return records
            page = self._page(found.window, None)
            if len(records) >= page.total:
                return records
            logger.info(
                "%s: a search finds %d, %d arrived; again", self.object, page.total, len(records)
            )
        raise SourceUnavailableError(
            f"{self.object}: HubSpot's search finds {page.total} records and has delivered "
            f"{len(records)}, in the last of {_TRIES} tries. None of them was landed; sync again."
        )

    def _read(self, window: Window, page: Page, records: dict[str, Record]) -> None:
        """Read a window to its end, each page from where the one before has ended.

        HubSpot's own pages are offsets. A record that is changed leaves the window, those after it
        move up, and the next page would pass over one of them.
        """
        steps = Steps(self.object)
        asked: str | None = None
        while True:
            rows = [record(self.object, raw) for raw in page.results]
            records.update((one.id, one) for one in rows)
            if page.after is None:
                return
            if not rows:  # and yet not the last page
                asked = steps.next(asked, page.after)
            else:
                window, asked = _rest(window, rows) or self._after_moment(window, records), None
            page = self._page(window, asked)

    def _after_moment(self, window: Window, records: dict[str, Record]) -> Window:
        """Read the first millisecond of a window by ids, and return what follows it."""
        moment = replace(window, high=window.low + 1)
        moment = replace(moment, ids=(0, self._last_id(moment)))
        self._read(moment, self._page(moment, None), records)
        return replace(window, low=window.low + 1)

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
        body = self._body(window, 1, _ID, "DESCENDING")
        page = self.crm.search(self.object, body)
        return max((int(record(self.object, raw).id) for raw in page.results), default=0)

    def _page(self, window: Window, after: str | None) -> Page:
        limit = min(SEARCH_PAGE, self.most - int(after or 0))
        sort = _ID if window.ids else cursor_of(self.object)
        body = self._body(window, limit, sort, "ASCENDING")
        return self.crm.search(self.object, {**body, "after": after or "0"})

    def _body(self, window: Window, limit: int, sort: str, direction: str) -> dict[str, Any]:
        return {
            "filterGroups": [{"filters": window.filters(cursor_of(self.object))}],
            "sorts": [{"propertyName": sort, "direction": direction}],
            "properties": [*self.properties],
            "limit": limit,
            "after": "0",
        }


def _rest(window: Window, rows: Sequence[Record]) -> Window | None:
    """Return what of a window follows these rows; None where they are all of its first moment.

    What has the time of the last row may go on after it, so that moment is read again.
    """
    if window.ids:
        return replace(window, ids=(max(int(one.id) for one in rows) + 1, window.ids[1]))
    newest = max(one.changed for one in rows)
    return replace(window, low=newest) if newest > window.low else None
