"""Contracts of published tables: read from the catalogue, compared, and changed in place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from psycopg import Connection

PUBLISHED_SCHEMA = "marts"

_COLUMNS = """
    select
        class.relname, attribute.attname,
        format_type(attribute.atttypid, attribute.atttypmod)
        || case when attribute.attcollation not in (0, type.typcollation)
            then ' collate ' || attribute.attcollation::regcollation::text else '' end,
        attribute.attnotnull, col_description(class.oid, attribute.attnum)
    from pg_class as class
    join pg_attribute as attribute on attribute.attrelid = class.oid
    join pg_type as type on type.oid = attribute.atttypid
    where class.relnamespace = %s::regnamespace and class.relkind in ('r', 'p')
        and attribute.attnum > 0 and not attribute.attisdropped
    order by class.relname, attribute.attnum
"""
_KEYS = """
    select class.relname, attribute.attname
    from pg_class as class
    join pg_index as index on index.indrelid = class.oid and index.indisprimary
    cross join unnest(index.indkey::int2[]) with ordinality as part (attnum, position)
    join pg_attribute as attribute
        on attribute.attrelid = class.oid and attribute.attnum = part.attnum
    where class.relnamespace = %s::regnamespace
    order by class.relname, part.position
"""
_CONSTRAINTS = """
    select class.relname, pg_constraint.conname, pg_get_constraintdef(pg_constraint.oid),
        pg_constraint.contype::text
    from pg_class as class
    join pg_constraint on pg_constraint.conrelid = class.oid
    where class.relnamespace = %s::regnamespace and pg_constraint.contype in ('c', 'u', 'p')
    order by class.relname, pg_constraint.conname
"""
_INDEXES = """
    select class.relname, name.relname,
        case when index.indisunique then 'unique ' else '' end,
        substring(pg_get_indexdef(index.indexrelid) from ' USING .*$')
    from pg_class as class
    join pg_index as index on index.indrelid = class.oid
    join pg_class as name on name.oid = index.indexrelid
    where class.relnamespace = %s::regnamespace
        and not exists (select from pg_constraint where conindid = index.indexrelid)
    order by class.relname, name.relname
"""
_COMMENTS = """
    select relname, obj_description(oid, 'pg_class')
    from pg_class where relnamespace = %s::regnamespace and relkind in ('r', 'p')
"""


@dataclass(frozen=True)
class Contract:
    """A table's public form.

    Attributes:
        columns: type by column, in order.
        required: columns that are never NULL.
        key: columns of the primary key.
        constraints: definitions of checks and unique constraints, with the name of each.
        indexes: definitions of other indexes, with the name of each.
        comments: by column; the table's own under "".
    """

    table: str
    columns: Mapping[str, str]
    required: frozenset[str]
    key: tuple[str, ...]
    key_name: str
    constraints: Mapping[str, str]
    indexes: Mapping[str, str]
    comments: Mapping[str, str | None]

    def same_shape(self, other: Contract) -> bool:
        """Say whether columns, key, constraints and indexes are equal, whatever their order."""
        return (
            dict(self.columns) == dict(other.columns)
            and self.required == other.required
            and self.key == other.key
            and set(self.constraints) == set(other.constraints)
            and set(self.indexes) == set(other.indexes)
        )

    def lost(self, other: Contract) -> list[str]:
        """Return the columns that `other` does not have, or has with another type."""
        return [name for name, kind in self.columns.items() if other.columns.get(name) != kind]

    def list_columns(self, alias: str = "") -> sql.Composed:
        """Return the columns for a select list or a row, in this contract's order."""
        return _listed(self.columns, alias)

    def list_key(self, alias: str = "") -> sql.Composed:
        """Return the key's columns for a select list."""
        return _listed(self.key, alias)

    def same_key(self, left: str, right: str) -> sql.Composed:
        """Return the condition that two aliased rows have one key."""
        return sql.SQL(" and ").join(
            sql.SQL("{} = {}").format(sql.Identifier(left, name), sql.Identifier(right, name))
            for name in self.key
        )


def read_contracts(connection: Connection, schema: str) -> dict[str, Contract]:
    """Read the contracts of all tables of a schema, by table."""
    columns = connection.execute(_COLUMNS, [schema]).fetchall()
    keys = connection.execute(_KEYS, [schema]).fetchall()
    constraints = connection.execute(_CONSTRAINTS, [schema]).fetchall()
    indexes = connection.execute(_INDEXES, [schema]).fetchall()
    comments = connection.execute(_COMMENTS, [schema]).fetchall()
    return {
        table: Contract(
            table=table,
            columns={name: kind for of, name, kind, _, _ in columns if of == table},
            required=frozenset(
                name for of, name, _, needed, _ in columns if of == table and needed
            ),
            key=tuple(name for of, name in keys if of == table),
            key_name=next((n for of, n, _, kind in constraints if of == table and kind == "p"), ""),
            constraints={d: n for of, n, d, kind in constraints if of == table and kind != "p"},
            indexes={f"{kind}index {d}": n for of, n, kind, d in indexes if of == table},
            comments={
                "": comment,
                **{name: text for of, name, _, _, text in columns if of == table},
            },
        )
        for table, comment in comments
    }


def create(connection: Connection, source: sql.Identifier, target: sql.Identifier) -> None:
    """Create a published table in the form of its candidate."""
    connection.execute(sql.SQL("create table {} (like {} including all)").format(target, source))


def adapt(
    connection: Connection, target: sql.Identifier, published: Contract, candidate: Contract
) -> int:
    """Take away what the candidate does not have and add its new columns, before rows are moved.

    A column that changes its type is a new column: its rows are written again. The old one takes
    the key, the constraints and the indexes that it is part of along; `finish` declares them again.
    What a view or a policy needs is not dropped (`restrict`).

    Returns:
        Rows that were deleted because they cannot be matched under another key.

    Raises:
        psycopg.errors.DependentObjectsStillExist: says what needs it.
    """
    if published.same_shape(candidate):
        return 0
    deleted = 0
    gone = [
        name for kind, name in published.constraints.items() if kind not in candidate.constraints
    ]
    if published.key != candidate.key:
        deleted = connection.execute(sql.SQL("delete from {}").format(target)).rowcount
        gone += [published.key_name] if published.key_name else []
    _alter(connection, target, "drop constraint {}", gone)
    for definition, name in published.indexes.items():
        if definition not in candidate.indexes:
            index = sql.Identifier(PUBLISHED_SCHEMA, name)
            connection.execute(sql.SQL("drop index {}").format(index))
    optional = sorted(published.required - candidate.required)
    _alter(connection, target, "alter column {} drop not null", optional)
    _alter(connection, target, "drop column {}", published.lost(candidate))
    for name in candidate.lost(published):
        _alter(connection, target, f"add column {{}} {candidate.columns[name]}", [name])
    return deleted


def finish(
    connection: Connection,
    target: sql.Identifier,
    published: Contract | None,
    candidate: Contract,
) -> None:
    """Declare what holds over the candidate's rows, after they were moved, and describe them.

    A table that was just created (`published` is None) has all of it but its own comment.
    """
    comments = {**candidate.comments, "": None}
    if published is not None:
        left = published
        if not published.same_shape(candidate):
            left = read_contracts(connection, PUBLISHED_SCHEMA)[candidate.table]
            _declare(connection, target, left, candidate)
        comments = dict(left.comments)
    for name, comment in candidate.comments.items():
        if comments.get(name) != comment:
            _comment(connection, target, name, comment)


def _declare(
    connection: Connection, target: sql.Identifier, left: Contract, candidate: Contract
) -> None:
    """Declare what the candidate has and `adapt` has not left in the published table."""
    missing = sorted(candidate.required - left.required)
    _alter(connection, target, "alter column {} set not null", missing)
    if left.key != candidate.key:
        key = sql.SQL("alter table {} add primary key ({})")
        connection.execute(key.format(target, candidate.list_key()))
    for definition in set(candidate.constraints) - set(left.constraints):
        _execute(connection, "alter table {} add " + definition, target)
    for definition in set(candidate.indexes) - set(left.indexes):
        kind, rest = definition.split(" USING ", 1)
        _execute(connection, f"create {kind.strip()} on {{}} using {rest}", target)


def _alter(
    connection: Connection,
    target: sql.Identifier,
    action: str,
    names: Iterable[str],
) -> None:
    """Apply one action to each of the columns or constraints, `{}` being its name."""
    before, after = action.split("{}")
    for name in names:
        # The action is our text and the catalogue's; the names are quoted.
        parts = [sql.SQL(before), sql.Identifier(name), sql.SQL(after)]
        connection.execute(sql.SQL("alter table {} {}").format(target, sql.Composed(parts)))


def _execute(connection: Connection, statement: str, target: sql.Identifier) -> None:
    """Execute a statement made of the catalogue's own text, `{}` being the table."""
    before, after = statement.split("{}", 1)
    parts = (sql.SQL(before), target, sql.SQL(after))
    connection.execute(sql.Composed(parts))


def _comment(
    connection: Connection, target: sql.Identifier, name: str, comment: str | None
) -> None:
    text = sql.Literal(comment)
    if not name:
        connection.execute(sql.SQL("comment on table {} is {}").format(target, text))
        return
    column = sql.SQL(".").join([target, sql.Identifier(name)])
    connection.execute(sql.SQL("comment on column {} is {}").format(column, text))


def _listed(names: Iterable[str], alias: str) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.Identifier(alias, name) if alias else sql.Identifier(name) for name in names
    )
