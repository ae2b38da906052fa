"""The backfill: a span of a source's time read again, in slices side by side."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime  # Prefect reads the annotations
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow
from prefect.runtime import flow_run

from crmhouse.errors import ConfigurationError, SyncFailedError
from crmhouse.log import about
from crmhouse.settings import load_settings
from crmhouse.warehouse import open_warehouse
from flows import fan_out, tasks
from flows.artifacts import Progress, report_sync
from flows.results import BackfillResult
from flows.work import Work, let_our_loggers_speak
from ingestion import backfills
from ingestion.sources import connector
from ingestion.sources.connector import choose

if TYPE_CHECKING:
    from ingestion.sources.connector import Connector


@flow(
    name="backfill",
    flow_run_name="backfill {source} {start:%Y-%m-%d} to {end:%Y-%m-%d}",
    persist_result=False,
    timeout_seconds=tasks.SECONDS_FOR_A_FAN_OUT,
)
def backfill(
    source: str,
    start: datetime,
    end: datetime,
    *,
    streams: list[str] | None = None,
    slices: int = 8,
    config: str | None = None,
) -> BackfillResult:
    """Read again what changed in a span of time; the marts follow with the next refresh.

    Each slice of the span is a flow run of its own; one less than `parallel_slices` of the source
    are at work at once, so that its syncs go on. Started again in the same words after a failure,
    it reads the missing slices only.

    Args:
        source: Name of the configured source.
        start: Records that changed from this moment on, in UTC unless it says otherwise.
        end: And before this moment.
        streams: Names of the streams; all that can be read by time when left out.
        slices: How many slices the span is cut into.
        config: The configuration file; CRMHOUSE_CONFIG or ./crmhouse.yaml when left out.

    Returns:
        Which slices have landed now.

    Raises:
        ConfigurationError: an unknown source or stream, one that cannot be read by time, or a span
            that is none.
        SyncFailedError: some slices are missing; says which and why.
    """
    settings = load_settings(Path(config) if config else None)
    let_our_loggers_speak(settings)
    configured = settings.source(source)
    chosen = _by_time(connector(settings, configured), source, streams)
    window = (_aware(start), _aware(end))
    with (
        about(source=source, flow_run_id=flow_run.id),
        tasks.errors_of_ours(f"backfill of {source}"),
        open_warehouse(settings) as warehouse,
    ):
        work = Work(warehouse, settings, uuid.uuid4(), {source: tuple(chosen)})
        cut = backfills.begin(warehouse, source, chosen, window, slices)
        found = cut[0].backfill_id
        parts = {
            f"{source} {one.window_start:%Y-%m-%dT%H:%M:%S} to {one.window_end:%Y-%m-%dT%H:%M:%S}, "
            f"slice {one.slice} of {one.slices}": one
            for one in cut
        }

        def missing() -> list[str]:
            numbers = backfills.missing(warehouse, found)
            return [name for name, part in parts.items() if part.slice in numbers]

        wanted = missing()
        progress = Progress("backfill", 1)
        progress.begin(f"backfill of {source}: {len(wanted)} of {len(parts)} slices")
        failures = fan_out.land(
            [fan_out.Part(name, _parameters(parts[name], work)) for name in wanted],
            missing=missing,
            at_once=max(1, configured.parallel_slices - 1),
            tell=progress.within,
        )
        work.add_slices_of_sub_runs(source)
        report_sync(work)
        if failures:
            raise SyncFailedError(
                "\n".join(f"{name}: {reason}" for name, reason in failures.items())
                + "\nThe other slices have landed. Mend this, then start the backfill again in the "
                "same words: it reads the missing ones only."
            )
        backfills.finish(warehouse, found)
        progress.done("done")
    return BackfillResult(found, tuple(chosen), len(wanted), len(parts))


def _by_time(reader: Connector, source: str, names: list[str] | None) -> list[str]:
    """Choose the streams; those that cannot be read by time are left out, unless named."""
    reasons = {one.name: reader.no_window(one) for one in choose(reader, source, names)}
    chosen = [name for name, reason in reasons.items() if reason is None]
    if not chosen or (names and len(chosen) < len(reasons)):
        raise ConfigurationError("\n".join(reason for reason in reasons.values() if reason))
    return chosen


def _parameters(part: backfills.BackfillSlice, work: Work) -> dict[str, str | int]:
    return {
        "source": part.source,
        "run_id": str(work.run_id),
        "backfill_id": str(part.backfill_id),
        "backfill_slice": part.slice,
    }


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
