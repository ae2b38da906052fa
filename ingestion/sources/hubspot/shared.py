"""What a sync has learnt of records while it read them, so that associations need not ask again."""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Listing:
    """The ids of all records that are not archived, in the order of the list.

    Attributes:
        began: when its first page had been read, in milliseconds since 1970.
        ids: eight bytes each.
        newest: the newest time of change, in milliseconds.
        following: where the next page begins; None after the last one.
    """

    began: int
    ids: array[int] = field(default_factory=lambda: array("Q"))
    newest: int = 0
    following: str | None = None


@dataclass(frozen=True)
class Changes:
    """The records of one search for what has changed.

    Attributes:
        low: the first millisecond that was asked for.
        ids: of the records.
        newest: the newest time of change, in milliseconds.
    """

    low: int
    ids: Sequence[str]
    newest: int


@dataclass
class Shared:
    """What is known by the type of objects.

    Attributes:
        listings: of lists that were read from their first page to the last.
        changes: of searches that have found everything at once.
    """

    listings: dict[str, Listing] = field(default_factory=dict)
    changes: dict[str, Changes] = field(default_factory=dict)
    _open: dict[str, Listing] = field(default_factory=dict)

    def listed(
        self, object_: str, pages: tuple[str | None, str | None], ids: Sequence[str], newest: int
    ) -> None:
        """Take notice of a page of the list.

        Args:
            object_: the type.
            pages: where this page begins, and where the next one does.
            ids: of its records.
            newest: the newest time of change up to it.
        """
        asked, following = pages
        if asked is None:
            self._open[object_] = Listing(round(time.time() * 1000))
        known = self._open.get(object_)
        is_next = known is not None and (asked is None or known.following == asked)
        if known is None or not is_next or not all(map(str.isdigit, ids)):
            self._open.pop(object_, None)
            return
        known.ids.extend(map(int, ids))
        known.newest, known.following = max(known.newest, newest), following
        if following is None:
            self.listings[object_] = self._open.pop(object_)
