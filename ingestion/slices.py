"""Slices: the parts of a stream that are landed at once, as a source offers them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from datetime import datetime

    from ingestion.batches import Batch
    from ingestion.copies import Copy
    from ingestion.runs import SliceRun
    from ingestion.staging import Staging
    from ingestion.streams import ColumnType


@dataclass(frozen=True)
class Slice:
    """A part of a stream that is landed at once.

    Attributes:
        name: identifies the slice within its stream; stays the same when it is read again.
        read: reads the records, batch by batch.
        checkpoint: what to remember once the slice has landed; asked for after reading.
        reported: how many records the source said it would deliver; None when it cannot tell.
        overtakes: slices that must be read again after this one, because they have the last word;
            their checkpoints are emptied in the transaction that lands this one.
        holds: `changes`: records that are new or changed. `all`: every record of the stream.
            `keys`: the key of every record. With the last two, rows that are missing were deleted.
        types: the types of the fields, where the source tells them beforehand.
        copy: the same records the fast way, where the source is a PostgreSQL.
        is_first: whether raw has none of the records yet, so that they need no merge.
        is_shared: whether other processes may land the stream's other slices meanwhile.
        newest: the newest time of the watermark, where the source tells it.
        window: what of the source's time was asked for; for the record of the run.
        also: the checkpoints of other slices whose records this one has; asked for after reading.
        since: the warehouse's time before the source was asked for the slice: what was landed later
            is not missing where the slice does not have it. When it is landed, if left out.
        held: where the records come from `ops.quarantine`: decides there what becomes of them.
    """

    name: str
    read: Callable[[], Iterator[Batch]]
    checkpoint: Callable[[], Mapping[str, Any]]
    reported: int | None = None
    overtakes: Collection[str] = ()
    holds: Literal["changes", "all", "keys"] = "changes"
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    copy: Copy | None = None
    is_first: bool = False
    is_shared: bool = False
    newest: datetime | None = None
    window: tuple[datetime | None, datetime | None] = (None, None)
    also: Callable[[], Mapping[str, Mapping[str, Any]]] = dict
    since: datetime | None = None
    held: Held | None = None


class Held(Protocol):
    """What a slice of held records does beside landing, in the transaction that lands it."""

    def withdraw(self, staging: Staging) -> None:
        """Take back the staged records that raw has something newer for."""

    def settle(self, staging: Staging, run: SliceRun) -> None:
        """Resolve the records, once they are merged."""
