"""What the platform knows of itself, for `crmhouse status`: streams, runs, quarantine.

Reads `ops` only and imports none of the heavy parts, so that it answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import class_row

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from crmhouse.settings import Settings
    from crmhouse.warehouse import Warehouse

_STREAMS = """
    with last_run as (
        select distinct on (runs.source, runs.stream) runs.source, runs.stream, runs.run_id
        from ops.sync_runs as runs
        order by runs.source, runs.stream, runs.started_at desc
    ),

    last_rows as (
        select
            runs.source, runs.stream, runs.run_id, max(runs.started_at) as started_at,
            bool_or(runs.status = 'failed') as failed, bool_or(runs.status = 'partial') as partial,
            sum(runs.rows_extracted)::bigint as rows_extracted,
            sum(runs.rows_inserted + runs.rows_updated + runs.rows_missing)::bigint
                as rows_changed,
            (array_agg(runs.error order by runs.started_at desc)
                filter (where runs.error is not null))[1] as error
        from ops.sync_runs as runs
        inner join last_run using (source, stream, run_id)
        group by runs.source, runs.stream, runs.run_id
    ),

    landed as (
        select
            source, stream, max(cursor_at) filter (where isfinite(cursor_at)) as data_until,
            max(updated_at) as landed_at
        from ops.stream_state
        group by source, stream
    ),

    failing as (
        select runs.source, runs.stream, min(runs.started_at) as failing_since
        from ops.sync_runs as runs
        where runs.status = 'failed' and runs.started_at > coalesce((
            select max(good.started_at) from ops.sync_runs as good
            where good.source = runs.source and good.stream = runs.stream
                and good.status <> 'failed'
        ), '-infinity')
        group by runs.source, runs.stream
    ),

    held as (
        select source, stream, count(*) as quarantined
        from ops.quarantine
        where resolved_at is null
        group by source, stream
    )

    select
        source, stream, last_rows.started_at as last_run_at,
        case
            when failing.failing_since is not null then 'failed'
            when last_rows.partial then 'partial'
            when last_rows.run_id is null then 'unknown'
            else 'succeeded'
        end as status,
        coalesce(last_rows.rows_extracted, 0) as rows_extracted,
        coalesce(last_rows.rows_changed, 0) as rows_changed,
        landed.data_until, landed.landed_at,
        coalesce(held.quarantined, 0) as quarantined,
        failing.failing_since,
        case when failing.failing_since is not null then last_rows.error end as last_error
    from landed
    full join last_rows using (source, stream)
    left join failing using (source, stream)
    left join held using (source, stream)
    order by source, stream
"""
_RUNS = """
    select run_id, status, outcome, as_of, started_at, finished_at, error
    from ops.pipeline_runs order by started_at desc limit %s
"""
_MARTS = """
    select mart, row_count, last_changed_at from ops.published_marts order by mart
"""


@dataclass(frozen=True)
class StreamStatus:
    """One stream. `rows_*` are of its last run that had something to do.

    Attributes:
        data_until: the newest source time that has landed.
        landed_at: when something landed last.
        quarantined: records that are held back and not resolved.
        failing_since: the first failure after the last success; None when all is well.
    """

    source: str
    stream: str
    last_run_at: datetime | None
    status: str
    rows_extracted: int
    rows_changed: int
    data_until: datetime | None
    landed_at: datetime | None
    quarantined: int
    failing_since: datetime | None
    last_error: str | None


@dataclass(frozen=True)
class PipelineRun:
    """One `crmhouse run`."""

    run_id: UUID
    status: str
    outcome: str | None
    as_of: datetime | None
    started_at: datetime
    finished_at: datetime | None
    error: str | None


@dataclass(frozen=True)
class MartStatus:
    """A published mart."""

    mart: str
    row_count: int
    last_changed_at: datetime


@dataclass(frozen=True)
class Status:
    """Everything at once.

    Attributes:
        never_synced: configured sources of which nothing was ever tried.
    """

    streams: tuple[StreamStatus, ...]
    runs: tuple[PipelineRun, ...]
    marts: tuple[MartStatus, ...]
    never_synced: tuple[str, ...]


def read_status(warehouse: Warehouse, settings: Settings, *, last_runs: int = 5) -> Status:
    """Read the state of every stream, the last runs and the published marts."""
    with warehouse.connect() as connection:
        streams = connection.cursor(row_factory=class_row(StreamStatus)).execute(_STREAMS)
        found = tuple(streams.fetchall())
        runs = connection.cursor(row_factory=class_row(PipelineRun)).execute(_RUNS, [last_runs])
        marts = connection.cursor(row_factory=class_row(MartStatus)).execute(_MARTS)
        tried = {stream.source for stream in found}
        return Status(
            streams=found,
            runs=tuple(runs.fetchall()),
            marts=tuple(marts.fetchall()),
            never_synced=tuple(s.name for s in settings.sources if s.name not in tried),
        )
