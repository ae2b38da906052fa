"""Which version of a record wins, and what is written of it: the SQL that a merge is made of.

The rows that arrive are called `incoming`, those of the raw table `current`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

from ingestion.naming import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from ingestion.streams import Stream


@dataclass(frozen=True)
class Columns:
    """What a merge reads and writes.

    Attributes:
        stream: the declaration.
        everything: names of the table's columns, without the meta columns.
        payload: those of them that the slice has.
        as_of: where the staged rows are what the source had at a moment, whatever their version.
    """

    stream: Stream
    everything: tuple[str, ...]
    payload: tuple[str, ...]
    as_of: datetime | None = None

    @property
    def tells_deletions(self) -> bool:
        """Say whether `_deleted_at` is known: without the flag a tombstone stays one."""
        return self.stream.deleted is None or self.stream.deleted in self.payload

    @property
    def meta(self) -> tuple[str, ...]:
        """Return the meta columns that the staged rows say something of."""
        return ("_source_updated_at", *(["_deleted_at"] if self.tells_deletions else []))


def meta_of(stream: Stream) -> sql.Composed:
    """Compute the meta columns of a staged row."""
    version = sql.Identifier("staged", stream.version) if stream.version else sql.NULL
    source_time = sql.SQL("{}::timestamptz as _source_updated_at").format(version)
    if not stream.deleted:
        return source_time + sql.SQL(", null::timestamptz as _deleted_at")
    time = sql.Identifier("staged", stream.deleted_at) if stream.deleted_at else sql.NULL
    return source_time + sql.SQL(
        ", case when {} then coalesce({}, {}, now()) end as _deleted_at"
    ).format(sql.Identifier("staged", stream.deleted), time, version)


def latest_first(columns: Columns) -> sql.SQL:
    """Return the order in which the current version of a record comes first."""
    if not columns.stream.version:
        return sql.SQL("_arrival desc")
    if columns.stream.deleted and columns.tells_deletions:
        return sql.SQL("_source_updated_at desc nulls last, _deleted_at is null, _arrival desc")
    return sql.SQL("_source_updated_at desc nulls last, _arrival desc")


def newer(columns: Columns) -> sql.Composed:
    """Say when the incoming row replaces the current one."""
    differs = sql.SQL("row({}) is distinct from row({})").format(
        names(columns.payload, of="incoming"), names(columns.payload, of="current")
    )
    # What was found missing once and is there again, is there.
    returns = "(current._deleted_at is null) <> (incoming._deleted_at is null)"
    if columns.tells_deletions:
        changes = sql.SQL("({} or {})").format(differs, sql.SQL(returns))
    else:
        changes = sql.SQL("({})").format(differs)
    if columns.as_of:
        return changes + sql.SQL(" and current._loaded_at < {}").format(sql.Literal(columns.as_of))
    if not columns.stream.version:
        return changes
    undeletes = sql.SQL("false")
    if columns.tells_deletions:
        undeletes = sql.SQL("current._deleted_at is not null and incoming._deleted_at is null")
    return sql.SQL(
        """
        coalesce(incoming._source_updated_at, '-infinity')
        > coalesce(current._source_updated_at, '-infinity')
        or (
            incoming._source_updated_at is not distinct from current._source_updated_at
            and {differs}
            and not ({undeletes})
        )
        """
    ).format(differs=differs, undeletes=undeletes)


def written(columns: Columns) -> tuple[str, ...]:
    """Return the columns that a new row gets."""
    has_hash = columns.stream.version is None
    meta = (*columns.meta, "_loaded_at", "_run_id", *(["_row_hash"] * has_hash))
    return (*columns.payload, *meta)


def new_values(columns: Columns, run_id: UUID) -> sql.Composed:
    """Return what a new row gets in the columns that `written` names."""
    values: list[sql.Composable] = [names((*columns.payload, *columns.meta), of="incoming")]
    values.append(sql.SQL("now(), {}").format(sql.Literal(run_id)))
    if columns.stream.version is None:
        values.append(digest(sql.Identifier("incoming", name) for name in columns.everything))
    return sql.SQL(", ").join(values)


def assignments(columns: Columns, run_id: UUID) -> sql.Composed:
    """Say what of a row changes when it is brought up to date."""
    parts: list[sql.Composable] = [
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Identifier("incoming", name))
        for name in (*columns.payload, *columns.meta)
        if name not in columns.stream.key
    ]
    parts.append(sql.SQL("_loaded_at = now(), _run_id = {}").format(sql.Literal(run_id)))
    if not columns.stream.version:
        # The digest is that of the row as it will be, what stays of it included.
        after = (
            sql.Identifier("incoming" if name in columns.payload else "current", name)
            for name in columns.everything
        )
        parts.append(sql.SQL("_row_hash = ") + digest(after))
    return sql.SQL(", ").join(parts)


def digest(values: Iterable[sql.Identifier]) -> sql.Composed:
    """Return the digest of a row without versions."""
    return sql.SQL("hashtextextended(row({})::text, 0)").format(sql.SQL(", ").join(values))


def same_key(key: Sequence[str]) -> sql.Composed:
    """Say when `current` and `incoming` are one record."""
    return sql.SQL(" and ").join(
        sql.SQL("current.{0} = incoming.{0}").format(sql.Identifier(name)) for name in key
    )
