"""Rows of a database into batches, with server-side cursors: a bounded number in memory."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.batches import Batch
from ingestion.sources.databases.connection import unread_left
from ingestion.streams import ColumnType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

    import sqlalchemy as sa

    from ingestion.batches import Values
    from ingestion.sources.databases.tables import Table

_NAIVE = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?")


def batches(
    connection: sa.Connection,
    table: Table,
    query: sa.Select[Any],
    batch_rows: int,
    types: Mapping[str, ColumnType],
) -> Iterator[Batch]:
    """Run a query over some fields of a table and yield its rows.

    Args:
        connection: in a snapshot.
        table: the source's.
        query: selects the fields in the order of `types`.
        batch_rows: rows in memory at once.
        types: of the fields.
    """
    streamed = connection.execution_options(
        stream_results=True, max_row_buffer=batch_rows, yield_per=batch_rows
    )
    with streamed.execute(query) as rows, unread_left(rows.cursor):
        for part in rows.partitions(batch_rows):
            yield _batch(table, part, types)


def _batch(table: Table, rows: Sequence[Sequence[Any]], types: Mapping[str, ColumnType]) -> Batch:
    columns = dict(zip(types, zip(*rows, strict=True), strict=True))

    def payload(position: int) -> str:
        record = {name: _readable(values[position]) for name, values in columns.items()}
        return msgspec.json.encode(record, enc_hook=str).decode()

    fields: dict[str, Values] = {}
    for name, kind in types.items():
        has_zone = name in table.zoned
        fields[name] = _values(columns[name], kind, None if has_zone else table.zone)
    whole = len(types) == len(table.types)
    return Batch(fields, len(rows), payload, whole=whole, types=types)


def _readable(value: object) -> object:
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    is_plain = not isinstance(value, bytes | bytearray | memoryview | timedelta)
    return value if is_plain else _text(value)


def _values(values: Sequence[Any], kind: ColumnType, zone: ZoneInfo | None) -> Values:
    """Give a column the form that the landing engine takes, whatever the driver sends."""
    try:
        if made := _WHOLE.get(kind):
            return made(values, zone)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        pass  # mixed values, as SQLite has them: one by one, what does not fit is held back
    single = _SINGLE[kind]
    found = [None if value is None else single(value, zone) for value in values]
    return pa.array(found, pa.string()) if kind is ColumnType.JSONB else found


def _moments(values: Sequence[Any], zone: ZoneInfo | None) -> Values:
    if any(not isinstance(value, datetime) for value in values if value is not None):
        raise TypeError
    if any(value is not None and value.tzinfo for value in values):
        return pa.array(values, pa.timestamp("us", tz="UTC"))
    local = pa.array(values, pa.timestamp("us"))
    return pc.assume_timezone(
        local, zone.key if zone else "UTC", ambiguous="earliest", nonexistent="earliest"
    )


def _moment(value: object, zone: ZoneInfo | None) -> object:
    """Give a time its zone; a text that is none stays as it is, and is held back."""
    if isinstance(value, str) and _NAIVE.fullmatch(value) and zone:
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime) and value.tzinfo is None and zone:
        value = value.replace(tzinfo=zone)
    return value.isoformat() if isinstance(value, date) else str(value)


def _dates(values: Sequence[Any], zone: ZoneInfo | None) -> Values:  # noqa: ARG001
    if any(isinstance(value, str | datetime) for value in values):
        raise TypeError
    return pa.array(values, pa.date32())


def _texts(values: Sequence[Any], zone: ZoneInfo | None) -> Values:  # noqa: ARG001
    return pa.array(values, pa.string())


def _number(value: object, zone: ZoneInfo | None) -> object:  # noqa: ARG001
    return Decimal(repr(value)) if isinstance(value, float) else value


def _whole(value: object, zone: ZoneInfo | None) -> object:  # noqa: ARG001
    if isinstance(value, bytes):  # MySQL's BIT
        return int.from_bytes(value, "big")
    return Decimal(repr(value)) if isinstance(value, float) else value


def _flag(value: object, zone: ZoneInfo | None) -> object:  # noqa: ARG001
    if isinstance(value, bytes):
        value = int.from_bytes(value, "big")
    return bool(value) if value in (0, 1) else value


def _text(value: object, zone: ZoneInfo | None = None) -> str:  # noqa: ARG001
    """Write a value as text; bytes as PostgreSQL writes them."""
    if isinstance(value, bytes | bytearray | memoryview):
        return "\\x" + bytes(value).hex()
    return _clock(value) if isinstance(value, timedelta) else str(value)


def _clock(span: timedelta) -> str:
    """Write MySQL's TIME as MySQL does: up to 838 hours, before or after midnight."""
    minutes, seconds = divmod(abs(span), timedelta(minutes=1))
    hours, minutes = divmod(minutes, 60)
    fraction = f".{seconds.microseconds:06d}" if seconds.microseconds else ""
    sign = "-" if span < timedelta() else ""
    return f"{sign}{hours:02d}:{minutes:02d}:{seconds.seconds:02d}{fraction}"


_WHOLE: Mapping[ColumnType, Callable[[Sequence[Any], ZoneInfo | None], Values]] = {
    ColumnType.TIMESTAMPTZ: _moments,
    ColumnType.DATE: _dates,
    ColumnType.TEXT: _texts,
    ColumnType.JSONB: _texts,  # JSON as it is written, so that its numbers keep every digit
}
_SINGLE: Mapping[ColumnType, Callable[[Any, ZoneInfo | None], object]] = {
    ColumnType.TIMESTAMPTZ: _moment,
    ColumnType.DATE: _text,
    ColumnType.TEXT: _text,
    ColumnType.JSONB: _text,
    ColumnType.NUMERIC: _number,
    ColumnType.BIGINT: _whole,
    ColumnType.BOOLEAN: _flag,
}
