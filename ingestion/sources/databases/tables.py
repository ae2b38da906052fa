"""Reflection: what a table of a database holds, as a stream with typed columns."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import UTC
from functools import cached_property
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import types as sql_types
from sqlalchemy.dialects import mysql, postgresql

from crmhouse.errors import ConfigurationError, CrmhouseError, SourceRefusedError
from ingestion.naming import some
from ingestion.sources.databases.options import DatabaseOptions, TableOptions
from ingestion.streams import TYPE_NAMES, Column, ColumnType, Stream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo
    from zoneinfo import ZoneInfo

DELETED = "_is_deleted"
"""The field that says whether a row is deleted, made from the column that tells it."""

_JSON = (sql_types.JSON, sql_types.ARRAY, postgresql.HSTORE)
_KINDS: tuple[tuple[tuple[type, ...], ColumnType], ...] = (
    (_JSON, ColumnType.JSONB),
    ((sql_types.Boolean,), ColumnType.BOOLEAN),
    ((sql_types.Integer, postgresql.OID, mysql.YEAR), ColumnType.BIGINT),
    ((sql_types.Numeric, postgresql.MONEY), ColumnType.NUMERIC),
    ((sql_types.DateTime,), ColumnType.TIMESTAMPTZ),
    ((sql_types.Date,), ColumnType.DATE),
)


@dataclass(frozen=True)
class TableColumn:
    """A column of a source table.

    Attributes:
        name: its name in the source.
        kind: the type of the raw column.
        type: the source's own.
        is_declared: whether the configuration gave the type.
        is_nullable: whether it may have no value.
    """

    name: str
    kind: ColumnType
    type: sql_types.TypeEngine[Any]
    is_declared: bool
    is_nullable: bool

    @property
    def has_zone(self) -> bool:
        """Say whether its times are moments: MySQL's TIMESTAMP is one, its DATETIME is not."""
        return bool(getattr(self.type, "timezone", False)) or isinstance(self.type, mysql.TIMESTAMP)


@dataclass(frozen=True)
class Table:
    """A table or a view of a source, and the stream that it is.

    Attributes:
        stream: the declaration: key, version and deletion only. The other columns come with the
            rows, so that the source's `schema_contract` holds for them.
        options: as configured.
        schema: its schema; None for the database's default.
        columns: those that are read.
        zone: of times without one.
    """

    stream: Stream
    options: TableOptions
    schema: str | None
    columns: tuple[TableColumn, ...]
    zone: ZoneInfo

    @cached_property
    def clause(self) -> sa.TableClause:
        """Return the table for SQLAlchemy."""
        names = [column.name for column in self.columns]
        return sa.table(self.stream.object, *map(sa.column, names), schema=self.schema)

    @property
    def key(self) -> tuple[TableColumn, ...]:
        """Return the columns of the key, in the order of the key."""
        fields = {column.name: column.field for column in self.stream.columns}
        return tuple(self.column(fields[name]) for name in self.stream.key)

    def zone_of(self, name: str) -> tzinfo:
        """Return the zone that the column's times are written in; a day has none."""
        column = self.column(name)
        return UTC if column.has_zone or column.kind is ColumnType.DATE else self.zone

    @cached_property
    def zoned(self) -> frozenset[str]:
        """Return the columns whose times are moments already."""
        return frozenset(column.name for column in self.columns if column.has_zone)

    def column(self, name: str) -> TableColumn:
        """Return the column of that name."""
        return next(column for column in self.columns if column.name == name)

    @property
    def types(self) -> Mapping[str, ColumnType]:
        """Return the type of each field."""
        flag = {DELETED: ColumnType.BOOLEAN} if self.options.deleted else {}
        return {column.name: column.kind for column in self.columns} | flag


@dataclass(frozen=True)
class Broken:
    """A table that cannot be read as configured; the others can.

    Attributes:
        stream: a declaration that says no more than the name.
        error: what is wrong.
    """

    stream: Stream
    error: CrmhouseError


def reflect(
    connection: sa.Connection,
    source: str,
    options: DatabaseOptions,
    only: frozenset[str] | None = None,
) -> list[Table | Broken]:
    """Read the configured tables from the database's catalogue.

    Args:
        connection: to the database.
        source: the source's name, for messages.
        options: as configured.
        only: names of the streams that are asked for; all of them when None.
    """
    inspector = sa.inspect(connection)
    wanted = options.tables or {
        name: TableOptions() for name in sorted(_all_tables(connection, options.db_schema))
    }
    return [
        _table_or_error(inspector, source, options, *item)
        for item in wanted.items()
        if only is None or item[0] in only
    ]


def _all_tables(connection: sa.Connection, schema: str | None) -> set[str]:
    """Return the tables of a schema, and none that is but a partition of another."""
    found = set(sa.inspect(connection).get_table_names(schema))
    if connection.dialect.name != "postgresql":
        return found
    partitions = sa.text(
        "select relname from pg_class where relispartition "
        "and relnamespace = (select oid from pg_namespace where nspname = :schema)"
    )
    parameters = {"schema": schema or connection.dialect.default_schema_name}
    return found - set(connection.scalars(partitions, parameters))


def _table_or_error(
    inspector: sa.Inspector, source: str, options: DatabaseOptions, name: str, asked: TableOptions
) -> Table | Broken:
    try:
        return _table(inspector, source, options, name, asked)
    except (ConfigurationError, SourceRefusedError) as error:
        return Broken(Stream(name=name, object=name, key=(), snapshot=True), error)


def _table(
    inspector: sa.Inspector, source: str, options: DatabaseOptions, name: str, asked: TableOptions
) -> Table:
    schema, table = asked.db_schema or options.db_schema, asked.table or name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sa.exc.SAWarning)  # types that it does not know are text
        try:
            found = inspector.get_columns(table, schema)
            key = asked.key or tuple(
                inspector.get_pk_constraint(table, schema)["constrained_columns"]
            )
        except sa.exc.NoSuchTableError:
            raise SourceRefusedError(
                f"Source {source}, stream {name}: there is no table or view {table} in the "
                f"schema {schema or 'that is the default'}, or the user may not see it."
            ) from None
        except (sa.exc.UnreflectableTableError, sa.exc.OperationalError) as error:
            if getattr(error, "connection_invalidated", False):
                raise
            raise SourceRefusedError(
                f"Source {source}, stream {name}: the columns of {table} cannot be told. See that "
                "what the view reads is still there."
            ) from None
    columns = tuple(_column(entry, asked) for entry in found if entry["name"] not in asked.exclude)
    where = f"Source {source}, stream {name}"
    _require_columns(where, key, columns, asked)
    try:
        stream = _declare(name, table, key, columns, asked)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}.") from None
    return Table(stream, asked, schema, columns, options.zone)


def _column(entry: Any, asked: TableOptions) -> TableColumn:  # noqa: ANN401  # SQLAlchemy's dict
    name, kind = str(entry["name"]), entry["type"]
    declared = asked.columns.get(name)
    while isinstance(kind, postgresql.DOMAIN):
        kind = kind.data_type
    return TableColumn(
        name,
        TYPE_NAMES[declared] if declared else column_type(kind),
        kind,
        is_declared=declared is not None,
        is_nullable=bool(entry["nullable"]),
    )


def column_type(kind: sql_types.TypeEngine[Any]) -> ColumnType:
    """Return the raw type for a type of a source; text for all that have none of their own."""
    if isinstance(kind, mysql.BIT):
        return ColumnType.BOOLEAN if kind.length in {None, 1} else ColumnType.BIGINT
    if isinstance(kind, sql_types.BigInteger) and getattr(kind, "unsigned", False):
        return ColumnType.NUMERIC
    return next((raw for kinds, raw in _KINDS if isinstance(kind, kinds)), ColumnType.TEXT)


def _require_columns(
    where: str, key: tuple[str, ...], columns: tuple[TableColumn, ...], asked: TableOptions
) -> None:
    there = [column.name for column in columns]
    named = (*key, *asked.columns, *filter(None, (asked.cursor, asked.deleted)))
    if missing := sorted({column for column in named if column not in there}):
        raise ConfigurationError(
            f"{where}: the column {some(missing)} is needed, but there is none, or it is excluded. "
            f"There are: {some(there)}."
        )
    kinds = {column.name: column.kind for column in columns}
    if kinds.get(asked.deleted or "") in {ColumnType.TEXT, ColumnType.JSONB}:
        raise ConfigurationError(
            f"{where}: the column {asked.deleted} is to say that a row is deleted, but it is text, "
            f"which may say anything. Declare what it is: columns: {{{asked.deleted}: boolean}}, "
            "or timestamptz."
        )
    if asked.cursor and not key:
        raise ConfigurationError(
            f"{where}: a cursor needs a key. Say which columns identify a row, or leave the cursor "
            "out."
        )


def _declare(
    name: str,
    table: str,
    key: tuple[str, ...],
    columns: tuple[TableColumn, ...],
    asked: TableOptions,
) -> Stream:
    """Declare what rows are found and ordered by; all else comes with the rows.

    Raises:
        ValueError: the stream cannot be declared so.
    """
    kinds = {column.name: column.kind for column in columns}
    version = asked.cursor if kinds.get(asked.cursor or "") is ColumnType.TIMESTAMPTZ else None
    time = asked.deleted if kinds.get(asked.deleted or "") is ColumnType.TIMESTAMPTZ else None
    fields = dict.fromkeys([*key, *(field for field in (version, time) if field)])
    declared = [Column(field, kinds[field]) for field in fields]
    if asked.deleted:
        declared.append(Column(DELETED, ColumnType.BOOLEAN))
    names = {column.field: column.name for column in declared}
    return Stream(
        name=name,
        object=table,
        key=tuple(names[field] for field in key),
        columns=tuple(declared),
        version=names[version] if version else None,
        deleted=names[DELETED] if asked.deleted else None,
        deleted_at=names[time] if time else None,
        snapshot=asked.cursor is None,
        version_optional=any(c.is_nullable for c in columns if c.name == version),
    )
