"""What PostgreSQL knows of a raw table: its columns, its key, and the views over it.

The source's own name of each column is the column's comment: that is how the next run knows which
field belongs to which column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

from crmhouse.errors import ConfigurationError
from ingestion.naming import META_COLUMNS, snake_case
from ingestion.streams import Column, ColumnType

if TYPE_CHECKING:
    from collections.abc import Collection

    from psycopg import Connection

_STALE_SHARE = 0.2
_NAMELESS = snake_case("")  # an empty comment is none
_ENGINE_TYPES = frozenset(ColumnType)


@dataclass(frozen=True)
class Present:
    """A raw table that exists.

    Attributes:
        columns: by the source's field name, in the table's order; meta columns are not among them.
        key: names of the columns of the primary key.
        has_hash: whether it was made for a source without versions.
    """

    columns: dict[str, Column]
    key: frozenset[str]
    has_hash: bool


def read_table(connection: Connection, schema: str, table: str) -> Present | None:
    """Read a raw table from the catalogue; None when there is none.

    Raises:
        ConfigurationError: somebody gave a column a type that the landing engine does not use.
    """
    rows = connection.execute(
        """
        select
            attribute.attname,
            format_type(attribute.atttypid, null),
            col_description(attribute.attrelid, attribute.attnum),
            coalesce(attribute.attnum = any (primary_key.indkey), false)
        from pg_attribute as attribute
        inner join pg_class as class on class.oid = attribute.attrelid
        inner join pg_namespace as namespace on namespace.oid = class.relnamespace
        left join pg_index as primary_key
            on primary_key.indrelid = class.oid and primary_key.indisprimary
        where namespace.nspname = %s and class.relname = %s
            and attribute.attnum > 0 and not attribute.attisdropped
        order by attribute.attnum
        """,
        [schema, table],
    ).fetchall()
    if not rows:
        return None
    columns = {}
    for name, type_name, comment, _ in rows:
        if name in META_COLUMNS:
            continue
        if type_name not in _ENGINE_TYPES:
            raise ConfigurationError(
                f"{schema}.{table}: column {name} has the type {type_name}, which no raw column "
                f"has; they are {', '.join(ColumnType)}. Give it back the type it had."
            )
        source_field = comment or ("" if name == _NAMELESS else name)
        columns[source_field] = Column(source_field, ColumnType(type_name), name)
    return Present(
        columns,
        key=frozenset(name for name, _, _, is_key in rows if is_key),
        has_hash=any(name == "_row_hash" for name, *_ in rows),
    )


def refresh_statistics(connection: Connection, table: sql.Identifier, changed: int) -> None:
    """Analyse a table when a fifth of its rows changed, inside the caller's transaction.

    dbt queries it at once, before autovacuum would have looked; without statistics PostgreSQL
    joins thousands of rows in nested loops.
    """
    row = connection.execute(
        "select reltuples from pg_class where oid = to_regclass(%s)",
        [table.as_string(connection)],
    ).fetchone()
    if row and changed > _STALE_SHARE * max(row[0], 0):
        connection.execute(sql.SQL("analyze {}").format(table))


def filled_columns(
    connection: Connection, schema: str, table: str, names: Collection[str]
) -> frozenset[str]:
    """Return those of the columns that hold a value in some row, as of the last statistics."""
    rows = connection.execute(
        "select attname from pg_stats "
        "where schemaname = %s and tablename = %s and attname = any(%s) and null_frac < 1",
        [schema, table, list(names)],
    )
    return frozenset(name for (name,) in rows)


def views_over(connection: Connection, table: sql.Identifier) -> list[tuple[str, str]]:
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
        [table.as_string(connection)],
    ).fetchall()
