"""The gates: every rule of a boundary checked, recorded, and summed up as green or red."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

from crmhouse.errors import ConfigurationError
from quality import results
from quality.catalogue import Boundary
from quality.checking import check, plan_of
from quality.gx import open_session
from quality.report import GateReport
from quality.targets import targets

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from crmhouse.warehouse import Warehouse
    from quality.report import GateResult
    from quality.targets import Sources, Streams

logger = logging.getLogger(__name__)


def run_gate(
    warehouse: Warehouse,
    boundary: Boundary,
    *,
    run_id: UUID,
    sources: Sources,
    as_of: datetime,
    schema_of_marts: str = "marts_build",
    streams: Streams | None = None,
    accept: Collection[str] = (),
) -> GateReport:
    """Check all rules of a boundary and record the results in `ops.gate_results`.

    Args:
        warehouse: the open warehouse.
        boundary: `raw`: the tables that the configured sources have landed; `marts`: the
            candidate marts.
        run_id: the run; results that it recorded before at this boundary are replaced.
        sources: kind of system to the names of its configured sources. What is not configured is
            not checked.
        as_of: the moment of the run, exclusive and with its UTC offset; data ages against it.
        schema_of_marts: where the candidate marts are.
        streams: name of a source to its streams, where it does not sync all of them.
        accept: results that a person has looked at, as `<suite>/<expectation>`; these count as
            warnings in this run.

    Returns:
        The report. A red gate raises nothing here: see `GateReport.raise_for_failures`.
    """
    if as_of.tzinfo is None:
        raise ValueError("as_of needs its UTC offset")
    started = time.monotonic()
    with warehouse.connect(autocommit=True) as connection:
        earlier = results.baselines(connection, boundary, run_id)
        plans = [
            plan_of(connection, target, earlier.get(target.name, {}))
            for target in targets(
                boundary,
                sources=sources,
                streams=streams or {},
                schema_of_marts=schema_of_marts,
                as_of=as_of,
            )
        ]
    with open_session(warehouse) as session:
        found = [
            _accepted(result, accept)
            for plan in plans
            if plan.exists or not plan.target.suite.optional
            for result in check(session, plan)
        ]
    report = GateReport(run_id, boundary, tuple(found), round(time.monotonic() - started, 3))
    results.save(warehouse, report)
    _log(report)
    return report


def require_known(accept: Collection[str], *, sources: Sources) -> None:
    """Refuse a result to accept that no gate has, so that a slip does not accept nothing silently.

    Args:
        accept: results as `<suite>/<expectation>`.
        sources: kind of system to the names of its configured sources.

    Raises:
        ConfigurationError: names those that no gate has.
    """
    known = {
        f"{target.name}/{rule.id}"
        for boundary in get_args(Boundary)
        for target in targets(
            boundary, sources=sources, streams={}, schema_of_marts="", as_of=datetime.now(UTC)
        )
        for rule in target.rules
    }
    if unknown := sorted(set(accept) - known):
        raise ConfigurationError(
            f"No gate has the expectation {', '.join(unknown)}. Write <suite>/<expectation> as the "
            "error and the page of the gates do, for example shopify.orders/volume_steady."
        )


def _accepted(result: GateResult, accept: Collection[str]) -> GateResult:
    if result.status == "failed" and f"{result.suite}/{result.expectation}" in accept:
        return replace(result, severity="warning")
    return result


def _log(report: GateReport) -> None:
    logger.info(
        "%s gate %s: %d expectations, %d failed, %d warnings, %.1f s",
        report.boundary,
        "green" if report.passed else "red",
        len(report.results),
        len(report.failures),
        len(report.warnings),
        report.seconds,
    )
    for result in (*report.failures, *report.warnings):
        logger.warning("%s, %s: %s", result.suite, result.expectation, result.finding)
