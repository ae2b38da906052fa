"""What becomes of held records that are replayed, inside the transaction that lands them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from ingestion.naming import key_text
from ingestion.rejected import REJECTED
from ingestion.staging import STAGED
from ingestion.versions import same_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingestion.runs import SliceRun
    from ingestion.staging import Staging
    from ingestion.streams import Stream


def withdraw_older(staging: Staging) -> None:
    """Take back staged records where raw holds what arrived at the same time or later.

    Without versions the record that arrived last is the current one, and of equal versions too; a
    record that was held keeps the time of its own arrival, whenever it is replayed. That of a row
    is when it was loaded; of one that was itself replayed, when its record had arrived.
    """
    stream = staging.table.stream
    staging.connection.execute(
        sql.SQL(
            """
            delete from {staged} as incoming
            using {raw} as current, ops.quarantine as held
            where held.quarantine_id = incoming._quarantine_id
                and {same_key}
                and {not_newer}
                and held.arrived_at <= coalesce(
                    (
                        select max(replayed.arrived_at)
                        from ops.quarantine as replayed
                        where replayed.source = held.source and replayed.stream = held.stream
                            and replayed.record_key = {current_key}
                            and replayed.run_id = current._run_id
                            and replayed.resolution = 'replayed'
                    ),
                    current._loaded_at
                )
            """
        ).format(
            staged=STAGED,
            raw=staging.table.identifier,
            same_key=same_key(stream.key),
            not_newer=_not_newer(stream),
            current_key=key_text(stream.key, of="current"),
        )
    )


def resolve(staging: Staging, run: SliceRun, offered: Sequence[int]) -> tuple[int, int]:
    """Resolve the records that are held no longer; note of the others that they failed again.

    Args:
        staging: holds the records that were merged and those that were rejected.
        run: the replay.
        offered: the ids of all of them.

    Returns:
        How many have landed, and how many had no need to: raw is as new.
    """
    _keep_held(staging)
    replayed = _resolve_landed(staging, run) if staging.present else 0
    superseded = staging.connection.execute(
        sql.SQL(
            """
            update ops.quarantine set resolved_at = now(), resolution = 'superseded'
            where quarantine_id = any(%s) and resolution is distinct from 'replayed'
                and quarantine_id not in (select quarantine_id from {})
            """
        ).format(REJECTED),
        [list(offered)],
    ).rowcount
    return replayed, superseded


def _keep_held(staging: Staging) -> None:
    """Count the failure, and say why it is one now.

    Slice, run and time of arrival stay: they tell when a later delivery repairs the record. So
    does the reason where the same record is known for the new one, too.
    """
    staging.connection.execute(
        sql.SQL(
            """
            update ops.quarantine as held set
                times_seen = held.times_seen + 1, last_seen_at = now(),
                reason = coalesce(other.reason, rejected.reason),
                detail = coalesce(other.detail, rejected.detail)
            from {rejected} as rejected
            left join lateral (
                select mine.reason, mine.detail
                from ops.quarantine as mine
                inner join ops.quarantine as same
                    using (source, stream, payload_sha256)
                where mine.quarantine_id = rejected.quarantine_id
                    and same.quarantine_id <> mine.quarantine_id
                    and same.reason = rejected.reason
            ) as other on true
            where held.quarantine_id = rejected.quarantine_id
            """
        ).format(rejected=REJECTED)
    )


def _resolve_landed(staging: Staging, run: SliceRun) -> int:
    """Resolve the records that changed a row, and give them the key that the row has."""
    return staging.connection.execute(
        sql.SQL(
            """
            update ops.quarantine as held set
                resolved_at = now(), resolution = 'replayed', run_id = %s,
                record_key = {key}
            from {staged} as incoming
            inner join {raw} as current on {same_key}
            where held.quarantine_id = incoming._quarantine_id
                and current.xmin = pg_current_xact_id()::xid
            """
        ).format(
            key=key_text(staging.table.stream.key, of="incoming"),
            staged=STAGED,
            raw=staging.table.identifier,
            same_key=same_key(staging.table.stream.key),
        ),
        [run.run_id],
    ).rowcount


def _not_newer(stream: Stream) -> sql.Composable:
    """Say when the time of arrival counts.

    It does where the version of the staged record is not newer, and where the row was found
    missing: then the source had no such record, of whatever version.
    """
    if not stream.version:
        return sql.SQL("true")
    return sql.SQL(
        "(coalesce(incoming.{}, '-infinity') <= coalesce(current._source_updated_at, '-infinity') "
        "or current._deleted_at = current._loaded_at)"
    ).format(sql.Identifier(stream.version))
