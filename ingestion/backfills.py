"""Backfills: a span of a source's time cut into slices that any number of processes land.

What is to be read and what has landed stands in `ops.backfills` and `ops.backfill_slices`, so that
a backfill that was cut short goes on with the slices that are missing.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from crmhouse.errors import ConfigurationError
from ingestion.locks import open_locks, require

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from crmhouse.warehouse import Warehouse

Window = tuple[datetime, datetime]
"""A span of time: from the first moment on, and before the second."""

MOST_SLICES = 1000


@dataclass(frozen=True)
class BackfillSlice:
    """One slice of a backfill.

    Attributes:
        backfill_id: the backfill.
        source: the source's name.
        streams: the streams whose records are read again.
        slice: its number, from 1 on.
        slices: how many there are.
        window_start: records that changed from this moment on,
        window_end: and before this one.
        landed_at: None while it is missing.
    """

    backfill_id: UUID
    source: str
    streams: list[str]
    slice: int
    slices: int
    window_start: datetime
    window_end: datetime
    landed_at: datetime | None


def cut(start: datetime, end: datetime, slices: int) -> list[Window]:
    """Cut a span of time into slices of the same length, at whole seconds.

    A span of fewer seconds than slices has fewer slices.
    """
    length = (end - start) / slices
    inner = {(start + length * number).replace(microsecond=0) for number in range(1, slices)}
    cuts = [start, *sorted(moment for moment in inner if start < moment < end), end]
    return list(pairwise(cuts))


def begin(
    warehouse: Warehouse, source: str, streams: Sequence[str], window: Window, slices: int
) -> list[BackfillSlice]:
    """Begin a backfill, or go on with one that was asked for in the same words and cut short.

    Args:
        warehouse: where it lands.
        source: the source's name.
        streams: the streams whose records are read again.
        window: the span of time.
        slices: how many slices the span is cut into.

    Returns:
        All slices, those that have landed included.

    Raises:
        ConfigurationError: the span is empty, or the number of slices is none.
    """
    start, end = window
    if start >= end:
        raise ConfigurationError(f"The backfill's start, {start}, must lie before its end, {end}.")
    if not 1 <= slices <= MOST_SLICES:
        raise ConfigurationError(f"A backfill has 1 to {MOST_SLICES} slices, not {slices}.")
    asked = {
        "id": uuid.uuid4(), "source": source, "streams": sorted(streams),
        "start": start, "end": end, "slices": slices,
    }  # fmt: skip
    with warehouse.connect() as connection:
        new = connection.execute(_BEGIN, asked).fetchone()
        if new:
            connection.cursor().executemany(
                "insert into ops.backfill_slices values (%s, %s, %s, %s)",
                [(new[0], number, *part) for number, part in enumerate(cut(*window, slices), 1)],
            )
        found = connection.execute(_UNDER_WAY, asked).fetchone()
    return _slices(warehouse, found[0]) if found else []


def find(warehouse: Warehouse, backfill_id: UUID, number: int) -> BackfillSlice:
    """Return one slice of a backfill.

    Raises:
        ConfigurationError: there is no such backfill or slice.
    """
    for one in _slices(warehouse, backfill_id):
        if one.slice == number:
            return one
    raise ConfigurationError(f"There is no backfill {backfill_id} with a slice {number}.")


def missing(warehouse: Warehouse, backfill_id: UUID) -> list[int]:
    """Return the numbers of the slices that have not landed."""
    return [one.slice for one in _slices(warehouse, backfill_id) if one.landed_at is None]


@contextmanager
def landing(
    warehouse: Warehouse, part: BackfillSlice, run_id: UUID, *, patience: float = 0
) -> Iterator[bool]:
    """Land a slice in the block: alone, and marked as landed when the block ends well.

    Args:
        warehouse: where it lands.
        part: the slice.
        run_id: the run that lands it.
        patience: seconds to wait for another process that is landing it.

    Yields:
        Whether it is still missing.

    Raises:
        AlreadyRunningError: another process is landing it.
    """
    name = f"backfill {part.backfill_id} {part.slice}"
    with open_locks(warehouse) as locks:
        require(locks, name, f"slice {part.slice} of this backfill", patience=patience)
        is_missing = part.slice in missing(warehouse, part.backfill_id)
        yield is_missing
        if is_missing:
            with warehouse.connect() as connection:
                connection.execute(_LANDED, [run_id, part.backfill_id, part.slice])


def finish(warehouse: Warehouse, backfill_id: UUID) -> None:
    """Close a backfill, all of whose slices have landed: asked for again, it reads all again."""
    with warehouse.connect() as connection:
        connection.execute(
            "update ops.backfills set finished_at = now() where backfill_id = %s", [backfill_id]
        )


def _slices(warehouse: Warehouse, backfill_id: UUID) -> list[BackfillSlice]:
    with (
        warehouse.connect() as connection,
        connection.cursor(row_factory=class_row(BackfillSlice)) as cursor,
    ):
        return cursor.execute(_SLICES, [backfill_id]).fetchall()


_BEGIN = """
    insert into ops.backfills (backfill_id, source, streams, window_start, window_end, slices)
    values (%(id)s, %(source)s, %(streams)s, %(start)s, %(end)s, %(slices)s)
    on conflict (source, streams, window_start, window_end, slices) where finished_at is null
    do nothing
    returning backfill_id
"""
_UNDER_WAY = """
    select backfill_id from ops.backfills
    where source = %(source)s and streams = %(streams)s and window_start = %(start)s
        and window_end = %(end)s and slices = %(slices)s and finished_at is null
"""
_SLICES = """
    select
        backfill_id, source, streams, slice, count(*) over ()::integer as slices,
        part.window_start, part.window_end, landed_at
    from ops.backfill_slices as part
    join ops.backfills using (backfill_id)
    where backfill_id = %s
    order by slice
"""
_LANDED = """
    update ops.backfill_slices set run_id = %s, landed_at = now()
    where backfill_id = %s and slice = %s
"""
