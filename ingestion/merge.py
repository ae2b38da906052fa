"""The merge: from a run's private staging table into the raw table, newer versions only."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from psycopg import sql

from ingestion.naming import names
from ingestion.streams import ColumnType
from ingestion.versions import (
    Columns,
    assignments,
    latest_first,
    meta_of,
    new_values,
    newer,
    same_key,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime
    from uuid import UUID

    from psycopg import Connection

    from ingestion.raw_tables import RawTable


MERGE_TELLS_FROM = 170_000
"""The PostgreSQL from which on MERGE says of each row whether it was inserted or updated."""
_FEW = 0.15
_JOINS = ("enable_hashjoin", "enable_mergejoin")


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


def merge(
    connection: Connection,
    table: RawTable,
    staged: sql.Identifier,
    run_id: UUID,
    present: Collection[str],
    *,
    as_of: datetime | None = None,
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
        as_of: where the staged rows are what the source had at that moment: what differs is taken
            over whatever its version, but from rows that were landed later.
    """
    lock(connection, table)
    everything = tuple(column.name for column in table.columns.values())
    payload = tuple(name for name in everything if name in present)
    columns = Columns(table.stream, everything, payload, as_of)
    _keep_latest(connection, columns, staged)
    incoming = sql.SQL("(select staged.*, staged.ctid as _arrival, {} from {} as staged)").format(
        meta_of(table.stream), staged
    )
    with _row_by_row(connection) if _are_few(connection, table) else nullcontext():
        if connection.info.server_version >= MERGE_TELLS_FROM:
            return _in_one_pass(connection, table, columns, incoming, run_id)
        return _step_by_step(connection, table, columns, incoming, run_id)


def lock(connection: Connection, table: RawTable) -> None:
    """Wait until no other transaction writes to the raw table; none does until ours ends."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [table.lock_key])


def share(connection: Connection, table: RawTable, *, wait: bool) -> bool:
    """Share the lock with others who only add rows; say whether it was to be had.

    Args:
        connection: in a transaction.
        table: the raw table.
        wait: whether to wait for a merge to end; else it is not to be had while one has it.
    """
    if wait:
        connection.execute(
            "select pg_advisory_xact_lock_shared(hashtextextended(%s, 0))", [table.lock_key]
        )
        return True
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
    """Count the rows that the source has deleted, of those that this transaction has added."""
    if not table.stream.deleted:
        return 0
    row = connection.execute(
        sql.SQL(
            "select count(*) from {} "
            "where _deleted_at is not null and xmin = pg_current_xact_id()::xid"
        ).format(table.identifier)
    ).fetchone()
    return row[0] if row else 0


def _keep_latest(connection: Connection, columns: Columns, staged: sql.Identifier) -> None:
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
                latest_first=latest_first(columns),
            )
        )
        connection.execute(index)


def _in_one_pass(
    connection: Connection,
    table: RawTable,
    columns: Columns,
    incoming: sql.Composed,
    run_id: UUID,
) -> Merged:
    """Compare and write in one statement: every row that is touched is read once."""
    statement = sql.SQL(
        """
        with written as (
            merge into {raw} as current using {incoming} as incoming on {same_key}
            when matched and ({newer}) then update set {assignments}
            when not matched then insert ({written}) values ({values})
            returning merge_action() as action, current._deleted_at is not null as is_deleted
        )
        select
            count(*) filter (where action = 'INSERT'),
            count(*) filter (where action = 'UPDATE'),
            count(*) filter (where is_deleted)
        from written
        """
    ).format(
        raw=table.identifier,
        incoming=incoming,
        same_key=same_key(table.stream.key),
        newer=newer(columns),
        assignments=assignments(columns, run_id),
        written=names(written(columns)),
        values=new_values(columns, run_id),
    )
    row = connection.execute(statement).fetchone()
    return Merged(*(row or (0, 0, 0)))


def _step_by_step(
    connection: Connection,
    table: RawTable,
    columns: Columns,
    incoming: sql.Composed,
    run_id: UUID,
) -> Merged:
    """Do the same where PostgreSQL's MERGE is missing or does not tell what it did."""
    _find_changes(connection, table, columns, incoming)
    with _row_by_row(connection):
        updated, deleted = _update(connection, table, columns, incoming, run_id)
    inserted, born_deleted = _insert(connection, table, columns, incoming, run_id)
    return Merged(inserted, updated, deleted + born_deleted)


def _find_changes(
    connection: Connection, table: RawTable, columns: Columns, incoming: sql.Composed
) -> None:
    """Note where each staged row is that changes something, and where the row that it replaces is.

    The one comparison with the whole table. Nobody moves rows while the table's lock is held.
    """
    statement = sql.SQL(
        """
        create temporary table changes on commit drop as
        select incoming._arrival, current.ctid as _current
        from {incoming} as incoming
        left join {raw} as current on {same_key}
        where current.ctid is null or ({newer})
        order by _current
        """
    ).format(
        incoming=incoming,
        raw=table.identifier,
        same_key=same_key(table.stream.key),
        newer=newer(columns),
    )
    connection.execute(statement)


def _are_few(connection: Connection, table: RawTable) -> bool:
    """Say whether the staged rows are so few that looking each up takes less than a join.

    How many there are, PostgreSQL has counted when it made the index. Of the raw table it has
    counted some when it looked last, and the table may have grown.
    """
    row = connection.execute(
        """
        select staged.reltuples < %s * raw.reltuples * pg_relation_size(raw.oid)
            / (greatest(raw.relpages, 1) * current_setting('block_size')::float8)
        from pg_class as staged, pg_class as raw
        where staged.oid = to_regclass('pg_temp.staged') and raw.oid = to_regclass(%s)
        """,
        [_FEW, table.identifier.as_string(connection)],
    ).fetchone()
    return row == (True,)


@contextmanager
def _row_by_row(connection: Connection) -> Iterator[None]:
    """Let PostgreSQL fetch the rows of a join one by one, by their key or their place.

    It takes that for dearer than it is: it reckons with a disk, and that nothing is in memory.
    """
    for setting in _JOINS:
        connection.execute(f"set local {setting} = off")
    yield
    for setting in _JOINS:
        connection.execute(f"set local {setting} to default")


def _update(
    connection: Connection,
    table: RawTable,
    columns: Columns,
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
            assignments=assignments(columns, run_id),
            incoming=incoming,
        ),
    )


def _insert(
    connection: Connection,
    table: RawTable,
    columns: Columns,
    incoming: sql.Composed,
    run_id: UUID,
) -> tuple[int, int]:
    """Add the rows whose key is new; return their count and tombstones."""
    return _counts(
        connection,
        sql.SQL(
            """
            insert into {raw} ({written})
            select {values}
            from pg_temp.changes inner join {incoming} as incoming using (_arrival)
            where changes._current is null
            returning _deleted_at is not null as is_deleted
            """
        ).format(
            raw=table.identifier,
            written=names(written(columns)),
            values=new_values(columns, run_id),
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
