"""The results of the gates in `ops.gate_results`, for the next run and for the page."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from quality.expectations import Baseline
from quality.report import stops

if TYPE_CHECKING:
    from uuid import UUID

    import psycopg

    from crmhouse.warehouse import Warehouse
    from quality.catalogue import Boundary
    from quality.kinds import Severity
    from quality.report import GateReport, Status

_COLUMNS = "suite, expectation, severity, status, rows_checked, rows_failed, observed, rows_query"


@dataclass(frozen=True)
class StoredResult:
    """A row of `ops.gate_results`."""

    boundary: Boundary
    suite: str
    expectation: str
    severity: Severity
    status: Status
    rows_checked: int | None
    rows_failed: int | None
    observed: str | None
    rows_query: str | None
    checked_at: datetime

    @property
    def stops(self) -> bool:
        """Say whether this result made its gate red."""
        return stops(self.status, self.severity)


@dataclass(frozen=True)
class StoredGate:
    """One gate of one run, summed up."""

    run_id: UUID
    boundary: Boundary
    checked_at: datetime
    expectations: int
    failed: int
    warnings: int


def save(warehouse: Warehouse, report: GateReport) -> None:
    """Record a gate's results in one transaction, in the place of earlier ones of the same run."""
    now = datetime.now(UTC)
    rows = [
        (
            report.run_id,
            report.boundary,
            result.suite,
            result.expectation,
            result.severity,
            result.status,
            result.rows_checked,
            result.rows_failed,
            result.observed,
            result.rows_query,
            now,
        )
        for result in report.results
    ]
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "delete from ops.gate_results where run_id = %s and boundary = %s",
            [report.run_id, report.boundary],
        )
        cursor.executemany(
            f"insert into ops.gate_results (run_id, boundary, {_COLUMNS}, checked_at)"  # noqa: S608
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )


def baselines(
    connection: psycopg.Connection, boundary: Boundary, run_id: UUID
) -> dict[str, dict[str, Baseline]]:
    """Return what each rule about a number saw when it last stopped no other run.

    So what a person accepted once is what the next run compares with.

    Returns:
        By suite, then by expectation.
    """
    found: dict[str, dict[str, Baseline]] = defaultdict(dict)
    for suite, expectation, rows, observed in connection.execute(
        """
        select distinct on (suite, expectation)
            suite, expectation, rows_checked, split_part(observed, ',', 1)::float8
        from ops.gate_results
        where
            boundary = %s and run_id <> %s
            and (status = 'passed' or (status = 'failed' and severity = 'warning'))
            and observed ~ '^-?[0-9]+([.][0-9]+)?(,|$)' and rows_checked is not null
        order by suite, expectation, checked_at desc
        """,
        [boundary, run_id],
    ):
        found[suite][expectation] = Baseline(rows=rows, observed=observed)
    return found


def of_run(connection: psycopg.Connection, run_id: UUID) -> list[StoredResult]:
    """Return the results of both gates of a run, by boundary, suite and expectation."""
    with connection.cursor(row_factory=class_row(StoredResult)) as cursor:
        return cursor.execute(
            f"select boundary, {_COLUMNS}, checked_at from ops.gate_results"  # noqa: S608
            " where run_id = %s order by boundary desc, suite, expectation",
            [run_id],
        ).fetchall()


def history(connection: psycopg.Connection, limit: int) -> list[StoredGate]:
    """Return the gates of the latest runs, newest first.

    Args:
        connection: to the warehouse.
        limit: how many runs.
    """
    with connection.cursor(row_factory=class_row(StoredGate)) as cursor:
        return cursor.execute(
            """
            with recent as (
                select run_id, max(checked_at) as at
                from ops.gate_results
                group by run_id
                order by at desc
                limit %s
            )
            select
                results.run_id,
                results.boundary,
                max(results.checked_at) as checked_at,
                count(*) as expectations,
                count(*) filter (where stops) as failed,
                count(*) filter (where results.status = 'failed' and not stops) as warnings
            from ops.gate_results as results
            inner join recent on recent.run_id = results.run_id
            cross join lateral (
                select results.status = 'error'
                    or (results.status = 'failed' and results.severity = 'error') as stops
            ) as judged
            group by results.run_id, results.boundary, recent.at
            order by recent.at desc, results.boundary desc
            """,
            [limit],
        ).fetchall()
