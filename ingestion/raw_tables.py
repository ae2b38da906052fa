"""Raw tables in PostgreSQL: created from a stream's declaration, grown as fields appear."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from crmhouse.errors import (
    ConfigurationError,
    PermissionMissingError,
    RunFailedError,
    WarehouseError,
)
from ingestion.catalogue import read_table, views_over
from ingestion.naming import META_COLUMNS, distinct, names
from ingestion.runs import has_landed
from ingestion.streams import WIDENS_TO, Column, ColumnType, are_related

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from uuid import UUID

    from psycopg import Connection

    from ingestion.catalogue import Present
    from ingestion.streams import Contract, Stream

RUN_SETTING = "crmhouse.run_id"
"""The setting of a transaction that gives `_run_id` to rows which COPY brings without it."""

_META_OF_ALL = (
    ("_source_updated_at", "timestamptz", "The source's time of this version of the record."),
    ("_loaded_at", "timestamptz not null default now()", "When this version was landed."),
    (
        "_run_id",
        f"uuid not null default current_setting('{RUN_SETTING}')::uuid",
        "The run that landed this version; see ops.sync_runs.",
    ),
    ("_deleted_at", "timestamptz", "When the source deleted the record; the row stays."),
)
_FILL_PERCENT = 90
"""What is filled of a page: a new version of a row then fits beside the old, and no index grows."""
_DBT_VIEWS = frozenset({"staging", "intermediate"})
_ASKED = "the configuration asks for"
_ROW_HASH = ("_row_hash", "bigint not null", "Digest of the row: this source has no versions.")
_ROW_COPY = ("_row_copy", "integer not null", "Which of equal rows this is: they have no key.")


@dataclass
class RawTable:
    """A raw table as it is now: which field of the source is in which column.

    Attributes:
        source: the configured source's name.
        stream: the declaration.
        columns: by the source's field name, in the table's order; meta columns are not among them.
        contract: whether records may change the table.
        wanted: columns that the table does not have yet, or has with a narrower type.
    """

    source: str
    stream: Stream
    columns: dict[str, Column]
    contract: Contract = "evolve"
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

    def field_of(self, name: str, arrived: Iterable[str]) -> str:
        """Return the field of a column, which may be one of those that arrived just now."""
        known = (field for field, column in self.columns.items() if column.name == name)
        new = (field for field in arrived if self.stream.column_name(field) == name)
        return next(known, None) or next(new, name)

    def want(self, source_field: str, column_type: ColumnType) -> Column:
        """Return the column for a field, noting a new column or a wider type for `evolve`."""
        known = self.columns.get(source_field)
        if known is None:
            taken = {column.name for column in self.columns.values()} | META_COLUMNS
            name = distinct(self.stream.column_name(source_field), taken, source_field)
            column = Column(source_field, column_type, name)
        elif WIDENS_TO.get(known.type) is column_type:
            column = Column(source_field, column_type, known.name)
        else:
            return known
        self.columns[source_field] = self.wanted[source_field] = column
        return column


def prepare(
    connection: Connection,
    source: str,
    stream: Stream,
    run_id: UUID,
    contract: Contract = "evolve",
) -> RawTable:
    """Return the stream's raw table, created or completed from the declaration in a transaction.

    Args:
        connection: in autocommit mode.
        source: the configured source's name.
        stream: the declaration.
        run_id: the run, for `ops.schema_changes`.
        contract: holds from the first landed slice on; that one makes the table.

    Raises:
        ConfigurationError: the table was made from another declaration; says how to start anew.
    """
    binding = contract != "evolve" and has_landed(connection, source, stream.name)
    table = RawTable(source, stream, {}, contract if binding else "evolve")
    present = read_table(connection, table.schema, stream.name)
    if present:
        table.columns.update(present.columns)
        _refuse_changed_declaration(table, present)
    for column in stream.columns:
        known = table.columns.get(column.field)
        if known is None or WIDENS_TO.get(known.type) is column.type:
            table.columns[column.field] = table.wanted[column.field] = column
    if table.wanted:
        with connection.transaction():
            evolve(connection, table, run_id)
    return table


def _refuse_changed_declaration(table: RawTable, present: Present) -> None:
    stream = table.stream
    if differences := "; ".join(_differences(stream, present)):
        raise ConfigurationError(
            f"{table.schema}.{stream.name} was made from another declaration: {differences}. "
            "Put the declaration back, or load the stream anew: drop table "
            f"{table.identifier.as_string()} cascade, remove the rows with source = "
            f"'{table.source}' and stream = '{stream.name}' from ops.stream_state, then sync."
        )


def _differences(stream: Stream, present: Present) -> Iterator[str]:
    """Say what a table has and what the declaration asks for, where these cannot be reconciled."""
    if present.key != frozenset(stream.identity):
        asked = ", ".join(stream.identity)
        yield f"its key is {', '.join(sorted(present.key)) or 'missing'}, {_ASKED} {asked}"
    if present.has_hash is not (stream.version is None):
        has = "no version" if present.has_hash else "a version"
        yield f"its rows have {has}, {_ASKED} {stream.version or 'none'}"
    holds = {column.name: column for column in present.columns.values()}
    for column in stream.columns:
        known = present.columns.get(column.field)
        if known is None and column.name in holds:
            yield (
                f"column {column.name} holds the field {holds[column.name].field}, "
                f"{_ASKED} {column.field}"
            )
        elif known and known.name != column.name:
            yield f"the field {column.field} is in column {known.name}, {_ASKED} {column.name}"
        elif known and not _suits(stream, known, column):
            yield f"column {column.name} is {known.type.value}, {_ASKED} {column.type.value}"


def _suits(stream: Stream, known: Column, declared: Column) -> bool:
    if known.name in stream.watermark:  # a time can be told from the declared type only
        return declared.type in {known.type, WIDENS_TO.get(known.type)}
    return are_related(known.type, declared.type)


def evolve(connection: Connection, table: RawTable, run_id: UUID) -> None:
    """Create, add or widen what `table` wants, inside the caller's transaction.

    Other runs that evolve the table wait. What they did meanwhile is kept: where they gave a field
    a wider type, `table` takes it over.

    Raises:
        WarehouseError: meanwhile another run made a column that the rows at hand do not fit.
    """
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [table.lock_key])
    present = read_table(connection, table.schema, table.stream.name)
    changes: list[tuple[str, str | None, Column]] = []
    if present is None:
        _create(connection, table)
        changes.extend(("created", None, column) for column in table.columns.values())
    else:
        for source_field, column in table.wanted.items():
            known = present.columns.get(source_field)
            _refuse_what_another_run_made(table, present, column)
            if known is None:
                _add(connection, table, column)
                changes.append(("added", None, column))
            elif WIDENS_TO.get(known.type) is column.type:
                _widen(connection, table, column)
                changes.append(("widened", known.type.value, column))
            else:
                table.columns[source_field] = known
    for change, old_type, column in changes:
        _note(connection, table, run_id, column, change=change, old_type=old_type)
    table.wanted.clear()


def note_vanished(
    connection: Connection, table: RawTable, run_id: UUID, vanished: Collection[str]
) -> None:
    """Note which columns the source has no more, and which it has again, when that is news.

    Args:
        connection: in a transaction.
        table: the raw table.
        run_id: the run.
        vanished: the fields that a whole slice does not have, but rows have values of.
    """
    known: dict[str, str] = dict(
        connection.execute(
            "select distinct on (column_name) column_name, change from ops.schema_changes "
            "where source = %s and stream = %s order by column_name, change_id desc",
            [table.source, table.stream.name],
        ).fetchall()
    )
    for source_field, column in table.columns.items():
        is_gone, was_gone = source_field in vanished, known.get(column.name) == "vanished"
        if is_gone and not was_gone:
            _note(connection, table, run_id, column, change="vanished", old_type=column.type.value)
        elif was_gone and not is_gone:
            _note(connection, table, run_id, column, change="returned", old_type=None)


def _note(
    connection: Connection,
    table: RawTable,
    run_id: UUID,
    column: Column,
    *,
    change: str,
    old_type: str | None,
) -> None:
    connection.execute(
        "insert into ops.schema_changes "
        "(source, stream, column_name, change, old_type, new_type, run_id) "
        "values (%s, %s, %s, %s, %s, %s, %s)",
        [
            table.source, table.stream.name, column.name, change, old_type,
            None if change == "vanished" else column.type.value, run_id,
        ],
    )  # fmt: skip


def _refuse_what_another_run_made(table: RawTable, present: Present, column: Column) -> None:
    """Raise unless the table can have the column, has it, or has it with a wider type."""
    known = present.columns.get(column.field)
    if known is None:
        suits = column.name not in {other.name for other in present.columns.values()}
    else:
        suits = known.name == column.name and are_related(known.type, column.type)
    if not suits:
        made = f"{known.name} {known.type.value}" if known else f"{column.name} for another field"
        raise WarehouseError(
            f"{table.schema}.{table.stream.name}: meanwhile another run made the column {made}; "
            f"this one needs {column.name} {column.type.value} for {column.field}. Nothing of the "
            "slice was landed: sync again, it then takes the column as it is."
        )


def _create_schema(connection: Connection, schema: str) -> None:
    """Create the schema where it is missing; `if not exists` alone demands the right even then."""
    if connection.execute("select to_regnamespace(quote_ident(%s))", [schema]).fetchone() != (
        None,
    ):
        return
    try:
        statement = sql.SQL("create schema if not exists {}")
        connection.execute(statement.format(sql.Identifier(schema)))
    except psycopg.errors.InsufficientPrivilege:
        database, role = connection.info.dbname, connection.info.user
        raise PermissionMissingError(
            f'The role "{role}" may not create the schema {schema}. Run, as the owner of the '
            f'database: grant create on database "{database}" to "{role}"; then sync again.'
        ) from None


def _create(connection: Connection, table: RawTable) -> None:
    stream = table.stream
    _create_schema(connection, table.schema)
    meta = [*_META_OF_ALL, *([] if stream.version else [_ROW_HASH])]
    meta += [] if stream.key else [_ROW_COPY]
    definitions = [
        *(_definition(column) for column in table.columns.values()),
        *(sql.SQL("{} " + kind).format(sql.Identifier(name)) for name, kind, _ in meta),
        sql.SQL("primary key ({})").format(names(stream.identity)),
    ]
    connection.execute(
        sql.SQL("create table {} ({}) with (fillfactor = {})").format(
            table.identifier, sql.SQL(", ").join(definitions), sql.Literal(_FILL_PERCENT)
        )
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
    views = views_over(connection, table.identifier)
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


def _definition(column: Column) -> sql.Composed:
    return sql.SQL("{} " + column.type.value).format(sql.Identifier(column.name))


def _comment(connection: Connection, table: RawTable, column: str, comment: str) -> None:
    connection.execute(
        sql.SQL("comment on column {} is {}").format(
            sql.Identifier(table.schema, table.stream.name, column), sql.Literal(comment)
        )
    )
