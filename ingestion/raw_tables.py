"""Raw tables in PostgreSQL: created from a stream's declaration, grown as fields appear.

The source's own name of each column is kept in the column's comment, which is also how the next
run knows which field belongs to which column.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from psycopg import sql

from crmhouse.errors import RunFailedError
from ingestion.naming import META_COLUMNS, distinct, snake_case
from ingestion.streams import WIDENS_TO, Column, ColumnType

if TYPE_CHECKING:
    from uuid import UUID

    from psycopg import Connection

    from ingestion.streams import Stream

_META_OF_ALL = (
    ("_source_updated_at", "timestamptz", "The source's time of this version of the record."),
    ("_loaded_at", "timestamptz not null", "When this version was landed."),
    ("_run_id", "uuid not null", "The run that landed this version; see ops.sync_runs."),
    ("_deleted_at", "timestamptz", "When the source deleted the record; the row stays."),
)
_DBT_VIEWS = frozenset({"staging", "intermediate"})
_STALE_SHARE = 0.1
_ROW_HASH = ("_row_hash", "bigint not null", "Digest of the row: this source has no versions.")


@dataclass
class RawTable:
    """A raw table as it is now: which field of the source is in which column.

    Attributes:
        source: the configured source's name.
        stream: the declaration.
        columns: by the source's field name, in the table's order; meta columns are not among them.
        wanted: columns that the table does not have yet, or has with a narrower type.
    """

    source: str
    stream: Stream
    columns: dict[str, Column]
    wanted: dict[str, Column] = field(default_factory=dict)

    @property
    def schema(self) -> str:
        """Return the schema's name."""
        return f"raw_{self.source}"

    @property
    def identifier(self) -> sql.Identifier:
        """Return the quoted name of the table."""
        return sql.Identifier(self.schema, self.stream.name)

    @property
    def lock_key(self) -> str:
        """Return the text whose hash is the table's advisory lock."""
        return f"{self.schema}.{self.stream.name}"

    def want(self, source_field: str, column_type: ColumnType) -> Column:
        """Return the column for a field, noting a new column or a wider type for `evolve`."""
        known = self.columns.get(source_field)
        if known is None:
            taken = {column.name for column in self.columns.values()} | META_COLUMNS
            name = distinct(snake_case(source_field), taken, source_field)
            column = Column(source_field, column_type, name)
        elif WIDENS_TO.get(known.type) is column_type:
            column = Column(source_field, column_type, known.name)
        else:
            return known
        self.columns[source_field] = self.wanted[source_field] = column
        return column


def prepare(connection: Connection, source: str, stream: Stream, run_id: UUID) -> RawTable:
    """Return the stream's raw table, created or completed from the declaration in a transaction.

    Args:
        connection: in autocommit mode.
        source: the configured source's name.
        stream: the declaration.
        run_id: the run, for `ops.schema_changes`.
    """
    table = RawTable(source, stream, _read(connection, source, stream))
    for column in stream.columns:
        if column.field not in table.columns:
            table.columns[column.field] = table.wanted[column.field] = column
    if table.wanted and (stream.columns or _exists(connection, table)):
        with connection.transaction():
            evolve(connection, table, run_id)
    return table


def evolve(connection: Connection, table: RawTable, run_id: UUID) -> None:
    """Create, add or widen what `table` wants, inside the caller's transaction.

    Other runs that evolve the table wait; what they did meanwhile is kept.
    """
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [table.lock_key])
    present = _read(connection, table.source, table.stream)
    changes: list[tuple[str, str | None, Column]] = []
    if not _exists(connection, table):
        _create(connection, table)
        changes.extend(("created", None, column) for column in table.columns.values())
    else:
        for source_field, column in table.wanted.items():
            if source_field not in present:
                _add(connection, table, column)
                changes.append(("added", None, column))
            elif present[source_field].type is not column.type:
                _widen(connection, table, column)
                changes.append(("widened", present[source_field].type.value, column))
    for change, old_type, column in changes:
        connection.execute(
            "insert into ops.schema_changes "
            "(source, stream, column_name, change, old_type, new_type, run_id) "
            "values (%s, %s, %s, %s, %s, %s, %s)",
            [table.source, table.stream.name, column.name, change, old_type, column.type, run_id],
        )
    table.wanted.clear()


def refresh_statistics(connection: Connection, table: RawTable, changed: int) -> None:
    """Analyse the table when a tenth of its rows changed, inside the caller's transaction.

    dbt queries it at once, before autovacuum would have looked; without statistics PostgreSQL
    joins thousands of rows in nested loops.
    """
    row = connection.execute(
        "select reltuples from pg_class where oid = to_regclass(%s)",
        [table.identifier.as_string(connection)],
    ).fetchone()
    if row and changed > _STALE_SHARE * max(row[0], 0):
        connection.execute(sql.SQL("analyze {}").format(table.identifier))


def _exists(connection: Connection, table: RawTable) -> bool:
    found = connection.execute(
        "select to_regclass(%s)", [table.identifier.as_string(connection)]
    ).fetchone()
    return found is not None and found[0] is not None


def _read(connection: Connection, source: str, stream: Stream) -> dict[str, Column]:
    """Read the table's columns from the catalogue; empty when there is no table."""
    rows = connection.execute(
        """
        select
            attribute.attname,
            format_type(attribute.atttypid, null),
            coalesce(col_description(attribute.attrelid, attribute.attnum), attribute.attname)
        from pg_attribute as attribute
        inner join pg_class as class on class.oid = attribute.attrelid
        inner join pg_namespace as namespace on namespace.oid = class.relnamespace
        where namespace.nspname = %s and class.relname = %s
            and attribute.attnum > 0 and not attribute.attisdropped
        order by attribute.attnum
        """,
        [f"raw_{source}", stream.name],
    ).fetchall()
    return {
        source_field: Column(source_field, ColumnType(type_name), name)
        for name, type_name, source_field in rows
        if name not in META_COLUMNS
    }


def _create(connection: Connection, table: RawTable) -> None:
    stream = table.stream
    connection.execute(
        sql.SQL("create schema if not exists {}").format(sql.Identifier(table.schema))
    )
    meta = [*_META_OF_ALL, *([] if stream.version else [_ROW_HASH])]
    definitions = [
        *(_definition(column) for column in table.columns.values()),
        *(sql.SQL("{} " + kind).format(sql.Identifier(name)) for name, kind, _ in meta),
        sql.SQL("primary key ({})").format(names(stream.key)),
    ]
    connection.execute(
        sql.SQL("create table {} ({})").format(table.identifier, sql.SQL(", ").join(definitions))
    )
    for column in table.columns.values():
        _comment(connection, table, column.name, column.field)
    for name, _, comment in meta:
        _comment(connection, table, name, comment)


def _add(connection: Connection, table: RawTable, column: Column) -> None:
    connection.execute(
        sql.SQL("alter table {} add column {}").format(table.identifier, _definition(column))
    )
    _comment(connection, table, column.name, column.field)


def _widen(connection: Connection, table: RawTable, column: Column) -> None:
    """Give a column its wider type; dbt's views over the table are dropped, dbt makes them again.

    Raises:
        RunFailedError: somebody else's view hangs on the table.
    """
    views = _views_over(connection, table)
    if foreign := sorted(f"{schema}.{name}" for schema, name in views if schema not in _DBT_VIEWS):
        raise RunFailedError(
            f"{table.schema}.{table.stream.name}: column {column.name} must be widened to "
            f"{column.type.value}, but PostgreSQL cannot do that below the view "
            f"{', '.join(foreign)}. Drop that view, sync again, and create it anew."
        )
    for schema, name in views:
        connection.execute(
            sql.SQL("drop view if exists {} cascade").format(sql.Identifier(schema, name))
        )
    connection.execute(
        sql.SQL("alter table {} alter column {} type " + column.type.value).format(
            table.identifier, sql.Identifier(column.name)
        )
    )


def _views_over(connection: Connection, table: RawTable) -> list[tuple[str, str]]:
    """Return schema and name of every view that reads the table, directly or through another."""
    return connection.execute(
        """
        with recursive readers (oid) as (
            select to_regclass(%s)::oid
            union
            select rewrite.ev_class
            from readers
            inner join pg_depend as dependency
                on dependency.refobjid = readers.oid
                and dependency.refclassid = 'pg_class'::regclass
                and dependency.classid = 'pg_rewrite'::regclass
            inner join pg_rewrite as rewrite on rewrite.oid = dependency.objid
        )
        select namespace.nspname, class.relname
        from readers
        inner join pg_class as class using (oid)
        inner join pg_namespace as namespace on namespace.oid = class.relnamespace
        where class.relkind in ('v', 'm')
        """,
        [table.identifier.as_string(connection)],
    ).fetchall()


def _definition(column: Column) -> sql.Composed:
    return sql.SQL("{} " + column.type.value).format(sql.Identifier(column.name))


def _comment(connection: Connection, table: RawTable, column: str, comment: str) -> None:
    connection.execute(
        sql.SQL("comment on column {} is {}").format(
            sql.Identifier(table.schema, table.stream.name, column), sql.Literal(comment)
        )
    )


def names(columns: tuple[str, ...] | list[str], of: str | None = None) -> sql.Composed:
    """Return a comma-separated list of quoted names, each `of` that relation."""
    return sql.SQL(", ").join(
        sql.Identifier(of, name) if of else sql.Identifier(name) for name in columns
    )
