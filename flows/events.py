"""What the flows tell Prefect besides the states of their runs, for automations to act on.

`docs/monitoring.md` lists every event with its payload. Payloads are text, without a value of any
row. Nothing is raised here: that an event does not arrive must not fail a run.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import psycopg
from prefect.events import emit_event

from crmhouse.errors import WarehouseError
from crmhouse.status import lag_of_sources, read_streams
from ingestion.sources import kind_of

if TYPE_CHECKING:
    from crmhouse.errors import CrmhouseError
    from crmhouse.settings import SourceConfig
    from flows.results import RefreshResult, StreamFailure
    from flows.work import Work

logger = logging.getLogger(__name__)

REFRESH_COMPLETED = "crmhouse.refresh.completed"
GATE_FAILED = "crmhouse.gate.failed"
SYNC_PARTIAL = "crmhouse.sync.partial"
SYNC_FAILED = "crmhouse.sync.failed"
DATA_LATE = "crmhouse.data.late"

_LINES = 10


def tell_of_completion(work: Work, result: RefreshResult) -> None:
    """Tell of a refresh that came to its end."""
    changed = sum(mart.changed for mart in result.published)
    _tell_of_warehouse(
        work,
        REFRESH_COMPLETED,
        message=f"The refresh ended: {result.outcome}, {result.status}, {result.seconds:.0f} s.",
        outcome=result.outcome,
        status=result.status,
        seconds=f"{result.seconds:.1f}",
        as_of=result.as_of.isoformat() if result.as_of else "",
        marts_changed=str(changed),
    )


def tell_of_gate(work: Work, error: CrmhouseError) -> None:
    """Tell of each gate of a run that is red."""
    for boundary, report in work.gates.items():
        if report.failures:
            _tell_of_warehouse(
                work,
                GATE_FAILED,
                message=_first_lines(str(error)),
                gate=boundary,
                expectations=", ".join(f"{r.suite}/{r.expectation}" for r in report.failures),
                failed=str(len(report.failures)),
                warnings=str(len(report.warnings)),
                checked=str(len(report.results)),
            )


def tell_of_syncs(work: Work) -> None:
    """Tell of the sources of a run whose sync failed or came to the end of a quota."""
    for source in work.streams:
        of_source = [failure for failure in work.failures if failure.source == source]
        quota = [failure for failure in of_source if failure.is_quota]
        failed = [failure for failure in of_source if not failure.is_quota]
        if quota:
            waits = [one.seconds_to_wait for one in quota if one.seconds_to_wait is not None]
            resumes = {"resumes_after_seconds": f"{max(waits):.0f}"} if waits else {}
            _tell_of_failures(work, SYNC_PARTIAL, source, quota, **resumes)
        if failed:
            _tell_of_failures(work, SYNC_FAILED, source, failed)


def tell_of_lateness(work: Work) -> None:
    """Tell of each source of a run whose newest data is older than its `late_after` allows."""
    limited = [
        (source, source.late_after_seconds)
        for source in work.settings.sources
        if source.name in work.streams and source.late_after_seconds
    ]
    if not limited:
        return
    try:
        with work.warehouse.connect() as connection:
            lags = lag_of_sources(read_streams(connection))
    except (WarehouseError, psycopg.Error) as error:
        logger.warning("Whether data is late cannot be seen: %s", type(error).__name__)
        return
    for source, limit in limited:
        lag = lags.get(source.name)
        if lag is not None and lag > limit:
            _tell_of_source(
                work,
                DATA_LATE,
                source,
                message=f"The newest data of {source.name} is {_hours(lag)} old; "
                f"{source.late_after} is allowed.",
                streams=", ".join(work.streams[source.name]),
                lag_seconds=f"{lag:.0f}",
                late_after_seconds=str(limit),
            )


def _tell_of_failures(
    work: Work, event: str, source: str, failures: list[StreamFailure], **more: str
) -> None:
    _tell_of_source(
        work,
        event,
        work.settings.source(source),
        message=_first_lines("\n".join(failure.message for failure in failures)),
        streams=", ".join(failure.stream for failure in failures),
        **more,
    )


def _tell_of_source(work: Work, event: str, source: SourceConfig, **payload: str) -> None:
    emit_event(
        event,
        resource={
            "prefect.resource.id": f"crmhouse.source.{source.name}",
            "prefect.resource.name": source.name,
            "crmhouse.source.kind": source.kind,
            "crmhouse.source.system": kind_of(source).system,
        },
        payload={"run_id": str(work.run_id), "source": source.name, **payload},
    )


def _tell_of_warehouse(work: Work, event: str, **payload: str) -> None:
    name = work.warehouse.parameters.get("dbname", "postgres")
    emit_event(
        event,
        resource={
            "prefect.resource.id": f"crmhouse.warehouse.{name}",
            "prefect.resource.name": name,
        },
        payload={"run_id": str(work.run_id), **payload},
    )


def _first_lines(text: str) -> str:
    """Cut a message of ours; a mail or a chat shows no more."""
    lines = text.splitlines()
    more = len(lines) - _LINES
    return "\n".join([*lines[:_LINES], *([f"… and {more} lines more"] if more > 0 else [])])


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h"
