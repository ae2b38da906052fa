"""The kinds of rules that a rule file may hold, and what each means in SQL.

A rule of one row has a violation: a boolean expression that is true for the rows that break it.
A rule about a whole table has a statistic, a number that must lie within bounds. A query must find
nothing. Great Expectations, the quarantine and the query that shows the bad rows are all made from
these, so that they cannot disagree.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from quality.sql import identifier, literal

Severity = Literal["error", "warning"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,50}$")]
Sql = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Limit = Decimal | datetime | date

PLACEHOLDER = re.compile(r"\{(schema|table|rows|as_of)\}")
"""What SQL in a rule file may name: the table's schema, the table, the FROM and WHERE of the rows
that are checked, and the moment of the run."""


class _Rule(BaseModel):
    """What all rules have.

    Attributes:
        id: identifies the rule within its suite.
        description: what holds when the rule does.
        severity: `error` turns the gate red, `warning` never does.
        needs: kinds of sources, one of which must be configured for the rule to apply.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Name
    description: str = Field(min_length=10)
    severity: Severity = "error"
    needs: tuple[str, ...] = ()


class PerRow(_Rule):
    """A rule that each row keeps or breaks for itself.

    Attributes:
        on_fail: `quarantine` diverts the row before it reaches the raw table; `report` lets it in
            and leaves it to the gate.
    """

    on_fail: Literal["report", "quarantine"] = "report"

    @model_validator(mode="after")
    def _can_divert(self) -> PerRow:
        if self.on_fail == "quarantine" and PLACEHOLDER.search(self.violation):
            raise ValueError(
                "a quarantine rule sees one row: no {schema}, {table}, {rows} or {as_of}"
            )
        return self

    @property
    @abstractmethod
    def violation(self) -> str:
        """Return the SQL that is true for a row that breaks the rule; NULL counts as false."""


class NotNull(PerRow):
    """A column is filled."""

    kind: Literal["not_null"]
    column: Name

    @property
    def violation(self) -> str:
        """Return the test for no value."""
        return f"{identifier(self.column)} is null"


class Between(PerRow):
    """A column lies between limits, both included. NULL passes."""

    kind: Literal["between"]
    column: Name
    min: Limit | None = None
    max: Limit | None = None

    @model_validator(mode="after")
    def _has_a_limit(self) -> Between:
        if self.min is None and self.max is None:
            raise ValueError("between needs min, max or both")
        return self

    @property
    def violation(self) -> str:
        """Return the test for a value below or above."""
        column = identifier(self.column)
        below = f"{column} < {literal(self.min)}" if self.min is not None else None
        above = f"{column} > {literal(self.max)}" if self.max is not None else None
        return " or ".join(part for part in (below, above) if part)


class InSet(PerRow):
    """A column holds one of the listed values. NULL passes."""

    kind: Literal["in_set"]
    column: Name
    values: tuple[str, ...] = Field(min_length=1)

    @property
    def violation(self) -> str:
        """Return the test for another value."""
        return f"{identifier(self.column)} not in ({', '.join(map(literal, self.values))})"


class Matches(PerRow):
    """A text matches a regular expression of PostgreSQL. NULL passes."""

    kind: Literal["matches"]
    column: Name
    regex: Sql

    @property
    def violation(self) -> str:
        """Return the test for another form."""
        return f"{identifier(self.column)} !~ {literal(self.regex)}"


class Compare(PerRow):
    """Two columns of a row compare as said. NULL in either passes."""

    kind: Literal["compare"]
    column: Name
    operator: Literal["<=", "<", "=", ">", ">="]
    other: Name

    @property
    def violation(self) -> str:
        """Return the test for two columns that do not compare as said."""
        return f"not ({identifier(self.column)} {self.operator} {identifier(self.other)})"


class Condition(PerRow):
    """A condition over the columns of one row holds. An unknown (NULL) condition passes."""

    kind: Literal["condition"]
    holds: Sql

    @property
    def violation(self) -> str:
        """Return the negated condition."""
        return f"not ({self.holds})"


class ForeignKey(PerRow):
    """A value exists in a column of another table of the same schema. NULL passes."""

    kind: Literal["foreign_key"]
    column: Name
    references: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*\.[a-z_][a-z0-9_]*$")]

    @property
    def violation(self) -> str:
        """Return the test for a value that the other table lacks."""
        table, key = self.references.split(".")
        parent = f"{{schema}}.{identifier(table)} as parent"
        found = f"parent.{identifier(key)} = checked.{identifier(self.column)}"
        column = f"checked.{identifier(self.column)}"
        missing = f"not exists (select from {parent} where {found})"
        return f"{column} is not null and {missing}"


class Unique(_Rule):
    """No two rows share the columns' values. Rows with a NULL among them are left out."""

    kind: Literal["unique"]
    columns: tuple[Name, ...] = Field(min_length=1)


class PerTable(_Rule):
    """A rule about a number that the whole table gives.

    An empty table gives no number; then the rule passes, and it is for a `row_count` to object.
    """

    @property
    @abstractmethod
    def statistic(self) -> str:
        """Return the SQL aggregate over the table's rows."""

    @property
    def shown(self) -> str:
        """Return the columns that show a person what the rule saw."""
        return f"{self.statistic} as observed"


class RowCount(PerTable):
    """The table has at least `min` and at most `max` rows."""

    kind: Literal["row_count"]
    min: int = 1
    max: int | None = None

    @property
    def statistic(self) -> str:
        """Return the number of rows."""
        return "count(*)"


class Fresh(PerTable):
    """The newest `moment` (an SQL expression) is not too long before the run's as_of.

    Attributes:
        within_days: how long may always pass without anything new.
        longest_quiet_times: so many times the longest quiet spell that the table has seen may pass
            too, which tells a broken sync from a source where little happens. 0: not so.
        from_rows: with fewer rows nothing is said about the table's habits, and it passes.
    """

    kind: Literal["fresh"]
    moment: Sql
    within_days: Decimal
    longest_quiet_times: Decimal = Decimal(0)
    from_rows: int = 0

    @property
    def statistic(self) -> str:
        """Return the newest moment's age in days; of a usual age, at most the limit."""
        quiet = "moment - lag(moment) over (order by moment) as quiet"
        age = "extract(epoch from {as_of} - max(moment)) / 86400"
        longest = "coalesce(extract(epoch from max(quiet)) / 86400, 0)"
        usual = f"{age} <= {self.longest_quiet_times} * {longest} or count(*) < {self.from_rows}"
        days = f"case when {usual} then least({age}, {self.within_days}) else {age} end"
        moments = f"(select {self.moment} as moment {{rows}}) as dated"
        return f"(select {days} from (select moment, {quiet} from {moments}) as paused)"  # noqa: S608  # ours

    @property
    def shown(self) -> str:
        """Return the newest moment and its age."""
        return f"max({self.moment}) as newest, {{as_of}} - max({self.moment}) as age"


class Share(PerTable):
    """The share of rows for which `rows` is true lies between `min` and `max` (0 to 1)."""

    kind: Literal["share"]
    rows: Sql
    min: Decimal = Decimal(0)
    max: Decimal = Decimal(1)

    @property
    def statistic(self) -> str:
        """Return the share of such rows."""
        return f"avg(case when {self.rows} then 1 else 0 end)"


class Change(PerTable):
    """A number has not changed by more than said since the last run that it did not stop.

    Attributes:
        of: the SQL aggregate to compare; the number of rows when left out.
        max_drop: largest drop, as a share of the earlier number.
        max_growth: largest growth, as a share of the earlier number.
        from_rows: the earlier run must have had so many rows; small tables jump.
    """

    kind: Literal["change"]
    of: Sql = "count(*)"
    max_drop: Decimal | None = None
    max_growth: Decimal | None = None
    from_rows: int = 500

    @property
    def statistic(self) -> str:
        """Return the number to compare."""
        return self.of


class FindsNothing(_Rule):
    """A query over the table and its neighbours returns no row."""

    kind: Literal["finds_nothing"]
    query: Sql


Rule = Annotated[
    NotNull
    | Between
    | InSet
    | Matches
    | Compare
    | Condition
    | ForeignKey
    | Unique
    | RowCount
    | Fresh
    | Share
    | Change
    | FindsNothing,
    Field(discriminator="kind"),
]
