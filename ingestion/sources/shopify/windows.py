"""Windows of the time of change, and the pages within one: where to go on, and with what."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from crmhouse.errors import SourceUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ingestion.sources.shopify.client import Client
    from ingestion.sources.shopify.mapping import Record
    from ingestion.sources.shopify.queries import Object

PAGES_OF_A_SLICE = 25
# At ten seconds for a dear page, as the smallest plan has it, an operation is sooner at its end.
PAGES_WORTH_AN_OPERATION = 5
_MOST_REPEATS = 5
_LONG_AGO = "1970-01-01T00:00:00Z"


@dataclass
class Window:
    """Records whose time of change is in `low` <= time < `high`.

    The cursor that a window leaves is the newest change that arrived, and never later than its
    end: a record that becomes visible late lies nearer to it than to the clock.

    Attributes:
        low: from the beginning, if None.
        high: without end, if None.
        page: cursor of the API that the next page begins after.
        newest: the newest time of change that arrived.
        received: the records that have arrived; None where some did in an earlier sync.
    """

    low: datetime | None
    high: datetime | None
    page: str | None = None
    newest: str | None = None
    received: int | None = 0

    @classmethod
    def until(cls, high: datetime) -> Window:
        """Return the window of everything before a moment."""
        return cls(None, high)

    @classmethod
    def after(cls, known: Mapping[str, Any], lookback: float, now: datetime) -> Window:
        """Return the window that goes on where a checkpoint says."""
        if known.get("page"):
            low, high = known["low"], known["high"]
            start = datetime.fromisoformat(low) if low else None
            end = datetime.fromisoformat(high)
            return cls(start, end, known["page"], known["newest"], None)
        cursor = known.get("cursor")
        if cursor is None:
            return cls.until(now)
        start = datetime.fromisoformat(cursor)
        return cls(start - timedelta(seconds=lookback), max(now, start), newest=cursor)

    @property
    def filter(self) -> str | None:
        """Return the filter of a query."""
        bounds = ((">=", self.low), ("<", self.high))
        return (
            " AND ".join(f"updated_at:{sign}'{text_of(at)}'" for sign, at in bounds if at) or None
        )

    def see(self, node: Record) -> None:
        """Remember the time of change of a record that has arrived."""
        if self.newest is None or node["updatedAt"] > self.newest:
            self.newest = node["updatedAt"]

    def done(self) -> dict[str, Any]:
        """Return the checkpoint of a window that was read to its end."""
        newest = self.newest or _LONG_AGO
        return {"cursor": min(newest, text_of(self.high)) if self.high else newest}

    def on_the_way(self) -> dict[str, Any]:
        """Return the checkpoint of a window that is to be read on."""
        return {
            "page": self.page,
            "low": self.low.isoformat() if self.low else None,
            "high": self.high.isoformat() if self.high else None,
            "newest": self.newest,
        }


@dataclass
class Pages:
    """Reads a window page by page.

    Attributes:
        client: of the shop.
        asked: the object.
        window: of the time of change.
        query: of a page; that of whole records when left out.
        are_done: whether the last page was read.
    """

    client: Client
    asked: Object
    window: Window
    query: str = ""
    are_done: bool = False
    _repeats: int = 0
    _start: tuple[str | None, str | None, int | None] = field(init=False)
    _kept: Record | None = None

    def __post_init__(self) -> None:
        self.go_on()

    def go_on(self) -> None:
        """Let what is read next be the pages that follow."""
        self._start = self.window.page, self.window.newest, self.window.received

    def is_large(self, most: int) -> bool:
        """Say whether the window is for a bulk operation; its first page tells, and is kept.

        Args:
            most: from so many records on it is; from fewer where a page may have few of them.
        """
        self._kept = self._ask()
        rows = self.client.rows_of(self._query)
        return bool(self._kept["count"] >= min(most, PAGES_WORTH_AN_OPERATION * rows))

    def nodes(self) -> Iterator[Record]:
        """Yield the records of the pages of a slice, nested lists completed; the same when again.

        A slice is read again where a record has come twice: one that was changed meanwhile does.
        """
        yield from self._some(PAGES_OF_A_SLICE)

    def all(self) -> Iterator[Record]:
        """Yield the records of all pages; the same when again."""
        yield from self._some(None)

    def _some(self, most: int | None) -> Iterator[Record]:
        self.window.page, self.window.newest, self.window.received = self._start
        self.are_done, self._repeats = False, 0
        for number in itertools.count(1):
            yield from self._next()
            if self.are_done or number == most:
                return

    def _ask(self) -> Record:
        return self.client.page(self.asked, self._query, self.window.filter, self.window.page)

    def checkpoint(self) -> dict[str, Any]:
        """Return where to go on, and how many records a page may have, if that was found out."""
        where = self.window.done() if self.are_done else self.window.on_the_way()
        return where | self.client.found(self._query)

    @property
    def _query(self) -> str:
        return self.query or self.asked.page

    def _next(self) -> Iterator[Record]:
        window = self.window
        page, self._kept = self._kept or self._ask(), None
        for node in page["nodes"]:
            if "lineItems" in node:
                self.client.complete(node)
            if "updatedAt" in node:
                window.see(node)
            yield node
        following, has_more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
        if has_more and following in {None, window.page}:
            self._repeats += 1
            if self._repeats == _MOST_REPEATS:
                raise SourceUnavailableError(
                    f"{self.client.place}: Shopify says that there are more {self.asked.field}, "
                    f"and gave the same page {_MOST_REPEATS} times. Nothing of this slice was "
                    "landed; sync again."
                )
            return
        self._repeats, window.page, self.are_done = 0, following, not has_more
        if window.received is None:
            return
        window.received += len(page["nodes"])
        if self.are_done and window.received < page["count"]:
            raise SourceUnavailableError(
                f"{self.client.place}: Shopify counts {page['count']} {self.asked.field} in this "
                f"window, and {window.received} arrived. Nothing of this slice was landed; sync "
                "again."
            )


def text_of(when: datetime) -> str:
    """Return a time as queries have it: in UTC, at the next full second.

    Times of the shop are full seconds: of these, the same lie before it and from it on.
    """
    if when.microsecond:
        when = when.replace(microsecond=0) + timedelta(seconds=1)
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
