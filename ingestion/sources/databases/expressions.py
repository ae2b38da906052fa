"""How a column is asked for: PostgreSQL converts values itself, other databases send their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import types as sql_types
from sqlalchemy.dialects import postgresql

from ingestion.sources.databases.tables import DELETED
from ingestion.streams import ColumnType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from ingestion.sources.databases.tables import Table, TableColumn

_FIRST, _LAST = "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"
_WITH_INFINITY, _WITH_INPUT_CHECK = 14, 16
_CAST = {
    ColumnType.TEXT: "text",
    ColumnType.BIGINT: "bigint",
    ColumnType.NUMERIC: "numeric",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.JSONB: "jsonb",
}


def quoted(value: object) -> sa.ColumnElement[Any]:
    """Return a literal that takes the type of what it is compared with."""
    text = str(value).replace("'", "''")
    return sa.literal_column(f"'{text}'")


def uuid(value: UUID) -> sa.ColumnElement[Any]:
    """Return a literal of that type."""
    return _cast(quoted(value), "uuid")


def is_deleted(table: Table) -> sa.ColumnElement[Any]:
    """Say in SQL whether a row is deleted: a flag that is set, or a time of deletion."""
    column = table.column(table.options.deleted or "")
    reference = table.clause.c[column.name]
    if column.kind is ColumnType.BOOLEAN:
        return reference
    if column.kind in {ColumnType.BIGINT, ColumnType.NUMERIC}:
        return reference != 0
    return reference.is_not(None)


def plain(table: Table, wanted: Iterable[str]) -> list[sa.ColumnElement[Any]]:
    """Return these fields as the driver sends them."""
    return [
        is_deleted(table).label(DELETED) if name == DELETED else table.clause.c[name]
        for name in wanted
    ]


def converted(table: Table, wanted: Mapping[str, ColumnType]) -> list[sa.Label[Any]]:
    """Return the columns of a PostgreSQL with their raw types.

    Args:
        table: the source's.
        wanted: the type of each field: its own, or the one that it widens to.
    """
    columns: list[sa.Label[Any]] = []
    for name, kind in wanted.items():
        if name == DELETED:
            columns.append(is_deleted(table).label(DELETED))
            continue
        column = table.column(name)
        value = _as_own_type(table, column)
        if kind is not column.kind:
            value = _widened(value, kind)
        columns.append(value.label(name))
    return columns


def _widened(value: sa.ColumnElement[Any], kind: ColumnType) -> sa.ColumnElement[Any]:
    if kind is ColumnType.NUMERIC:
        return _cast(value, "numeric")
    return sa.func.timezone("UTC", _cast(value, "timestamp"))


def _as_own_type(table: Table, column: TableColumn) -> sa.ColumnElement[Any]:
    value = table.clause.c[column.name]
    kind = column.type
    if column.is_declared:
        return _cast(value, _CAST[ColumnType.TEXT])  # its type may fit no value: see `is_sendable`
    if column.kind is ColumnType.TIMESTAMPTZ:
        return value if column.has_zone else sa.func.timezone(table.zone.key, value)
    if isinstance(kind, sql_types.Float):
        return _cast(_cast(value, "text"), "numeric")  # the shortest text, every digit of it
    if isinstance(kind, sql_types.ARRAY):
        return sa.func.to_jsonb(value)
    if column.kind is ColumnType.DATE:
        return value
    return _cast(value, _CAST[column.kind])


def _cast(value: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[Any]:
    return value.op("::")(sa.literal_column(name))


def as_text(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Let PostgreSQL write a value as text."""
    inner = value.element if isinstance(value, sa.Label) else value
    return _cast(inner, "text")


def is_sendable(table: Table) -> bool:
    """Say whether a PostgreSQL can be told to send every column with its raw type."""
    return all(not column.is_declared or column.kind is ColumnType.TEXT for column in table.columns)


def unfit(table: Table, server: int) -> list[tuple[str, str, sa.ColumnElement[bool]]]:
    """Return what keeps a row of a PostgreSQL from being landed.

    Args:
        table: the source's.
        server: its major version.

    Returns:
        Reason, detail and the condition in SQL; where it is NULL, there is nothing to object to.
    """
    found: list[tuple[str, str, sa.ColumnElement[bool]]] = []
    keys = {column.name for column in table.key}
    for column in table.columns:
        value = table.clause.c[column.name]
        if column.name in keys and (column.is_nullable or column.kind is ColumnType.TEXT):
            missing: list[sa.ColumnElement[bool]] = [value.is_(None)] if column.is_nullable else []
            if column.kind is ColumnType.TEXT:
                missing.append(_cast(value, "text") == quoted(""))
            detail = f"key column {column.name} has no value or no valid one"
            found.append(("missing_key", detail, sa.or_(*missing)))
        condition = _unfit_value(table, column, server)
        if condition is not None:
            detail = f"field {column.name}: the value is not a valid {column.kind.value}"
            found.append(("value_does_not_fit", detail, condition))
    return found


def _unfit_value(table: Table, column: TableColumn, server: int) -> sa.ColumnElement[bool] | None:
    value = table.clause.c[column.name]
    if column.is_declared:
        return None
    if isinstance(column.type, sql_types.Numeric):  # NaN is greater than all, Infinity than others
        has_infinity = isinstance(column.type, sql_types.Float) or (
            server >= _WITH_INFINITY and column.type.precision is None
        )
        if not has_infinity:
            return value == quoted("NaN")
        return sa.or_(value >= quoted("Infinity"), value <= quoted("-Infinity"))
    if column.kind is ColumnType.DATE:
        return sa.or_(value < quoted(_FIRST[:10]), value > quoted(_LAST[:10]))
    if column.kind is ColumnType.TIMESTAMPTZ:
        moment = _as_own_type(table, column)
        return sa.or_(moment < quoted(f"{_FIRST}+00"), moment > quoted(f"{_LAST}+00"))
    if isinstance(column.type, sql_types.JSON) and not isinstance(column.type, postgresql.JSONB):
        text = _cast(value, "text")
        if server < _WITH_INPUT_CHECK:
            return text.like(quoted(r"%\\u0000%"))
        return sa.not_(sa.func.pg_input_is_valid(text, "jsonb"))
    return None
