"""One table checked: what can run is found out first, then Great Expectations decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from quality.catalogue import ROW_COUNT, TABLE_EXISTS
from quality.expectations import bounds, numbers_check, rows_check
from quality.gx import Outcome
from quality.kinds import (
    Change,
    FindsNothing,
    ForeignKey,
    Fresh,
    PerRow,
    PerTable,
    RowCount,
    Share,
    Unique,
)
from quality.report import GateResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quality.expectations import Baseline
    from quality.gx import Session
    from quality.kinds import Rule
    from quality.report import Status
    from quality.targets import Target


@dataclass(frozen=True)
class Plan:
    """A table, and what was found out about it before any row was read.

    Attributes:
        exists: whether the table is there.
        broken: rules that cannot be evaluated, with the reason.
        earlier: what each rule saw when it last stopped nothing.
    """

    target: Target
    exists: bool
    broken: Mapping[str, str]
    earlier: Mapping[str, Baseline]

    @property
    def sound(self) -> list[Rule]:
        """Return the rules that can be evaluated."""
        return [rule for rule in self.target.rules if rule.id not in self.broken]


def plan_of(
    connection: psycopg.Connection, target: Target, earlier: Mapping[str, Baseline]
) -> Plan:
    """Find out what can be checked, without reading a row."""
    exists = connection.execute("select to_regclass(%s)", [target.relation]).fetchone() != (None,)
    broken = {}
    if exists:
        for rule in target.rules:
            if reason := _reason_it_cannot_run(connection, target, rule):
                broken[rule.id] = reason
    return Plan(target, exists, broken, earlier)


def _reason_it_cannot_run(connection: psycopg.Connection, target: Target, rule: Rule) -> str | None:
    """Let PostgreSQL plan a rule's query: a column or table it names may be missing.

    Left to Great Expectations, one such rule would take all others of its table down with it, and
    would look like a failed one. Planning reads no row, so the message holds no value of one.
    """
    try:
        connection.execute(f"explain {target.rows_query(rule)}".encode())
    except psycopg.Error as error:
        return error.diag.message_primary or type(error).__name__
    return None


def check(session: Session, plan: Plan) -> list[GateResult]:
    """Check one table; results in the order of its rules."""
    target = plan.target
    if not plan.exists:
        return [_missing(target)]
    numbers = _numbers(session, plan)
    rows = _rows(session, plan)
    counted = numbers[ROW_COUNT].observed
    row_count = None if counted is None else int(counted)
    outcomes = {**rows, **numbers} | {
        rule_id: Outcome(None, error=reason) for rule_id, reason in plan.broken.items()
    }
    return [_result(plan, rule, outcomes[rule.id], row_count) for rule in target.rules]


def _numbers(session: Session, plan: Plan) -> dict[str, Outcome]:
    rules = [rule for rule in plan.sound if isinstance(rule, PerTable | FindsNothing | ForeignKey)]
    compiled = numbers_check(plan.target, rules, plan.earlier)
    return session.check(session.view(compiled.view), compiled.expectations, counted=True)


def _rows(session: Session, plan: Plan) -> dict[str, Outcome]:
    """Check the rules about single rows; count only where one failed, which costs twice as much."""
    rules = [
        rule
        for rule in plan.sound
        if isinstance(rule, PerRow | Unique) and not isinstance(rule, ForeignKey)
    ]
    if not rules:
        return {}
    compiled = rows_check(plan.target, rules)
    view = session.view(compiled.view)
    outcomes = session.check(view, compiled.expectations, counted=False)
    failed = {
        rule_id: compiled.expectations[rule_id]
        for rule_id, outcome in outcomes.items()
        if outcome.success is False
    }
    if not failed:
        return outcomes
    return outcomes | session.check(view, failed, counted=True)


def _result(plan: Plan, rule: Rule, outcome: Outcome, row_count: int | None) -> GateResult:
    status: Status = "passed" if outcome.success else "failed"
    rows_failed = observed = None
    if outcome.success is None:
        status, observed = "error", outcome.error
    elif isinstance(rule, FindsNothing | ForeignKey):
        rows_failed = int(outcome.observed or 0)
    elif isinstance(rule, PerRow | Unique):
        rows_failed = outcome.count or 0
    elif row_count or not outcome.success:
        observed = _observed(rule, outcome.observed, plan.earlier.get(rule.id))
    return GateResult(
        suite=plan.target.name,
        expectation=rule.id,
        description=rule.description,
        severity=rule.severity,
        status=status,
        rows_checked=row_count,
        rows_failed=rows_failed,
        observed=observed,
        rows_query=plan.target.rows_query(rule),
    )


def _observed(rule: Rule, number: float | None, before: Baseline | None) -> str | None:
    """Write what a rule about a number saw, for a person.

    Of a `Change` the number stands first and bare: the next run compares with it.
    """
    if number is None:
        return None
    match rule:
        case RowCount():
            return f"{number:.0f} rows"
        case Fresh():
            return f"{number:.1f} days since the newest"
        case Share():
            return f"{number:.1%} of the rows"
        case Change() if before:
            return f"{_plain(number)}, {_plain(before.observed)} before{_allowed(rule, before)}"
        case _:
            return _plain(number)


def _allowed(rule: Change, before: Baseline) -> str:
    low, high = bounds(rule, before)
    if low is None or low < 0:
        return "" if high is None else f"; at most {_plain(high)} allowed"
    most = "" if high is None else f" and at most {_plain(high)}"
    return f"; at least {_plain(low)}{most} allowed"


def _plain(number: float) -> str:
    return f"{number:.4f}".rstrip("0").rstrip(".")


def _missing(target: Target) -> GateResult:
    return GateResult(
        suite=target.name,
        expectation=TABLE_EXISTS,
        description="The table exists.",
        severity="error",
        status="error",
        rows_checked=None,
        rows_failed=None,
        observed=f"the table {target.schema}.{target.suite.table} does not exist",
        rows_query=f"table {target.relation}",
    )
