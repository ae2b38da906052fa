"""Bounds: the part of a table that a slice reads, and cursors that can be written down as JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa

from ingestion.sources.databases.expressions import quoted
from ingestion.streams import ColumnType

if TYPE_CHECKING:
    from datetime import tzinfo

    from ingestion.sources.databases.tables import Table

Mark: TypeAlias = "int | str"
"""A value of a key or a cursor, as a checkpoint holds it: a number, or the database's own text."""

_TIMES = frozenset({ColumnType.DATE, ColumnType.TIMESTAMPTZ})
_DAY_FIRST = re.compile(r"\d{4}-\d\d-\d\d")
_FAR_YEAR = re.compile(r"\d{5,}-")
_DAY, _SECOND = len("2026-01-31"), len("2026-01-31 23:59:59")


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


def moment(text: Mark | None, zone: tzinfo) -> datetime | None:
    """Read a mark as a time; None where it is none: a number, infinity, a year beyond 9999."""
    if not isinstance(text, str) or not _DAY_FIRST.match(text):
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=zone)


def back(newest: Mark, lookback: float, kind: ColumnType, zone: tzinfo) -> Mark:
    """Return the mark that lies so far behind the newest one: seconds, or units of a number.

    Where the clocks were put back an hour's local times come twice, and what follows the newest may
    lie before it. So that hour is read again.
    """
    if isinstance(newest, int):
        return newest - int(lookback)
    if kind is ColumnType.NUMERIC:
        return str(Decimal(newest) - Decimal(lookback))
    read = moment(newest, zone)
    if read is None:
        return newest
    repeated = _offset(read) - _offset(read.replace(fold=1))
    try:
        low = read - timedelta(seconds=lookback) - max(repeated, timedelta())
        return _like(newest, low.replace(microsecond=0), zone)
    except OverflowError:
        return newest


def not_in_future(newest: Mark, kind: ColumnType, zone: tzinfo) -> Mark | None:
    """Return the mark, or now where it lies in the future: what follows would be passed over.

    Infinity and what is no time at all, but sorts behind all times, lie there too. A number that
    is none says nothing.
    """
    if not isinstance(newest, str):
        return newest
    if kind is ColumnType.NUMERIC:
        return newest if Decimal(newest).is_finite() else None
    read, now = moment(newest, zone), datetime.now(UTC)
    if read is not None:
        return newest if read <= now else _like(newest, now, zone)
    ends_all = kind in _TIMES and (newest > str(now.year) or _FAR_YEAR.match(newest))
    return _like("", now, zone) if ends_all else newest


def at(when: datetime, example: Mark | None, zone: tzinfo) -> Mark:
    """Write a moment down as the column has its times.

    Args:
        when: with its offset.
        example: a value of the column; a number stands for seconds since 1970.
        zone: of times without one.
    """
    if isinstance(example, int):
        return int(when.timestamp())
    if isinstance(example, str) and len(example) == _DAY:  # the first day that begins then or later
        when = when.astimezone(zone) + timedelta(days=1, microseconds=-1)
    return _like(example or "", when, zone)


def _like(example: str, when: datetime, zone: tzinfo) -> str:
    """Write a time as the example is written: databases without a type for times compare texts."""
    read = moment(example, zone)
    has_offset = read is not None and datetime.fromisoformat(example).tzinfo is not None
    local = when.astimezone(read.tzinfo if read and has_offset else zone)
    if has_offset:
        return local.isoformat(sep="T" if "T" in example else " ")
    written = local.replace(tzinfo=None).isoformat(sep="T" if "T" in example else " ")
    is_short = read is not None and len(example) < _SECOND
    return written[: len(example)] if is_short else written


def _offset(when: datetime) -> timedelta:
    return when.utcoffset() or timedelta()
