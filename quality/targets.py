"""Which tables a gate checks with which rules, and the SQL of each rule for that table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quality.catalogue import Boundary, Suite, suites
from quality.kinds import (
    PLACEHOLDER,
    FindsNothing,
    ForeignKey,
    PerRow,
    PerTable,
    Rule,
    Share,
    Unique,
)
from quality.sql import identifier, literal

if TYPE_CHECKING:
    from datetime import datetime

Sources = Mapping[str, Sequence[str]]
"""Kind of system to the names of the configured sources of that kind."""

Streams = Mapping[str, Collection[str]]
"""Name of a source to the streams it is configured to sync; a source left out syncs all."""


@dataclass(frozen=True)
class Target:
    """One table and the rules that apply to it in this run.

    Attributes:
        name: the suite's name in the results: `<source>.<table>`, or the mart.
        schema: the table's schema.
        suite: where the rules come from.
        rules: the rules that apply, given what is configured.
        as_of: the moment of the run, exclusive.
    """

    name: str
    schema: str
    suite: Suite
    rules: tuple[Rule, ...]
    as_of: datetime

    @property
    def relation(self) -> str:
        """Return the table's quoted name."""
        return f"{identifier(self.schema)}.{identifier(self.suite.table)}"

    def rows(self, condition: str = "") -> str:
        """Return the FROM and WHERE of the checked rows, or of those that meet a condition."""
        parts = [self.suite.row_filter, f"({condition})" if condition else ""]
        where = " and ".join(filter(None, parts))
        return f"from {self.relation} as checked" + (f" where {where}" if where else "")

    def fill(self, sql: str) -> str:
        """Put this table and this run in the place of each placeholder."""
        values = {
            "schema": identifier(self.schema),
            "table": self.relation,
            "rows": self.rows(),
            "as_of": literal(self.as_of),
        }
        return PLACEHOLDER.sub(lambda match: values[match[1]], sql)

    def violation(self, rule: PerRow) -> str:
        """Return the boolean SQL that is true for a row that breaks the rule, else false."""
        return f"({self.fill(rule.violation)}) is true"

    def number(self, rule: PerTable | FindsNothing | ForeignKey) -> str:
        """Return the SQL of the number that the rule bounds, NULL where there is none.

        Of rules that look beyond the table, it is the number of rows found: counted in a query of
        its own, each is one hash join, and as a column of the rows it is a search for every row.
        """
        if isinstance(rule, PerTable):
            return self.fill(rule.statistic)
        return f"(select count(*) from ({self.rows_query(rule)}) as found)"  # noqa: S608  # ours

    def rows_query(self, rule: Rule) -> str:
        """Return the query that shows what breaks the rule; it holds no value of any row."""
        if isinstance(rule, FindsNothing):
            return self.fill(rule.query)
        if isinstance(rule, PerRow):
            return f"select * {self.rows(self.fill(rule.violation))}"
        if isinstance(rule, Share):
            wanted = rule.rows if rule.max < 1 else f"({rule.rows}) is not true"
            return f"select * {self.rows(self.fill(wanted))}"
        if isinstance(rule, Unique):
            return self._duplicates(rule)
        return f"select {self.fill(rule.shown)}, count(*) as row_count {self.rows()}"

    def _duplicates(self, rule: Unique) -> str:
        columns = ", ".join(map(identifier, rule.columns))
        filled = " and ".join(f"{identifier(column)} is not null" for column in rule.columns)
        counted = f"select *, count(*) over (partition by {columns}) as rows_alike"
        keyed = f"{counted} {self.rows(filled)}"
        return f"select * from ({keyed}) as counted where rows_alike > 1"  # noqa: S608  # quoted


def targets(
    boundary: Boundary,
    *,
    sources: Sources,
    streams: Streams,
    schema_of_marts: str,
    as_of: datetime,
) -> list[Target]:
    """List what a gate checks: the raw tables of the configured sources, or every mart.

    A rule that needs a kind of source is left out where none of that kind is configured.
    """
    configured = {kind for kind, names in sources.items() if names}
    found = []
    for suite in suites(boundary):
        rules = tuple(
            rule for rule in suite.rules if not rule.needs or configured.intersection(rule.needs)
        )
        if suite.source_kind is None:
            found.append(Target(suite.table, schema_of_marts, suite, rules, as_of))
            continue
        found += [
            Target(f"{source}.{suite.table}", f"raw_{source}", suite, rules, as_of)
            for source in sources.get(suite.source_kind, ())
            if source not in streams or suite.table in streams[source]
        ]
    return found
