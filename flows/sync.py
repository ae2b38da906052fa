"""The sync of one source: its raw tables brought up to date, for a schedule of its own."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow
from prefect.runtime import flow_run
from prefect.states import Completed

from crmhouse.errors import CrmhouseError, SyncFailedError
from crmhouse.log import about
from crmhouse.settings import load_settings
from crmhouse.warehouse import open_warehouse
from flows import events, tasks
from flows.artifacts import Progress, report_sync
from flows.first_load import share_out
from flows.results import StreamFailure, SyncResult
from flows.work import Work, let_our_loggers_speak
from ingestion.sources import connector
from ingestion.sources.connector import choose

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


@flow(
    name="sync-source",
    flow_run_name="sync {source}",
    persist_result=False,
    timeout_seconds=tasks.SECONDS_FOR_A_FAN_OUT,
)
def sync_source(
    source: str, config: str | None = None, streams: list[str] | None = None
) -> State[SyncResult]:
    """Bring the raw tables of one source up to date; the marts follow with the next refresh.

    A stream that fails does not stop the others, but it fails the run. The slices of a first load
    that has several are flow runs of their own, side by side.

    Args:
        source: Name of the configured source.
        config: The configuration file; CRMHOUSE_CONFIG or ./crmhouse.yaml when left out.
        streams: Names of the streams; all of the source's when left out.

    Returns:
        Completed, with what each slice did as its value; Partial by name when the source's limit
        for today was used up on the way.

    Raises:
        ConfigurationError: there is no such source or stream.
        SyncFailedError: some streams failed; its `runs` are what was landed all the same.
    """
    settings = load_settings(Path(config) if config else None)
    let_our_loggers_speak(settings)
    configured = settings.source(source)
    reader = connector(settings, configured)
    chosen = tuple(stream.name for stream in choose(reader, source, streams))
    with (
        about(source=source, flow_run_id=flow_run.id),
        tasks.errors_of_ours(f"sync of {source}"),
        open_warehouse(settings) as warehouse,
    ):
        work = Work(warehouse, settings, uuid.uuid4(), {source: chosen})
        progress = Progress("sync", len(chosen))
        for stream in chosen:
            progress.begin(f"sync {source}.{stream}")
            try:
                share_out(work, configured, stream, progress)
                tasks.sync_stream(work, configured, stream)
            except CrmhouseError as error:
                work.failures.append(StreamFailure.of(source, stream, error))
        report_sync(work)
        events.tell_of_syncs(work)
        events.tell_of_lateness(work)
        messages = "\n".join(failure.message for failure in work.failures)
        if not all(failure.is_quota for failure in work.failures):
            raise SyncFailedError(messages, work.slices)
        progress.done("partial" if messages else "done")
    result = SyncResult(work.run_id, tuple(work.slices))
    return Completed(name="Partial" if messages else "Completed", message=messages, data=result)
