"""The merge: from a run's private staging table into the raw table, newer versions only."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from psycopg import sql

from ingestion.raw_tables import names
from ingestion.streams import ColumnType

if TYPE_CHECKING:
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


def merge(connection: Connection, table: RawTable, staged: sql.Identifier, run_id: UUID) -> Merged:
    """Merge staged rows into the raw table, inside the caller's transaction.

    Of several staged rows with one key the latest version wins, and of equal versions the one
    that arrived last. A row changes only when its version is newer, or equal with other content;
    where the source has no versions, when its content differs. Keys are taken in their order, so
    merges into one table wait for each other but never deadlock; a row that is already current is
    not even locked.
    """
    stream = table.stream
    payload = [column.name for column in table.columns.values()]
    meta = ["_source_updated_at", "_deleted_at", *([] if stream.version else ["_row_hash"])]
    written = [*payload, *meta, "_loaded_at", "_run_id"]
    changed = [name for name in written if name not in stream.key]
    statement = sql.SQL(
        """
        with latest as (
            select distinct on ({key}) *
            from (select staged.*, staged.ctid as arrival, {meta} from {staged} as staged) as staged
            order by {key}, _source_updated_at desc nulls last, arrival desc
        ),
        merged as (
            insert into {raw} as current ({written})
            select {incoming}, now(), {run_id}
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
        meta=_meta(stream, payload),
        staged=staged,
        raw=table.identifier,
        written=names(written),
        incoming=names([*payload, *meta], of="incoming"),
        incoming_key=names(stream.key, of="incoming"),
        run_id=sql.Literal(run_id),
        same_key=_same_key(stream),
        newer=_newer(stream, payload, "incoming"),
        newer_excluded=_newer(stream, payload, "excluded"),
        assignments=sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in changed
        ),
    )
    row = connection.execute(statement).fetchone()
    return Merged(*(row or (0, 0, 0)))


def _meta(stream: Stream, payload: list[str]) -> sql.Composed:
    """Compute the meta columns of a staged row."""
    version = sql.Identifier("staged", stream.version) if stream.version else sql.NULL
    parts: list[sql.Composable] = [sql.SQL("{}::timestamptz as _source_updated_at").format(version)]
    if stream.deleted:
        time = sql.Identifier("staged", stream.deleted_at) if stream.deleted_at else sql.NULL
        parts.append(
            sql.SQL("case when {} then coalesce({}, {}, now()) end as _deleted_at").format(
                sql.Identifier("staged", stream.deleted), time, version
            )
        )
    else:
        parts.append(sql.SQL("null::timestamptz as _deleted_at"))
    if not stream.version:
        parts.append(
            sql.SQL("hashtextextended(row({})::text, 0) as _row_hash").format(
                names(payload, of="staged")
            )
        )
    return sql.SQL(", ").join(parts)


def _same_key(stream: Stream) -> sql.Composed:
    return sql.SQL(" and ").join(
        sql.SQL("current.{0} = incoming.{0}").format(sql.Identifier(name)) for name in stream.key
    )


def _newer(stream: Stream, payload: list[str], incoming: str) -> sql.Composed:
    """Say when the incoming row replaces the current one."""
    if not stream.version:
        return sql.SQL("{}._row_hash <> current._row_hash").format(sql.Identifier(incoming))
    template = """
        coalesce({incoming}._source_updated_at, '-infinity')
            > coalesce(current._source_updated_at, '-infinity')
        or (
            {incoming}._source_updated_at is not distinct from current._source_updated_at
            and ({incoming_row}) is distinct from ({current_row})
        )
    """
    return sql.SQL(template).format(
        incoming=sql.Identifier(incoming),
        incoming_row=sql.SQL("row({})").format(names(payload, of=incoming)),
        current_row=sql.SQL("row({})").format(names(payload, of="current")),
    )


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
