"""The refresh: everything in order, from the sources to the published marts."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow
from prefect.runtime import flow_run
from prefect.states import Completed

import quality
from crmhouse import pipeline, transform
from crmhouse.errors import (
    ConfigurationError,
    CrmhouseError,
    SourceError,
    SyncFailedError,
)
from crmhouse.log import about
from crmhouse.settings import Settings, load_settings
from crmhouse.warehouse import open_warehouse
from flows import events, tasks
from flows.artifacts import Progress, report_failure, report_refresh
from flows.first_load import share_out
from flows.results import RefreshResult, StreamFailure
from flows.work import Work, let_our_loggers_speak
from ingestion.locks import hold_sources
from ingestion.sources import connector
from ingestion.stream_sync import NO_SLICE

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

    from crmhouse.settings import SourceConfig

_STEPS_AFTER_SYNC = 7


# A plain function: the one join of Prefect's heartbeat thread costs a second a run, and Ctrl-C
# and SIGTERM reach the step at work, which an event loop that is blocked by it would hold back.
@flow(name="refresh", persist_result=False, timeout_seconds=tasks.SECONDS_FOR_A_FAN_OUT)
def refresh(
    config: str | None = None, force: bool = False, accept: list[str] | None = None
) -> State[RefreshResult]:
    """Sync every source, resolve identities, build the marts, check them and publish.

    With nothing new since the last published run it stops after the sync. Whatever fails on the
    way, the published marts stay as they were, and the same run can simply be started again.

    Args:
        config: The configuration file; CRMHOUSE_CONFIG or ./crmhouse.yaml when left out.
        force: Build and publish even when nothing is new.
        accept: Results of the gates that somebody has looked at, as `<suite>/<expectation>`: they
            count as warnings in this run.

    Returns:
        Completed, with the result as its value; its name is Partial when a stream failed, so that
        an automation can tell (event `prefect.flow-run.Partial`).

    Raises:
        AlreadyRunningError: another run works on this warehouse.
        CrmhouseError: what went wrong and what to do; `flows.local.run_refresh` lists the kinds.
    """
    started = time.monotonic()
    settings = load_settings(Path(config) if config else None)
    let_our_loggers_speak(settings)
    streams = _streams(settings)
    quality.require_known(accept or (), sources=transform.system_sources(settings))
    with (
        about(flow_run_id=flow_run.id),
        tasks.errors_of_ours("the book of the run"),
        open_warehouse(settings) as warehouse,
        pipeline.begin(warehouse) as run_id,
    ):
        work = Work(warehouse, settings, run_id, streams, accept or ())
        progress = Progress(
            "refresh", sum(len(s) or 1 for s in streams.values()) + _STEPS_AFTER_SYNC
        )
        try:
            _sync(work, progress)
            # Scheduled syncs wait: no gate has seen what they would land, and staging is views.
            with hold_sources(warehouse, streams, patience=tasks.PATIENCE):
                result = _build(work, progress, started, force=force)
        except CrmhouseError as error:
            report_failure(work, error)
            events.tell_of_gate(work, error)
            raise
        progress.done(result.outcome)
        report_refresh(work, result)
        events.tell_of_completion(work, result)
    name = "Partial" if result.failures else "Completed"
    return Completed(name=name, message=_message(result), data=result)


def _streams(settings: Settings) -> dict[str, tuple[str, ...]]:
    """List the streams of every source; a fault in any source's options shows before any work.

    A source that does not answer has none as yet: its sync will tell.
    """
    if not settings.sources:
        raise ConfigurationError(
            f"No source is configured (looked at {settings.config_file or 'the environment'}). "
            "Add one under `sources:`; docs/reference/sources.md lists the kinds."
        )
    return {source.name: _of_source(settings, source) for source in settings.sources}


def _of_source(settings: Settings, source: SourceConfig) -> tuple[str, ...]:
    reader = connector(settings, source)
    try:
        return tuple(stream.name for stream in reader.streams())
    except SourceError:
        return ()


def _sync(work: Work, progress: Progress) -> None:
    """Sync all streams, one after the other; one that fails does not stop the others.

    Raises:
        SyncFailedError: no stream at all could be synced, and not for the day's limits alone.
    """
    for source in work.settings.sources:
        for stream in work.streams[source.name] or (NO_SLICE,):
            progress.begin(f"sync {source.name}.{stream}")
            try:
                if stream == NO_SLICE:
                    tasks.sync_whole(work, source)
                else:
                    share_out(work, source, stream, progress)
                    tasks.sync_stream(work, source, stream)
            except CrmhouseError as error:
                work.failures.append(StreamFailure.of(source.name, stream, error))
    events.tell_of_syncs(work)
    events.tell_of_lateness(work)
    if work.has_failed():
        raise SyncFailedError("\n".join(failure.message for failure in work.failures), work.slices)


def _build(work: Work, progress: Progress, started: float, *, force: bool) -> RefreshResult:
    """Take what has landed to the published marts, unless they already show it."""
    warehouse, settings, run_id = work.warehouse, work.settings, work.run_id
    status: pipeline.Status = "partial" if work.failures else "succeeded"
    problems = "\n".join(failure.message for failure in work.failures) or None
    fingerprint = pipeline.fingerprint(warehouse, settings)
    if not force and pipeline.is_current(warehouse, fingerprint):
        pipeline.finish(warehouse, run_id, status, pipeline.NOTHING_NEW, error=problems)
        return _result(work, pipeline.NOTHING_NEW, started)
    as_of = tasks.write_context(work)
    with transform.dbt_process(warehouse, settings) as process:
        progress.begin("raw gate")
        tasks.gate(work, "raw", as_of)
        progress.begin("dbt: what identity reads")
        tasks.dbt(work, process, "identity inputs", progress)
        progress.begin("identity")
        resolution = tasks.resolve_identities(work)
        progress.begin("dbt: marts")
        tasks.dbt(work, process, "marts", progress)
    progress.begin("marts gate")
    tasks.gate(work, "marts", as_of)
    progress.begin("publication")
    published = tasks.publish_marts(work)
    pipeline.finish(
        warehouse, run_id, status, pipeline.PUBLISHED, fingerprint=fingerprint, error=problems
    )
    return replace(
        _result(work, pipeline.PUBLISHED, started),
        as_of=as_of,
        resolution=resolution,
        published=published,
    )


def _message(result: RefreshResult) -> str:
    failed = [f"{failure.source}.{failure.stream}" for failure in result.failures]
    return result.outcome + (f"; failed: {', '.join(failed)}" if failed else "")


def _result(work: Work, outcome: str, started: float) -> RefreshResult:
    return RefreshResult(
        run_id=work.run_id,
        status="partial" if work.failures else "succeeded",
        outcome=outcome,
        slices=tuple(work.slices),
        failures=tuple(work.failures),
        seconds=round(time.monotonic() - started, 3),
        dbt_nodes=tuple(node for nodes in work.dbt_nodes.values() for node in nodes),
        gates=tuple(work.gates.values()),
        gate_page=work.gate_page,
    )
