"""The merge: from a run's private staging table into the raw table, newer versions only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from psycopg import sql

from ingestion.naming import names
from ingestion.streams import ColumnType

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from psycopg import Connection

    from ingestion.raw_tables import RawTable
    from ingestion.streams import Stream


class Merged(NamedTuple):
    """Rows of the raw table that a merge touched.

    Attributes:
        deleted: tombstones among the inserted and the updated rows, and the missing ones.
        missing: rows that became tombstones because all records were read and theirs was not there.
    """

    inserted: int
    updated: int
    deleted: int
    missing: int = 0


@dataclass(frozen=True)
class _Columns:
    """What a merge reads and writes.

    Attributes:
        stream: the declaration.
        everything: names of the table's columns, without the meta columns.
        payload: those of them that the slice has.
        as_is: whether the staged rows are what the source has now, whatever their version.
    """

    stream: Stream
    everything: tuple[str, ...]
    payload: tuple[str, ...]
    as_is: bool = False

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
    *,
    as_is: bool = False,
) -> Merged:
    """Merge staged rows into the raw table, inside the caller's transaction.

    Of several staged rows with one key the latest version wins, and of equal versions the one
    that arrived last. A row changes only when its version is newer, or equal with other content;
    where the source has no versions, when its content differs. Among equal versions a deletion
    stands, whatever arrives after it. A row that is already current is not even locked.

    Merges into one table follow each other: a lock of the table is held to the transaction's end.
    So none can meet another's rows half-way, and none needs the slower `on conflict`.

    Args:
        connection: in a transaction.
        table: the raw table.
        staged: the rows, with all columns of the table.
        run_id: the run, for the meta column.
        present: the columns that the slice has. Of the others it says nothing: a row keeps what it
            holds there, a new row has NULL.
        as_is: whether the staged rows are what the source has now: what differs is taken over,
            whatever its version.
    """
    lock(connection, table)
    everything = tuple(column.name for column in table.columns.values())
    payload = tuple(name for name in everything if name in present)
    columns = _Columns(table.stream, everything, payload, as_is)
    _keep_latest(connection, columns, staged)
    incoming = sql.SQL("(select staged.*, staged.ctid as _arrival, {} from {} as staged)").format(
        meta_of(table.stream), staged
    )
    _find_changes(connection, table, columns, incoming)
    updated, deleted = _update(connection, table, columns, incoming, run_id)
    inserted, born_deleted = _insert(connection, table, columns, incoming, run_id)
    return Merged(inserted, updated, deleted + born_deleted)


def lock(connection: Connection, table: RawTable) -> None:
    """Wait until no other transaction writes to the raw table; none does until ours ends."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [table.lock_key])


def try_to_share(connection: Connection, table: RawTable) -> bool:
    """Share the lock with others who only add rows, if no merge has it; say whether it was so."""
    row = connection.execute(
        "select pg_try_advisory_xact_lock_shared(hashtextextended(%s, 0))", [table.lock_key]
    ).fetchone()
    return row == (True,)


def is_empty(connection: Connection, table: RawTable) -> bool:
    """Say whether the raw table has no row."""
    row = connection.execute(
        sql.SQL("select not exists (select from {})").format(table.identifier)
    ).fetchone()
    return row == (True,)


def tombstones(connection: Connection, table: RawTable) -> int:
    """Count the rows that the source has deleted."""
    if not table.stream.deleted:
        return 0
    row = connection.execute(
        sql.SQL("select count(*) from {} where _deleted_at is not null").format(table.identifier)
    ).fetchone()
    return row[0] if row else 0


def _keep_latest(connection: Connection, columns: _Columns, staged: sql.Identifier) -> None:
    """Leave one staged row per key; the index that proves it also serves the joins that follow."""
    key = names(columns.stream.key)
    index = sql.SQL("create unique index on {} ({})").format(staged, key)
    try:
        with connection.transaction():
            connection.execute(index)
    except psycopg.errors.UniqueViolation:
        connection.execute(
            sql.SQL(
                """
                delete from {staged} as staged
                using (
                    select
                        _arrival as _row_id,
                        row_number() over (partition by {key} order by {latest_first}) as _rank
                    from (select staged.*, staged.ctid as _arrival, {meta} from {staged} as staged)
                        as versions
                ) as ranked
                where staged.ctid = ranked._row_id and ranked._rank > 1
                """
            ).format(
                staged=staged,
                key=key,
                meta=meta_of(columns.stream),
                latest_first=_latest_first(columns),
            )
        )
        connection.execute(index)


def _find_changes(
    connection: Connection, table: RawTable, columns: _Columns, incoming: sql.Composed
) -> None:
    """Note where each staged row is that changes something, and where the row that it replaces is.

    The one comparison with the whole table. Nobody moves rows while the table's lock is held.
    """
    connection.execute(
        sql.SQL(
            """
            create temporary table changes on commit drop as
            select incoming._arrival, current.ctid as _current
            from {incoming} as incoming
            left join {raw} as current on {same_key}
            where current.ctid is null or ({newer})
            """
        ).format(
            incoming=incoming,
            raw=table.identifier,
            same_key=same_key(table.stream.key),
            newer=_newer(columns),
        )
    )


def _update(
    connection: Connection,
    table: RawTable,
    columns: _Columns,
    incoming: sql.Composed,
    run_id: UUID,
) -> tuple[int, int]:
    """Bring the rows up to date that have a newer version; return their count and tombstones."""
    return _counts(
        connection,
        sql.SQL(
            """
            update {raw} as current set {assignments}
            from pg_temp.changes inner join {incoming} as incoming using (_arrival)
            where current.ctid = changes._current
            returning current._deleted_at is not null as is_deleted
            """
        ).format(
            raw=table.identifier,
            assignments=_assignments(columns, run_id),
            incoming=incoming,
        ),
    )


def _insert(
    connection: Connection,
    table: RawTable,
    columns: _Columns,
    incoming: sql.Composed,
    run_id: UUID,
) -> tuple[int, int]:
    """Add the rows whose key is new; return their count and tombstones."""
    has_hash = not table.stream.version
    arriving = (*columns.payload, *columns.meta)
    return _counts(
        connection,
        sql.SQL(
            """
            insert into {raw} ({written})
            select {arriving}, now(), {run_id} {hash}
            from pg_temp.changes inner join {incoming} as incoming using (_arrival)
            where changes._current is null
            returning _deleted_at is not null as is_deleted
            """
        ).format(
            raw=table.identifier,
            written=names((*arriving, "_loaded_at", "_run_id", *(["_row_hash"] * has_hash))),
            arriving=names(arriving, of="incoming"),
            run_id=sql.Literal(run_id),
            hash=sql.SQL(", " if has_hash else "") + _new_hash(columns),
            incoming=incoming,
        ),
    )


def _counts(connection: Connection, writing: sql.Composed) -> tuple[int, int]:
    """Run a statement that returns is_deleted for each row it writes; count rows and tombstones."""
    row = connection.execute(
        sql.SQL(
            "with written as ({}) select count(*), count(*) filter (where is_deleted) from written"
        ).format(writing)
    ).fetchone()
    return row or (0, 0)


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


def _latest_first(columns: _Columns) -> sql.SQL:
    if not columns.stream.version:
        return sql.SQL("_arrival desc")
    if columns.stream.deleted and columns.tells_deletions:
        return sql.SQL("_source_updated_at desc nulls last, _deleted_at is null, _arrival desc")
    return sql.SQL("_source_updated_at desc nulls last, _arrival desc")


def _new_hash(columns: _Columns) -> sql.Composed:
    """Return the digest of a new row, in all its columns."""
    if columns.stream.version:
        return sql.Composed([])
    return digest(sql.Identifier("incoming", name) for name in columns.everything)


def _assignments(columns: _Columns, run_id: UUID) -> sql.Composed:
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


def _newer(columns: _Columns) -> sql.Composed:
    """Say when the incoming row replaces the current one."""
    differs = sql.SQL("row({}) is distinct from row({})").format(
        names(columns.payload, of="incoming"), names(columns.payload, of="current")
    )
    if columns.as_is or not columns.stream.version:
        # What was found missing once and is there again, is there.
        returns = "(current._deleted_at is null) <> (incoming._deleted_at is null)"
        return differs + sql.SQL(f" or {returns}" if columns.tells_deletions else "")
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
