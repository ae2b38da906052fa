"""One slice of a large sync, as a flow run of its own: its parent starts it, and waits for it."""

from __future__ import annotations

import uuid
from pathlib import Path
from uuid import UUID  # Prefect reads the annotations

from prefect import flow
from prefect.runtime import flow_run

from crmhouse.errors import ConfigurationError
from crmhouse.log import about
from crmhouse.settings import load_settings
from crmhouse.warehouse import open_warehouse
from flows import tasks
from flows.results import SyncResult
from flows.work import Work, let_our_loggers_speak
from ingestion import backfills
from ingestion.stream_sync import Asked


@flow(name="sync-slice", persist_result=False, timeout_seconds=tasks.SECONDS_FOR_A_SYNC)
def sync_slice(
    source: str,
    *,
    config: str | None = None,
    run_id: UUID | None = None,
    stream: str | None = None,
    load_slices: list[str] | None = None,
    backfill_id: UUID | None = None,
    backfill_slice: int | None = None,
) -> SyncResult:
    """Land slices of a first load, or one slice of a backfill; what has landed is left alone.

    Args:
        source: Name of the configured source.
        config: The configuration file; CRMHOUSE_CONFIG or ./crmhouse.yaml when left out.
        run_id: The run in ops.sync_runs that it belongs to; one of its own when left out.
        stream: Of a first load, the stream.
        load_slices: Of a first load, the names of the slices.
        backfill_id: The backfill, as in ops.backfills.
        backfill_slice: The number of its slice, from 1 on.

    Returns:
        What each slice did.

    Raises:
        ConfigurationError: neither a first load nor a backfill is named, or it is not known.
        CrmhouseError: the slice did not land; says why.
    """
    settings = load_settings(Path(config) if config else None)
    let_our_loggers_speak(settings)
    with (
        about(source=source, flow_run_id=flow_run.id),
        tasks.errors_of_ours(f"a slice of {source}"),
        open_warehouse(settings) as warehouse,
    ):
        work = Work(warehouse, settings, run_id or uuid.uuid4(), {})
        if stream and load_slices:
            asked = Asked(slices=frozenset(load_slices))
            tasks.sync_part(work, settings.source(source), [stream], asked)
        elif backfill_id and backfill_slice:
            _of_backfill(work, source, backfill_id, backfill_slice)
        else:
            raise ConfigurationError(
                "A slice is named by `stream` and `load_slices`, or by `backfill_id` and "
                "`backfill_slice`. The flows sync-source and backfill start this one."
            )
    return SyncResult(work.run_id, tuple(work.slices))


def _of_backfill(work: Work, source: str, backfill_id: UUID, number: int) -> None:
    part = backfills.find(work.warehouse, backfill_id, number)
    if part.source != source:
        raise ConfigurationError(f"Backfill {backfill_id} is of {part.source}, not {source}.")
    asked = Asked(window=(part.window_start, part.window_end))
    with backfills.landing(
        work.warehouse, part, work.run_id, patience=tasks.PATIENCE
    ) as is_missing:
        if is_missing:
            tasks.sync_part(work, work.settings.source(source), part.streams, asked)
