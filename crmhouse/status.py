"""What the platform knows of itself, for `crmhouse status`: streams, runs, quarantine.

Reads `ops` only and imports none of the heavy parts, so that it answers at once.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import class_row

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

    from psycopg import Connection

    from crmhouse.settings import Settings
    from crmhouse.warehouse import Warehouse

_STREAMS = """
    with runs as (
        select
            source, stream, run_id, max(started_at) as started_at,
            min(started_at) filter (where status = 'failed') as failed_at,
            bool_or(status = 'partial') as partial,
            sum(rows_extracted)::bigint as rows_extracted,
            sum(rows_inserted + rows_updated + rows_missing)::bigint as rows_changed,
            (array_agg(error order by started_at desc)
                filter (where error is not null))[1] as error
        from ops.sync_runs
        where slice <> 'replay'  -- tells nothing of the source
        group by source, stream, run_id
    ),

    last_rows as (
        select distinct on (source, stream) runs.*
        from runs
        order by source, stream, started_at desc
    ),

    landed as (
        select
            source, stream, max(cursor_at) filter (where isfinite(cursor_at)) as data_until,
            max(updated_at) as landed_at
        from ops.stream_state
        group by source, stream
    ),

    failing as (
        select source, stream, min(failed_at) as failing_since
        from (
            select
                runs.*, max(started_at) filter (where failed_at is null)
                    over (partition by source, stream) as last_success_at
            from runs
        ) as judged
        where failed_at is not null and started_at > coalesce(last_success_at, '-infinity')
        group by source, stream
    ),

    succeeded as (
        select source, stream, max(at) as succeeded_at
        from (
            select source, stream, checked_at as at from ops.stream_checks
            union all
            select source, stream, started_at from runs where failed_at is null and not partial
        ) as checks
        group by source, stream
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
            when last_rows.run_id is null and succeeded.succeeded_at is null then 'unknown'
            else 'succeeded'
        end as status,
        coalesce(last_rows.rows_extracted, 0) as rows_extracted,
        coalesce(last_rows.rows_changed, 0) as rows_changed,
        landed.data_until, extract(epoch from now() - landed.data_until)::float8 as lag_seconds,
        landed.landed_at, extract(epoch from now() - landed.landed_at)::float8 as landed_seconds,
        succeeded.succeeded_at,
        extract(epoch from now() - succeeded.succeeded_at)::float8 as succeeded_seconds,
        coalesce(held.quarantined, 0) as quarantined,
        failing.failing_since,
        extract(epoch from now() - failing.failing_since)::float8 as failing_seconds,
        case when failing.failing_since is not null then last_rows.error end as last_error
    from landed
    full join last_rows using (source, stream)
    full join succeeded using (source, stream)
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
    """One stream. `rows_*` are of its last sync that had something to do.

    Attributes:
        data_until: the newest source time that has landed.
        lag_seconds: the age of that; of a source in which nothing changes it grows, too.
        landed_at: when something landed last.
        landed_seconds: how long ago that was.
        succeeded_at: when it was last read to its end without an error, with news or without.
        succeeded_seconds: how long ago that was.
        quarantined: records that are held back and not resolved.
        failing_since: the first failure after the last sync without one; None when all is well.
        failing_seconds: how long ago that was.
        last_error: why the last sync failed; None when all is well.
    """

    source: str
    stream: str
    last_run_at: datetime | None
    status: str
    rows_extracted: int
    rows_changed: int
    data_until: datetime | None
    lag_seconds: float | None
    landed_at: datetime | None
    landed_seconds: float | None
    succeeded_at: datetime | None
    succeeded_seconds: float | None
    quarantined: int
    failing_since: datetime | None
    failing_seconds: float | None
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
        found = read_streams(connection)
        runs = connection.cursor(row_factory=class_row(PipelineRun)).execute(_RUNS, [last_runs])
        marts = connection.cursor(row_factory=class_row(MartStatus)).execute(_MARTS)
        tried = {stream.source for stream in found}
        return Status(
            streams=found,
            runs=tuple(runs.fetchall()),
            marts=tuple(marts.fetchall()),
            never_synced=tuple(s.name for s in settings.sources if s.name not in tried),
        )


def read_streams(connection: Connection) -> tuple[StreamStatus, ...]:
    """Read the state of every stream that was ever tried."""
    streams = connection.cursor(row_factory=class_row(StreamStatus)).execute(_STREAMS)
    return tuple(streams.fetchall())


def lag_of_sources(streams: Iterable[StreamStatus]) -> dict[str, float]:
    """Return the age of the newest data of each source, in seconds.

    That is the newest source time of any of its streams: a source is late when nothing of it is
    new, be it that no sync succeeds or that nothing is delivered any more. Where no stream has a
    source time it is the time since a sync of any of them succeeded.
    """
    lags: dict[str, list[float]] = defaultdict(list)
    checks: dict[str, list[float]] = defaultdict(list)
    for stream in streams:
        for ages, seconds in ((lags, stream.lag_seconds), (checks, stream.succeeded_seconds)):
            if seconds is not None:
                ages[stream.source].append(max(0.0, seconds))
    return {source: min(lags.get(source) or checks[source]) for source in sorted({*lags, *checks})}
