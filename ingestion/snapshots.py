"""Snapshots: all records of a stream as they are now, and so those that are no longer there.

A full refresh is put in place by difference: rows that are the same are not touched, so views,
grants and readers of the raw table never see it empty or half-filled.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from psycopg import sql

from crmhouse.errors import RunFailedError
from ingestion.merge import Merged, lock, merge
from ingestion.naming import key_text, names
from ingestion.rejected import REJECTED
from ingestion.staging import STAGED
from ingestion.streams import CONTENT_KEY
from ingestion.versions import digest, same_key

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from psycopg import Connection

    from ingestion.raw_tables import RawTable
    from ingestion.slices import Span
    from ingestion.staging import Staging

logger = logging.getLogger(__name__)

_KEYED = sql.Identifier("pg_temp", "keyed")


def replace_rows(
    staging: Staging, run_id: UUID, since: datetime, floor: float, span: Span | None = None
) -> Merged:
    """Make the raw table hold what is staged, inside the caller's transaction.

    Rows that are not staged become tombstones; in a table without a key, where a row is nothing but
    its content, they are removed.

    Args:
        staging: the whole stream, or a span of it.
        run_id: the run.
        since: before the source was read; rows that were landed later stay.
        floor: see `require_floor`.
        span: the rows that are compared; all of them, if None.

    Raises:
        RunFailedError: far fewer records than before.
    """
    connection, table = staging.connection, staging.table
    lock(connection, table)
    require_floor(staging, floor, span)
    if not table.stream.key:
        return _replace_by_content(connection, table, run_id)
    merged = Merged(0, 0, 0)
    _fill_absent(staging)
    if staging.present:
        merged = merge(connection, table, STAGED, run_id, staging.present, as_of=since)
    missing = bury_missing(staging, run_id, since, span)
    return merged._replace(deleted=merged.deleted + missing, missing=missing)


def sweep(staging: Staging, run_id: UUID, since: datetime, floor: float) -> Merged:
    """Make tombstones of the rows whose keys are not staged; see `replace_rows`.

    A row that was found missing once and whose key is there again, is there again.
    """
    lock(staging.connection, staging.table)
    require_floor(staging, floor)
    found = _raise_found(staging, run_id, since)
    missing = bury_missing(staging, run_id, since)
    return Merged(0, found, deleted=missing, missing=missing)


def require_floor(staging: Staging, floor: float, span: Span | None = None) -> None:
    """Refuse what brings far fewer records than raw holds: a source that broke looks like that.

    Args:
        staging: the whole stream, or a span of it.
        floor: the least that must arrive, as a share of the rows that are not deleted.
        span: counted are the records and rows of this one and those above it: a small one alone
            says little.

    Raises:
        RunFailedError: says both numbers.
    """
    row = staging.connection.execute(
        sql.SQL("select count(*) from {} as current where _deleted_at is null {}").format(
            staging.table.identifier, _within(replace(span, high=None) if span else None)
        )
    ).fetchone()
    alive = row[0] if row else 0
    arrived = staging.extracted + (span.before if span else 0)
    if arrived < floor * alive:
        raise RunFailedError(
            f"{staging.place}: the source has {arrived} records, raw holds {alive} that "
            f"are not deleted. That is below the floor of {floor:g}, so nothing was changed. If "
            "the source really has so few, sync once with CRMHOUSE_REFRESH_ROW_FLOOR=0."
        )


def bury_missing(staging: Staging, run_id: UUID, since: datetime, span: Span | None = None) -> int:
    """Make tombstones of the rows whose keys are not staged; return how many.

    A record that was held back is not missing. Where the key of one could not be read, nobody
    knows which rows are, and none is touched.
    """
    connection, table = staging.connection, staging.table
    if staging.rejected and _has_nameless_rejects(connection):
        logger.warning(
            "%s: a record that was held back has no key, so missing records cannot be told from "
            "it. None was marked as deleted.",
            staging.place,
        )
        return 0
    held = sql.SQL("and {} not in (select record_key from {})").format(
        key_text(table.stream.key, of="current"), REJECTED
    )
    return connection.execute(
        sql.SQL(
            """
            update {raw} as current
            set _deleted_at = now(), _loaded_at = now(), _run_id = {run_id}
            where current._deleted_at is null and current._loaded_at < {since}
                and not exists (select from {staged} as incoming where {same_key})
                {within} {not_held}
            """
        ).format(
            raw=table.identifier,
            run_id=sql.Literal(run_id),
            since=sql.Literal(since),
            staged=STAGED,
            same_key=same_key(table.stream.key),
            within=_within(span),
            not_held=held if staging.rejected else sql.SQL(""),
        )
    ).rowcount


def _within(span: Span | None) -> sql.Composed:
    """Return the further condition that a row is within a span."""
    column = sql.Identifier("current", span.column) if span else sql.SQL("")
    bounds = ((">", span.low), ("<=", span.high)) if span else ()
    return sql.Composed([
        sql.SQL("and {} {} {} ").format(column, sql.SQL(sign), sql.Literal(bound))
        for sign, bound in bounds
        if bound is not None
    ])  # fmt: skip


def _raise_found(staging: Staging, run_id: UUID, since: datetime) -> int:
    """Take back the tombstones that missing rows were given; return how many.

    Such a one is as old as its row. What the source itself calls deleted stays so.
    """
    stream = staging.table.stream
    is_flagged = sql.Identifier("current", stream.deleted) if stream.deleted else sql.SQL("false")
    return staging.connection.execute(
        sql.SQL(
            """
            update {raw} as current
            set _deleted_at = null, _loaded_at = now(), _run_id = {run_id}
            from {staged} as incoming
            where current._deleted_at = current._loaded_at and current._loaded_at < {since}
                and {is_flagged} is not true and {same_key}
            """
        ).format(
            raw=staging.table.identifier,
            run_id=sql.Literal(run_id),
            staged=STAGED,
            since=sql.Literal(since),
            is_flagged=is_flagged,
            same_key=same_key(stream.key),
        )
    ).rowcount


def _fill_absent(staging: Staging) -> None:
    """Let a slice that has not all columns say nothing of those that it has not.

    Where several slices are landed as one, such a record has in them what its key had before.
    """
    columns = staging.table.columns
    for source_field in sorted(set().union(*staging.parts.values()) & columns.keys()):
        having = [part for part, fields in staging.parts.items() if source_field in fields]
        lacking = sorted(staging.parts.keys() - having)
        if not lacking:
            continue
        staging.connection.execute(
            sql.SQL("create index if not exists staged_by_key on {} ({})").format(
                STAGED, names(staging.table.stream.key)
            )
        )
        staging.connection.execute(
            sql.SQL(
                """
                update {staged} as incoming set {column} = (
                    select current.{column} from {staged} as current
                    where {same_key} and current._part < incoming._part
                        and current._part = any({having})
                    order by current._part desc, current.ctid desc limit 1
                )
                where incoming._part = any({lacking})
                """
            ).format(
                staged=STAGED,
                column=sql.Identifier(columns[source_field].name),
                same_key=same_key(staging.table.stream.key),
                having=sql.Literal(having),
                lacking=sql.Literal(lacking),
            )
        )


def _has_nameless_rejects(connection: Connection) -> bool:
    row = connection.execute(
        sql.SQL("select exists (select from {} where record_key is null)").format(REJECTED)
    ).fetchone()
    return row == (True,)


def _replace_by_content(connection: Connection, table: RawTable, run_id: UUID) -> Merged:
    columns = [column.name for column in table.columns.values()]
    connection.execute(
        sql.SQL(
            """
            create temporary table keyed on commit drop as
            select
                {columns}, _row_hash,
                (row_number() over (partition by _row_hash))::integer - 1 as _row_copy
            from (select {columns}, {digest} as _row_hash from {staged}) as hashed
            """
        ).format(columns=names(columns), digest=digest(map(sql.Identifier, columns)), staged=STAGED)
    )
    parts = {
        "raw": table.identifier,
        "keyed": _KEYED,
        "columns": names([*columns, *CONTENT_KEY]),
        "same_key": same_key(CONTENT_KEY),
        "run_id": sql.Literal(run_id),
    }
    connection.execute(sql.SQL("analyze {keyed}").format(**parts))
    gone = connection.execute(
        sql.SQL(
            "delete from {raw} as current "
            "where not exists (select from {keyed} as incoming where {same_key})"
        ).format(**parts)
    ).rowcount
    new = connection.execute(
        sql.SQL(
            """
            insert into {raw} ({columns}, _run_id)
            select {columns}, {run_id} from {keyed} as incoming
            where not exists (select from {raw} as current where {same_key})
            """
        ).format(**parts)
    ).rowcount
    return Merged(new, 0, deleted=gone, missing=gone)
