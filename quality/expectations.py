"""Each rule as an expectation of Great Expectations over a view made for it.

The view of a table's rows has the columns that the rules name and, for a rule that Great
Expectations has no word for, a column that is true where a row breaks the rule. The view of a
table's numbers has one row, with a column for each rule about the table as a whole or beside its
neighbours. So every check is a built-in expectation that PostgreSQL works out, and no value of a
row leaves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from quality.catalogue import ROW_COUNT
from quality.gx import expectations
from quality.kinds import (
    Between,
    Change,
    Compare,
    FindsNothing,
    ForeignKey,
    Fresh,
    InSet,
    Matches,
    NotNull,
    PerRow,
    PerTable,
    RowCount,
    Share,
    Unique,
)
from quality.sql import identifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from quality.gx import Expectation
    from quality.kinds import Limit
    from quality.targets import Target

_UNBOUNDED = (-1e300, None)


@dataclass(frozen=True)
class Baseline:
    """What a rule saw in the last run that it did not stop.

    Attributes:
        rows: rows of the table then.
        observed: the number then.
    """

    rows: int
    observed: float


@dataclass(frozen=True)
class Check:
    """A view and the expectations over it, by rule id."""

    view: str
    expectations: Mapping[str, Expectation]


def rows_check(target: Target, rules: Sequence[PerRow | Unique]) -> Check:
    """Compile the rules that look at the table's own rows."""
    columns = {identifier(column) for rule in rules for column in _columns(rule)}
    computed = [
        f"{target.violation(rule)} as {identifier(_computed(rule))}"
        for rule in rules
        if isinstance(rule, PerRow) and not _columns(rule)
    ]
    select = ", ".join([*(f"checked.{column}" for column in sorted(columns)), *computed])
    return Check(
        f"select {select} {target.rows()}", {rule.id: _row_expectation(rule) for rule in rules}
    )


def numbers_check(
    target: Target,
    rules: Sequence[PerTable | FindsNothing | ForeignKey],
    earlier: Mapping[str, Baseline],
) -> Check:
    """Compile the rules that are about a number, and the count of the table's rows.

    Args:
        target: the table.
        rules: rules about the table, or about how its rows agree with other tables.
        earlier: what each rule saw when it last stopped nothing, by rule id.
    """
    columns = [f"count(*)::float8 as {ROW_COUNT}"]
    expected = {ROW_COUNT: _number_expectation(ROW_COUNT, ROW_COUNT, _UNBOUNDED)}
    for rule in rules:
        limits = bounds(rule, earlier.get(rule.id))
        nothing_seen = limits[0] if limits[0] is not None else limits[1]
        number = f"coalesce(({target.number(rule)})::float8, {nothing_seen!r})"
        columns.append(f"{number} as {identifier(_computed(rule))}")
        expected[rule.id] = _number_expectation(rule.id, _computed(rule), limits)
    return Check(f"select {', '.join(columns)} {target.rows()}", expected)


def bounds(
    rule: PerTable | FindsNothing | ForeignKey, before: Baseline | None
) -> tuple[float | None, float | None]:
    """Return the lowest and highest number that the rule allows."""
    match rule:
        case FindsNothing() | ForeignKey():
            return (None, 0.0)
        case RowCount():
            return (float(rule.min), None if rule.max is None else float(rule.max))
        case Fresh():
            return (None, float(rule.within_days))
        case Share():
            return (float(rule.min), float(rule.max))
        case Change() if before and before.observed > 0 and before.rows >= rule.from_rows:
            drop, growth = rule.max_drop, rule.max_growth
            return (
                before.observed * (1 - float(drop)) if drop is not None else _UNBOUNDED[0],
                before.observed * (1 + float(growth)) if growth is not None else None,
            )
        case _:
            return _UNBOUNDED


def _columns(rule: PerRow | Unique) -> tuple[str, ...]:
    """Return the columns that a built-in expectation reads; none for a computed one."""
    match rule:
        case Unique():
            return rule.columns
        case Compare():
            return (rule.column, rule.other)
        case NotNull() | Between() | InSet() | Matches():
            return (rule.column,)
        case _:
            return ()


def _computed(rule: PerRow | PerTable | FindsNothing) -> str:
    return f"rule_{rule.id}"


def _row_expectation(rule: PerRow | Unique) -> Expectation:
    gxe = expectations()
    name: dict[str, Any] = {"meta": {"rule": rule.id}}
    match rule:
        case NotNull():
            return gxe.ExpectColumnValuesToNotBeNull(column=rule.column, **name)
        case Between():
            limits = {"min_value": _number(rule.min), "max_value": _number(rule.max)}
            return gxe.ExpectColumnValuesToBeBetween(column=rule.column, **limits, **name)
        case InSet():
            values = list(rule.values)
            return gxe.ExpectColumnValuesToBeInSet(column=rule.column, value_set=values, **name)
        case Matches():
            return gxe.ExpectColumnValuesToMatchRegex(column=rule.column, regex=rule.regex, **name)
        case Compare():
            return _pair_expectation(rule, name)
        case Unique(columns=(column,)):
            return gxe.ExpectColumnValuesToBeUnique(column=column, **name)
        case Unique():
            return gxe.ExpectCompoundColumnsToBeUnique(column_list=list(rule.columns), **name)
        case _:
            column = _computed(rule)
            return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[False], **name)


def _pair_expectation(rule: Compare, name: Mapping[str, Any]) -> Expectation:
    gxe = expectations()
    both = {"ignore_row_if": "either_value_is_missing", **name}
    if rule.operator == "=":
        return gxe.ExpectColumnPairValuesToBeEqual(
            column_A=rule.column, column_B=rule.other, **both
        )
    larger, smaller = rule.column, rule.other
    if rule.operator.startswith("<"):
        larger, smaller = smaller, larger
    return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=larger, column_B=smaller, or_equal="=" in rule.operator, **both
    )


def _number_expectation(
    name: str, column: str, limits: tuple[float | None, float | None]
) -> Expectation:
    return expectations().ExpectColumnMaxToBeBetween(
        column=column, min_value=limits[0], max_value=limits[1], meta={"rule": name}
    )


def _number(limit: Limit | None) -> float | int | date | None:
    """Return a limit as Great Expectations takes it."""
    if isinstance(limit, Decimal):
        return int(limit) if limit == limit.to_integral_value() else float(limit)
    return limit
