"""What a flow run shows in Prefect: how far it is, rows per stream, dbt nodes, gates, a summary.

All of it is also in `ops`, in the dbt artifacts and on the gates' page. No artifact holds a value
of any row. A run goes on without them while Prefect's server is away.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import httpx
import psycopg
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.exceptions import PrefectException

from crmhouse.errors import WarehouseError
from crmhouse.status import read_streams
from flows.progress import tell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from uuid import UUID

    from crmhouse.dbt_results import DbtNode
    from flows.results import RefreshResult
    from flows.work import Work
    from ingestion.runs import SliceRun

logger = logging.getLogger(__name__)

ROWS = "rows-per-stream"
LAG = "stream-lag"
DBT = "dbt-nodes"
GATES = "gates"
GATE_PAGE = "gate-page"
SUMMARY = "summary"
_SECONDS_BETWEEN = 1.0
# Prefect's client asks a server that is away for a minute; a step must not wait for each progress.
_SECONDS_OF_SILENCE = 600.0
_COUNTS = ("extracted", "inserted", "updated", "unchanged", "deleted", "quarantined")


@contextmanager
def if_the_server_is_there() -> Iterator[None]:
    """Let a run go on when there is nobody to show something to."""
    try:
        yield
    except (httpx.HTTPError, PrefectException) as error:
        logger.warning("Prefect's server does not take what is shown: %s", type(error).__name__)


class Progress:
    """The progress artifact of a flow run, and the listener of this process if there is one."""

    def __init__(self, flow: str, steps: int) -> None:
        self._steps = max(steps, 1)
        self._begun = 0
        self._step = ""
        self._told = 0.0
        self._silent_until = 0.0
        self._artifact: UUID | None = None
        with if_the_server_is_there():
            self._artifact = cast(  # a coroutine only where the caller is one
                "UUID",
                create_progress_artifact(0.0, key=f"{flow}-progress", description="begins"),
            )

    def begin(self, step: str) -> None:
        """Say which step begins; the one before it is done."""
        self._step = step
        self._show(step, self._begun / self._steps)
        self._begun += 1

    def within(self, detail: str, share: float) -> None:
        """Say what of the step has just been done, and the share of it that is; once a second."""
        if time.monotonic() - self._told < _SECONDS_BETWEEN:
            return
        of_all = (self._begun - 1 + share) / self._steps
        tell(self._step, of_all, detail)
        self._update(f"{self._step}: {detail}", of_all)

    def done(self, outcome: str) -> None:
        """Say that nothing is left to do."""
        self._show(outcome, 1.0)

    def _show(self, what: str, share: float) -> None:
        tell(what, share)
        self._update(what, share)

    def _update(self, what: str, share: float) -> None:
        self._told = time.monotonic()
        if self._artifact is None or time.monotonic() < self._silent_until:
            return
        self._silent_until = time.monotonic() + _SECONDS_OF_SILENCE  # unless it is taken
        with if_the_server_is_there():
            percent = round(share * 100, 1)
            update_progress_artifact(self._artifact, progress=percent, description=what)
            self._silent_until = 0.0


@if_the_server_is_there()
def report_sync(work: Work) -> None:
    """Show what was synced, and how old the newest data is now."""
    create_table_artifact(key=ROWS, table=rows_per_stream(work), description="Rows per stream")
    if lags := lag_per_stream(work):
        create_table_artifact(key=LAG, table=lags, description="Age of the newest data, UTC")


@if_the_server_is_there()
def report_refresh(work: Work, result: RefreshResult) -> None:
    """Show a refresh that came to its end."""
    _report(work)
    create_markdown_artifact(key=SUMMARY, markdown=_summary(work, result), description="Summary")


@if_the_server_is_there()
def report_failure(work: Work, error: Exception) -> None:
    """Show a refresh that failed, as far as it came."""
    _report(work)
    text = f"# Failed\n\n{type(error).__name__}. The published marts are unchanged.\n\n"
    text += f"```\n{error}\n```\n\nRun `{work.run_id}`\n"
    create_markdown_artifact(key=SUMMARY, markdown=text, description="Summary")


def _report(work: Work) -> None:
    report_sync(work)
    if work.dbt_nodes:
        nodes = [row for phase, of in work.dbt_nodes.items() for row in _nodes(phase, of)]
        create_table_artifact(key=DBT, table=nodes, description="dbt nodes, slowest first")
    if work.gates:
        create_table_artifact(key=GATES, table=_gates(work), description=f"Page: {work.gate_page}")
    if work.gate_page:
        create_link_artifact(
            work.gate_page.as_uri(), "The gates of this run", key=GATE_PAGE, description="Gates"
        )


def rows_per_stream(work: Work) -> list[dict[str, Any]]:
    """Add up the slices of each stream; a stream without news has zeros."""
    slices: dict[tuple[str, str], list[SliceRun]] = defaultdict(list)
    for one in work.slices:
        slices[one.source, one.stream].append(one)
    failed = {(failure.source, failure.stream): failure.message for failure in work.failures}
    return [
        {
            "source": source,
            "stream": stream,
            "slices": len(slices[source, stream]),
            **{name: sum(getattr(s, name) for s in slices[source, stream]) for name in _COUNTS},
            "error": failed.get((source, stream), ""),
        }
        for source, streams in work.streams.items()
        for stream in streams
    ]


def lag_per_stream(work: Work) -> list[dict[str, Any]]:
    """Return how fresh each stream of the run's sources is; nothing where it cannot be read."""
    try:
        with work.warehouse.connect() as connection:
            streams = read_streams(connection)
    except (WarehouseError, psycopg.Error) as error:
        logger.warning("The lag of the streams cannot be read: %s", type(error).__name__)
        return []
    return [
        {
            "source": one.source,
            "stream": one.stream,
            "status": one.status,
            "data until": _moment(one.data_until),
            "lag hours": None if one.lag_seconds is None else round(one.lag_seconds / 3600, 2),
            "last success": _moment(one.succeeded_at),
            "failing since": _moment(one.failing_since),
            "quarantined": one.quarantined,
        }
        for one in streams
        if one.source in work.streams
    ]


def _moment(value: datetime | None) -> str | None:
    return f"{value:%Y-%m-%d %H:%M:%S}" if value else None


def _nodes(phase: str, nodes: tuple[DbtNode, ...]) -> list[dict[str, Any]]:
    return [
        {
            "phase": phase,
            "node": node.name,
            "kind": node.kind,
            "schema": node.schema,
            "status": node.status,
            "seconds": round(node.seconds, 3),
            "rows": node.rows,
            "message": node.reason if node.failed else "",
        }
        for node in sorted(nodes, key=lambda node: -node.seconds)
    ]


def _gates(work: Work) -> list[dict[str, Any]]:
    """List every expectation, what stops the run first."""
    return [
        {
            "boundary": boundary,
            "suite": result.suite,
            "expectation": result.expectation,
            "severity": result.severity,
            "status": result.status,
            "rows checked": result.rows_checked,
            "rows failed": result.rows_failed,
            "observed": result.observed,
        }
        for boundary, report in work.gates.items()
        for result in sorted(report.results, key=lambda result: (not result.stops, result.status))
    ]


def _summary(work: Work, result: RefreshResult) -> str:
    changed = sum(one.changed for one in result.slices)
    lines = [
        f"# {result.outcome[0].upper()}{result.outcome[1:]}",
        "",
        f"Run `{result.run_id}`, {result.status}, {result.seconds:.0f} s.",
        "",
        f"- raw: {changed:,} rows changed in {len(result.slices)} slices",
    ]
    if result.as_of:
        lines.append(f"- figures as of {result.as_of.isoformat()}")
    if result.resolution:
        found = result.resolution
        lines.append(
            f"- identity: {found.records:,} person records of {found.customers:,} customers "
            f"({found.new_customers:,} new, {found.merged_customers:,} merged)"
        )
    if result.dbt_nodes:
        lines.append(f"- dbt: {len(result.dbt_nodes)} nodes")
    lines += [
        f"- {gate.boundary} gate: green, {len(gate.results)} expectations, "
        f"{len(gate.warnings)} warnings"
        for gate in result.gates
    ]
    if result.gate_page:
        lines.append(f"- page of the gates: {result.gate_page}")
    if result.published:
        rows = sum(mart.inserted + mart.updated + mart.deleted for mart in result.published)
        lines.append(f"- {len(result.published)} marts published, {rows:,} rows changed")
    lines += [f"- failed: {failure.message}" for failure in work.failures]
    return "\n".join(lines)
