"""Bounds: the part of a table that a slice reads, and cursors that can be written down as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa

from ingestion.sources.databases.expressions import quoted

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from ingestion.sources.databases.tables import Table

Mark: TypeAlias = "int | str"
"""A value of a key or a cursor, as a checkpoint holds it: a number, or the database's own text."""


@dataclass(frozen=True)
class Bounds:
    """Rows with `low` <= column < `high`; an end that is None is open.

    Attributes:
        or_none: whether rows belong to them that have no value in the column.
    """

    column: str
    low: Mark | None = None
    high: Mark | None = None
    or_none: bool = False

    def condition(self, table: Table, dialect: str) -> sa.ColumnElement[bool]:
        """Return the condition in SQL."""
        value = table.clause.c[self.column]
        parts: list[sa.ColumnElement[bool]] = []
        if self.low is not None:
            parts.append(value >= literal(self.low, dialect))
        if self.high is not None:
            parts.append(value < literal(self.high, dialect))
        inside = sa.and_(sa.true(), *parts)
        return sa.or_(inside, value.is_(None)) if self.or_none else inside


def literal(value: Mark, dialect: str) -> sa.ColumnElement[Any]:
    """Return a mark for SQL."""
    if isinstance(value, int) or dialect != "postgresql":
        return sa.literal(value)
    return quoted(value)  # PostgreSQL's own text of whatever type the column has


def mark(value: object) -> Mark | None:
    """Write a value down as a checkpoint can hold it."""
    match value:
        case None:
            return None
        case bool():
            return int(value)
        case int() | str():
            return value
        case datetime():
            return value.isoformat(sep=" ")
        case bytes():
            return None  # has no text that the database would take back
        case _:
            return str(value)


def moment(text: Mark | None, zone: ZoneInfo) -> datetime | None:
    """Read a mark as a time; None where it is none."""
    if not isinstance(text, str):
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=zone)


def back(newest: Mark, lookback: float, zone: ZoneInfo) -> Mark:
    """Return the mark that lies so far behind the newest one."""
    if isinstance(newest, int):
        return newest - int(lookback)
    read = moment(newest, zone)
    if read is None:
        return newest
    try:
        return _like(newest, read - timedelta(seconds=lookback), zone)
    except OverflowError:
        return newest


def not_in_future(newest: Mark, zone: ZoneInfo) -> Mark:
    """Return the mark, or now where it lies in the future: what follows would be passed over."""
    read, now = moment(newest, zone), datetime.now(UTC)
    if not isinstance(newest, str) or read is None or read <= now:
        return newest
    return _like(newest, now, zone)


def at(when: datetime, example: Mark | None, zone: ZoneInfo) -> Mark:
    """Write a moment down as the column has its times.

    Args:
        when: with its offset.
        example: a value of the column; a number stands for seconds since 1970.
        zone: of times without one.
    """
    if isinstance(example, int):
        return int(when.timestamp())
    return _like(example or " ", when, zone)


def _like(example: str, when: datetime, zone: ZoneInfo) -> str:
    """Write a time as the example is written: databases without a type for times compare texts."""
    separator = "T" if "T" in example else " "
    read = None if not example.strip() else datetime.fromisoformat(example)
    if read is not None and read.tzinfo is not None:
        return when.astimezone(UTC).isoformat(sep=separator, timespec="microseconds")
    local = when.astimezone(zone).replace(tzinfo=None)
    return local.isoformat(sep=separator, timespec="seconds")


def as_moment(value: object, zone: ZoneInfo) -> datetime | None:
    """Read what a driver sends for a time."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=zone)
    return moment(mark(value), zone)
