"""What a run leaves behind in `ops`: run records, stream state and quarantine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from psycopg import sql
from psycopg.rows import dict_row

from ingestion.naming import key_text, names

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID

    from psycopg import Connection

    from ingestion.raw_tables import RawTable

Status = Literal["succeeded", "partial", "failed"]
Again = Literal["stream", "slice", "record"]
"""What was read anew as a whole: all of a stream, a slice of it, or each record alone."""
Checkpoints: TypeAlias = dict[str, dict[str, Any]]
"""What each slice of a stream remembers, by slice."""

REPLAY = "replay"
"""The slice of records that come from `ops.quarantine`."""

_KEY_OF_RUNS = ("run_id", "source", "stream", "slice")
_ADDED = sql.SQL("{0} = known.{0} + excluded.{0}")


@dataclass(frozen=True)
class SliceRun:
    """One slice of one stream in one run: a row of `ops.sync_runs`. Counts are records.

    Attributes:
        missing: rows of raw whose record the source does not have any more; none of them arrived.
        window: what of the source's time was asked for; open ends are None.
    """

    run_id: UUID
    source: str
    stream: str
    slice: str
    status: Status
    started_at: datetime
    extracted: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    quarantined: int = 0
    missing: int = 0
    reported: int | None = None
    window: tuple[datetime | None, datetime | None] = (None, None)
    error: str | None = None

    @property
    def place(self) -> str:
        """Return source, stream and slice, for messages."""
        return f"{self.source}.{self.stream} {self.slice}"

    @property
    def unchanged(self) -> int:
        """Return the records that raw already held in this version or a newer one."""
        return self.extracted - self.inserted - self.updated - self.quarantined

    @property
    def changed(self) -> int:
        """Return the rows of the raw table that this slice changed."""
        return self.inserted + self.updated + self.missing

    def record(self, connection: Connection) -> None:
        """Write the row, inside the caller's transaction.

        A slice may land in several parts, or once more when its run is tried again: these add up.
        """
        values = {
            "run_id": self.run_id,
            "source": self.source,
            "stream": self.stream,
            "slice": self.slice,
            "status": self.status,
            "rows_reported": self.reported,
            "rows_extracted": self.extracted,
            "rows_inserted": self.inserted,
            "rows_updated": self.updated,
            "rows_unchanged": self.unchanged,
            "rows_deleted": self.deleted,
            "rows_missing": self.missing,
            "rows_quarantined": self.quarantined,
            "window_start": self.window[0],
            "window_end": self.window[1],
            "started_at": self.started_at,
            "seconds": round((datetime.now(UTC) - self.started_at).total_seconds(), 3),
            "error": self.error,
        }
        added = {"seconds"} | {name for name in values if name.startswith("rows_")}
        set_ = [
            (_ADDED if name in added else sql.SQL("{0} = excluded.{0}")).format(
                sql.Identifier(name)
            )
            for name in values
            if name not in _KEY_OF_RUNS
        ]
        connection.execute(
            sql.SQL(
                "insert into ops.sync_runs as known ({columns}) values ({values}) "
                "on conflict ({key}) do update set {assignments}"
            ).format(
                columns=names(list(values)),
                values=sql.SQL(", ").join(map(sql.Placeholder, values)),
                key=names(_KEY_OF_RUNS),
                assignments=sql.SQL(", ").join(set_),
            ),
            values,
        )


def landed_in(connection: Connection, run_id: UUID, source: str) -> list[SliceRun]:
    """Return what a run has done of a source, in all its processes, in the order of its end."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(
            """
            select
                stream, slice, status, started_at, rows_extracted as extracted,
                rows_inserted as inserted, rows_updated as updated, rows_deleted as deleted,
                rows_quarantined as quarantined, rows_missing as missing,
                rows_reported as reported, window_start, window_end, error
            from ops.sync_runs
            where run_id = %s and source = %s
            order by started_at + make_interval(secs => seconds), stream, slice
            """,
            [run_id, source],
        ).fetchall()
    return [
        SliceRun(
            run_id=run_id, source=source, window=(row.pop("window_start"), row.pop("window_end")),
            **row,
        )
        for row in found
    ]  # fmt: skip


def checkpoints(connection: Connection, source: str, stream: str) -> Checkpoints:
    """Return what each slice of the source remembers, by slice; a replay is none of them."""
    rows = connection.execute(
        "select slice, checkpoint from ops.stream_state "
        "where source = %s and stream = %s and slice <> %s",
        [source, stream, REPLAY],
    )
    return dict(rows.fetchall())


def has_landed(connection: Connection, source: str, stream: str) -> bool:
    """Say whether any slice of a stream has ever landed."""
    row = connection.execute(
        "select exists (select from ops.stream_state where source = %s and stream = %s)",
        [source, stream],
    ).fetchone()
    return row == (True,)


def is_cut_short(connection: Connection, source: str, stream: str) -> bool:
    """Say whether the last sync of a stream failed or was partial; a replay does not count."""
    last = connection.execute(
        "select status from ops.sync_runs where source = %s and stream = %s and slice <> %s "
        "order by started_at desc limit 1",
        [source, stream, REPLAY],
    ).fetchone()
    return last in {("failed",), ("partial",)}


def note_check(connection: Connection, source: str, stream: str, run_id: UUID) -> None:
    """Note that a stream was read to its end just now; a sync without news leaves nothing else."""
    connection.execute(
        """
        insert into ops.stream_checks (source, stream, run_id, checked_at)
        values (%s, %s, %s, clock_timestamp())
        on conflict (source, stream) do update set
            run_id = excluded.run_id, checked_at = excluded.checked_at
        """,
        [source, stream, run_id],
    )


def save_checkpoint(
    connection: Connection,
    run: SliceRun,
    checkpoint: Mapping[str, Any],
    cursor_at: datetime | None,
) -> None:
    """Remember where a slice stands, inside the transaction that lands its rows."""
    connection.execute(
        """
        insert into ops.stream_state as state
            (source, stream, slice, checkpoint, cursor_at, run_id, changed_run_id, updated_at)
        values (%s, %s, %s, %s, %s, %s, %s, now())
        on conflict (source, stream, slice) do update set
            checkpoint = excluded.checkpoint,
            cursor_at = greatest(state.cursor_at, excluded.cursor_at),
            run_id = excluded.run_id,
            changed_run_id = coalesce(excluded.changed_run_id, state.changed_run_id),
            updated_at = excluded.updated_at
        """,
        [
            run.source, run.stream, run.slice, json.dumps(checkpoint), cursor_at, run.run_id,
            run.run_id if run.changed else None,
        ],
    )  # fmt: skip


def forget(connection: Connection, run: SliceRun, slices: Collection[str]) -> None:
    """Empty the checkpoints of slices that must be read again, inside the caller's transaction.

    Their rows stay, and so does what is known of their last change.
    """
    connection.execute(
        "update ops.stream_state set checkpoint = '{}' "
        "where source = %s and stream = %s and slice = any(%s)",
        [run.source, run.stream, list(slices)],
    )


def quarantine(connection: Connection, run: SliceRun, rejected: sql.Identifier) -> None:
    """Keep rejected records, inside the transaction that lands the others.

    A record that fails again for the same reason is counted, not repeated; one that had been
    resolved is open again.

    Args:
        connection: the connection that staged them.
        run: the slice they come from.
        rejected: table with the columns record_key, reason, detail, payload, payload_kind.
    """
    connection.execute(
        sql.SQL(
            """
            insert into ops.quarantine as known (
                source, stream, record_key, reason, detail, payload, payload_sha256, payload_kind,
                slice, run_id, first_seen_at, last_seen_at, arrived_at, times_seen
            )
            select
                %s, %s, min(record_key), reason, min(detail), payload,
                encode(sha256(convert_to(payload, 'UTF8')), 'hex'), min(payload_kind),
                %s, %s, now(), now(), now(), count(*)
            from {}
            group by reason, payload
            order by max(ctid)  -- ids follow the order of arrival
            on conflict (source, stream, reason, payload_sha256) do update set
                last_seen_at = excluded.last_seen_at, arrived_at = excluded.arrived_at,
                payload_kind = excluded.payload_kind, run_id = excluded.run_id,
                slice = excluded.slice, times_seen = known.times_seen + excluded.times_seen,
                resolved_at = null, resolution = null
            """
        ).format(rejected),
        [run.source, run.stream, run.slice, run.run_id],
    )


def supersede(
    connection: Connection,
    run: SliceRun,
    table: RawTable,
    arrived: sql.Identifier | None,
    again: Again,
) -> None:
    """Resolve what is held back and has been repaired, inside the transaction that lands the slice.

    That is what an earlier reading of the same left behind, and records of which this run has
    landed a good version: where the source has no versions, any that has arrived. Where nothing is
    held no row is looked at.

    Args:
        connection: in a transaction, the rows are merged.
        run: the slice.
        table: the raw table.
        arrived: the good records of the slice; None where it has but their keys.
        again: what was read anew.
    """
    if table.stream.version or arrived is None:
        good = sql.SQL("{} where _run_id = {}").format(table.identifier, run.run_id)
    else:
        good = sql.Composed([arrived])
    connection.execute(
        sql.SQL(
            """
            update ops.quarantine as held set resolved_at = now(), resolution = 'superseded'
            where held.source = %s and held.stream = %s and held.resolved_at is null
                and (held.run_id, held.slice) <> (%s, %s)
                and (
                    %s = 'stream'
                    or (%s = 'slice' and held.slice = %s)
                    or held.record_key in (
                        select {key} from {good}
                    )
                )
            """
        ).format(key=key_text(table.stream.key), good=good),
        [run.source, run.stream, run.run_id, run.slice, again, again, run.slice],
    )
