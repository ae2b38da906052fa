"""The rule files read and checked: which rules each table has."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from crmhouse.errors import ConfigurationError
from crmhouse.rules import RowRule
from quality.kinds import PerRow, Rule

Boundary = Literal["raw", "marts"]

TABLE_EXISTS = "table_exists"
ROW_COUNT = "row_count"
_RESERVED = {TABLE_EXISTS, ROW_COUNT}
"""Names of what every gate does without a rule: look for the table, count its rows."""


class Suite(BaseModel):
    """The rules of one table.

    Attributes:
        source_kind: raw tables only: the kind of source; the suite holds for each of that kind.
        table: name of the table; of a raw table also the name of its stream.
        optional: the table may be missing, since not every source of the kind has it.
        rules: at least one; ids are distinct.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source_kind: str | None = None
    table: str
    optional: bool = False
    rules: tuple[Rule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct_ids(self) -> Suite:
        ids = [rule.id for rule in self.rules]
        if twice := sorted({rule_id for rule_id in ids if ids.count(rule_id) > 1}):
            raise ValueError(f"{self.table} has two rules called {', '.join(twice)}")
        if taken := sorted(_RESERVED.intersection(ids)):
            raise ValueError(f"{self.table}: no rule may be called {', '.join(taken)}")
        return self

    @property
    def row_filter(self) -> str:
        """Return the condition of the rows to check, if any: what a source deleted is left out."""
        return "checked._deleted_at is null" if self.source_kind else ""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    suites: tuple[Suite, ...]

    @model_validator(mode="after")
    def _distinct_suites(self) -> _File:
        names = [(suite.source_kind, suite.table) for suite in self.suites]
        if len(set(names)) != len(names):
            raise ValueError("a table has two suites")
        return self


def parse(text: str, name: str) -> tuple[Suite, ...]:
    """Read the suites of a rule file.

    Raises:
        ConfigurationError: names the file and every fault in it.
    """
    try:
        return _File.model_validate(yaml.safe_load(text)).suites
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigurationError(f"The rule file {name} is not valid:\n{error}") from None


@cache
def suites(boundary: Boundary) -> tuple[Suite, ...]:
    """Return the suites of a boundary, in the order of their file."""
    file = resources.files("quality") / "rules" / f"{boundary}.yaml"
    return parse(file.read_text(encoding="utf-8"), f"quality/rules/{boundary}.yaml")


def row_rules(kind: str, stream: str) -> list[RowRule]:
    """Return the rules that divert rows of a stream to quarantine before they land.

    Args:
        kind: kind of the source, as in its configuration (`shopify`).
        stream: name of the stream, which is the raw table's name (`opportunity_history`).

    Returns:
        One rule each, in the order of the rule file; none for a stream without rules. A row may
        break several.
    """
    return [
        RowRule(rule.id, quarantine_sql(rule.violation), rule.description)
        for suite in suites("raw")
        if (suite.source_kind, suite.table) == (kind, stream)
        for rule in suite.rules
        if isinstance(rule, PerRow) and rule.on_fail == "quarantine"
    ]


def quarantine_sql(violation: str) -> str:
    """Return the predicate for a row that arrives: never NULL, and never true for a deletion."""
    return f"(_deleted_at is null and ({violation})) is true"
