"""The merge: from a run's private staging table into the raw table, newer versions only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from psycopg import sql

from ingestion.raw_tables import names
from ingestion.streams import ColumnType

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime
    from uuid import UUID

    from psycopg import Connection

    from ingestion.raw_tables import RawTable
    from ingestion.streams import Stream


class Merged(NamedTuple):
    """Rows of the raw table that a merge touched; `deleted` are tombstones among them."""

    inserted: int
    updated: int
    deleted: int


@dataclass(frozen=True)
class _Columns:
    """What a merge reads and writes.

    Attributes:
        stream: the declaration.
        everything: names of the table's columns, without the meta columns.
        payload: those of them that the slice has.
    """

    stream: Stream
    everything: tuple[str, ...]
    payload: tuple[str, ...]

    @property
    def tells_deletions(self) -> bool:
        """Say whether `_deleted_at` is known: without the flag a tombstone stays one."""
        return self.stream.deleted is None or self.stream.deleted in self.payload

    @property
    def meta(self) -> tuple[str, ...]:
        """Return the meta columns that the staged rows say something of."""
        return ("_source_updated_at", *(["_deleted_at"] if self.tells_deletions else []))


def merge(
    connection: Connection,
    table: RawTable,
    staged: sql.Identifier,
    run_id: UUID,
    present: Collection[str],
) -> Merged:
    """Merge staged rows into the raw table, inside the caller's transaction.

    Of several staged rows with one key the latest version wins, and of equal versions the one
    that arrived last. A row changes only when its version is newer, or equal with other content;
    where the source has no versions, when its content differs. Among equal versions a deletion
    stands, whatever arrives after it. Keys are taken in their order, so merges into one table wait
    for each other but never deadlock; a row that is already current is not even locked.

    Args:
        connection: in a transaction.
        table: the raw table.
        staged: the rows, with all columns of the table.
        run_id: the run, for the meta column.
        present: the columns that the slice has. Of the others it says nothing: a row keeps what it
            holds there, a new row has NULL.
    """
    stream = table.stream
    everything = tuple(column.name for column in table.columns.values())
    columns = _Columns(stream, everything, tuple(n for n in everything if n in present))
    arriving = (*columns.payload, *columns.meta)
    written = (*arriving, "_loaded_at", "_run_id", *(() if stream.version else ("_row_hash",)))
    statement = sql.SQL(
        """
        with latest as (
            select distinct on ({key}) *
            from (
                select staged.*, staged.ctid as _arrival, {meta} from {staged} as staged
            ) as staged
            order by {key}, {latest_first}
        ),
        merged as (
            insert into {raw} as current ({written})
            select {incoming}, now(), {run_id} {hash}
            from latest as incoming
            where not exists (
                select from {raw} as current where {same_key} and not ({newer})
            )
            order by {incoming_key}
            on conflict ({key}) do update set {assignments} where {newer_excluded}
            returning (xmax = 0) as is_new, _deleted_at is not null as is_deleted
        )
        select
            count(*) filter (where is_new),
            count(*) filter (where not is_new),
            count(*) filter (where is_deleted)
        from merged
        """
    ).format(
        key=names(stream.key),
        meta=_meta(stream),
        staged=staged,
        latest_first=_latest_first(columns),
        raw=table.identifier,
        written=names(written),
        incoming=names(arriving, of="incoming"),
        incoming_key=names(stream.key, of="incoming"),
        run_id=sql.Literal(run_id),
        hash=sql.SQL("" if stream.version else ", ") + _new_hash(columns),
        same_key=_same_key(stream),
        newer=_newer(columns, "incoming"),
        newer_excluded=_newer(columns, "excluded"),
        assignments=_assignments(columns, written),
    )
    row = connection.execute(statement).fetchone()
    return Merged(*(row or (0, 0, 0)))


def _meta(stream: Stream) -> sql.Composed:
    """Compute the meta columns of a staged row."""
    version = sql.Identifier("staged", stream.version) if stream.version else sql.NULL
    source_time = sql.SQL("{}::timestamptz as _source_updated_at").format(version)
    if not stream.deleted:
        return source_time + sql.SQL(", null::timestamptz as _deleted_at")
    time = sql.Identifier("staged", stream.deleted_at) if stream.deleted_at else sql.NULL
    return source_time + sql.SQL(
        ", case when {} then coalesce({}, {}, now()) end as _deleted_at"
    ).format(sql.Identifier("staged", stream.deleted), time, version)


def _latest_first(columns: _Columns) -> sql.SQL:
    if not columns.stream.version:
        return sql.SQL("_arrival desc")
    if columns.stream.deleted and columns.tells_deletions:
        return sql.SQL("_source_updated_at desc, _deleted_at is null, _arrival desc")
    return sql.SQL("_source_updated_at desc, _arrival desc")


def _new_hash(columns: _Columns) -> sql.Composed:
    """Return the digest of a new row, in all its columns."""
    if columns.stream.version:
        return sql.Composed([])
    return _digest(sql.Identifier("incoming", name) for name in columns.everything)


def _assignments(columns: _Columns, written: tuple[str, ...]) -> sql.Composed:
    kept = (*columns.stream.key, "_row_hash")
    parts: list[sql.Composable] = [
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
        for name in written
        if name not in kept
    ]
    if not columns.stream.version:
        # The digest is that of the row as it will be, what stays of it included.
        after = (
            sql.Identifier("excluded" if name in columns.payload else "current", name)
            for name in columns.everything
        )
        parts.append(sql.SQL("_row_hash = ") + _digest(after))
    return sql.SQL(", ").join(parts)


def _digest(values: Iterable[sql.Identifier]) -> sql.Composed:
    return sql.SQL("hashtextextended(row({})::text, 0)").format(sql.SQL(", ").join(values))


def _same_key(stream: Stream) -> sql.Composed:
    return sql.SQL(" and ").join(
        sql.SQL("current.{0} = incoming.{0}").format(sql.Identifier(name)) for name in stream.key
    )


def _newer(columns: _Columns, incoming: str) -> sql.Composed:
    """Say when the incoming row replaces the current one."""
    differs = sql.SQL("row({}) is distinct from row({})").format(
        names(columns.payload, of=incoming), names(columns.payload, of="current")
    )
    if not columns.stream.version:
        return differs
    undeletes: sql.Composable = sql.SQL("false")
    if columns.tells_deletions:
        undeletes = sql.SQL("current._deleted_at is not null and {}._deleted_at is null").format(
            sql.Identifier(incoming)
        )
    return sql.SQL(
        """
        {incoming}._source_updated_at > coalesce(current._source_updated_at, '-infinity')
        or (
            {incoming}._source_updated_at = current._source_updated_at
            and {differs}
            and not ({undeletes})
        )
        """
    ).format(incoming=sql.Identifier(incoming), differs=differs, undeletes=undeletes)


def watermark(connection: Connection, table: RawTable, staged: sql.Identifier) -> datetime | None:
    """Return the newest source time among the staged rows; None when the source tells none."""
    kinds = {column.name: column.type for column in table.columns.values()}
    newest = [
        sql.SQL("to_timestamp(max({}))" if kinds[name] is ColumnType.BIGINT else "max({})").format(
            sql.Identifier(name)
        )
        for name in table.stream.watermark
    ]
    if not newest:
        return None
    statement = sql.SQL("select greatest({}) from {}").format(sql.SQL(", ").join(newest), staged)
    row = connection.execute(statement).fetchone()
    return row[0] if row else None
