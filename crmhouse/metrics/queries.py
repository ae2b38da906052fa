"""Where the metrics come from: one query of `ops` for each group of them."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeAlias

from crmhouse.metrics.definitions import METRICS, ROWS, Samples
from crmhouse.status import lag_of_sources, read_streams

if TYPE_CHECKING:
    from psycopg import Connection

    from crmhouse.settings import Settings
    from crmhouse.status import StreamStatus

NO_STREAM = "-"
"""Stands in `ops.sync_runs` for the stream of a failure of the source as a whole."""

Add: TypeAlias = Callable[..., None]
"""Adds a value: name of the metric without its prefix, value or None, labels."""

# Rows of old syncs are summed up in rows that stand for them, so these sums never fall.
_TOTALS = """
    select
        source, stream, sum(rows_extracted), sum(rows_inserted), sum(rows_updated),
        sum(rows_unchanged), sum(rows_deleted), sum(rows_quarantined), sum(seconds)
    from ops.sync_runs
    group by source, stream order by source, stream
"""
_HELD = """
    select source, stream, reason, count(*) from ops.quarantine
    where resolved_at is null group by source, stream, reason order by source, stream, reason
"""
_ENDED = """
    select status, sum(runs), extract(epoch from max(finished_at))
    from (
        select status, 1 as runs, finished_at from ops.pipeline_runs where status <> 'running'
        union all
        select status, runs, null from ops.removed_pipeline_runs
        union all
        select unnest(array['succeeded', 'partial', 'failed']), 0, null
    ) as counted
    group by status order by status
"""
_LAST_RUN = """
    select extract(epoch from finished_at - started_at) from ops.pipeline_runs
    where finished_at is not null order by finished_at desc limit 1
"""
# Only a run that published has a fingerprint.
_PUBLISHED = """
    select extract(epoch from max(finished_at)) from ops.pipeline_runs
    where input_fingerprint is not null
"""
_GATES = """
    with last_run as (
        select distinct on (boundary) boundary, run_id, checked_at
        from ops.gate_results order by boundary, checked_at desc
    )

    select
        last_run.boundary, severities.severity, statuses.status,
        count(results.expectation), extract(epoch from last_run.checked_at)
    from last_run
    cross join unnest(array['error', 'warning']) as severities (severity)
    cross join unnest(array['passed', 'failed', 'error']) as statuses (status)
    left join ops.gate_results as results
        on
            last_run.boundary = results.boundary and last_run.run_id = results.run_id
            and severities.severity = results.severity and statuses.status = results.status
    group by last_run.boundary, last_run.checked_at, severities.severity, statuses.status
    order by last_run.boundary, severities.severity, statuses.status
"""
_MARTS = """
    select mart, row_count, extract(epoch from last_changed_at)
    from ops.published_marts order by mart
"""


def read_samples(connection: Connection, settings: Settings) -> Samples:
    """Read the values of all metrics."""
    samples: Samples = {metric.name: [] for metric in METRICS}

    def add(name: str, value: Any, *labels: str) -> None:  # noqa: ANN401  # any number
        if value is not None:
            samples[f"crmhouse_{name}"].append((labels, float(value)))

    add("up", 1)
    add("build_info", 1, version("crmhouse"))
    _rows(connection, add)
    _streams(connection, settings, add)
    _refreshes(connection, add)
    _gates(connection, add)
    for mart, rows, at in connection.execute(_MARTS):
        add("mart_rows", rows, mart)
        add("mart_changed_timestamp_seconds", at, mart)
    return samples


def _rows(connection: Connection, add: Add) -> None:
    for source, stream, *counts, seconds in connection.execute(_TOTALS):
        for kind, count in zip(ROWS, counts, strict=True):
            add(f"rows_{kind}_total", count, source, stream)
        add("sync_seconds_total", seconds, source, stream)
    for source, stream, reason, count in connection.execute(_HELD):
        add("quarantine_open_records", count, source, stream, reason)


def _streams(connection: Connection, settings: Settings, add: Add) -> None:
    streams = [one for one in read_streams(connection) if _is_configured(settings, one)]
    for one in streams:
        where = (one.source, one.stream)
        add("stream_lag_seconds", one.lag_seconds, *where)
        for name, at in (("last_success", one.succeeded_at), ("failing_since", one.failing_since)):
            add(f"stream_{name}_timestamp_seconds", at and at.timestamp(), *where)
    for name, seconds in lag_of_sources(streams).items():
        add("source_lag_seconds", seconds, name)
    for source in settings.sources:
        add("source_late_after_seconds", source.late_after_seconds, source.name)


def _is_configured(settings: Settings, stream: StreamStatus) -> bool:
    """Say whether a stream is still to be synced: one that is not would be late for ever.

    Without any source in the settings, as where only the warehouse is known, all are.
    """
    if not settings.sources:
        return True
    named = [source for source in settings.sources if source.name == stream.source]
    return any(one.streams is None or stream.stream in {*one.streams, NO_STREAM} for one in named)


def _refreshes(connection: Connection, add: Add) -> None:
    for status, runs, ended in connection.execute(_ENDED):
        add("refresh_runs_total", runs, status)
        add("refresh_last_end_timestamp_seconds", ended, status)
    for (seconds,) in connection.execute(_LAST_RUN):
        add("refresh_last_run_seconds", seconds)
    for (at,) in connection.execute(_PUBLISHED):
        add("publication_timestamp_seconds", at)


def _gates(connection: Connection, add: Add) -> None:
    checked: dict[str, Any] = {}
    for boundary, severity, status, count, at in connection.execute(_GATES):
        add("gate_results", count, boundary, severity, status)
        checked[boundary] = at
    for boundary, at in checked.items():
        add("gate_checked_timestamp_seconds", at, boundary)
