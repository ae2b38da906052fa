"""What a gate found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from crmhouse.errors import GateFailedError

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from quality.catalogue import Boundary
    from quality.kinds import Severity

Status = Literal["passed", "failed", "error"]

_MOST_FAILURES_TOLD = 10


def stops(status: Status, severity: Severity) -> bool:
    """Say whether a result makes its gate red: a check that could not be run always does."""
    return status == "error" or (status == "failed" and severity == "error")


class Found(Protocol):
    """What a result, fresh or stored, says of the data."""

    @property
    def status(self) -> Status: ...  # noqa: D102
    @property
    def rows_checked(self) -> int | None: ...  # noqa: D102
    @property
    def rows_failed(self) -> int | None: ...  # noqa: D102
    @property
    def observed(self) -> str | None: ...  # noqa: D102


def finding(result: Found) -> str:
    """Say in a few words what was found."""
    if result.status == "error":
        return f"could not be checked: {result.observed}"
    if result.observed is not None:
        return result.observed
    checked, failed = result.rows_checked or 0, result.rows_failed or 0
    if failed > checked:
        return f"{failed:,} rows"
    return f"{failed:,} of {checked:,} rows" if failed else f"{checked:,} rows"


@dataclass(frozen=True)
class GateResult:
    """One expectation of one table.

    Attributes:
        suite: `<source>.<table>` for raw tables, the mart's name for marts.
        expectation: id of the rule in the suite.
        description: what holds when the rule does.
        severity: only `error` makes a failure count.
        status: `failed`: the data breaks the rule. `error`: the check could not be run.
        rows_checked: rows the rule was about; None where the table could not be read.
        rows_failed: rows that break it; None for a rule about the whole table.
        observed: what a rule about the whole table saw, or why the check could not be run.
        rows_query: the query that shows what breaks the rule.
    """

    suite: str
    expectation: str
    description: str
    severity: Severity
    status: Status
    rows_checked: int | None
    rows_failed: int | None
    observed: str | None
    rows_query: str

    @property
    def stops(self) -> bool:
        """Say whether this result makes the gate red."""
        return stops(self.status, self.severity)

    @property
    def finding(self) -> str:
        """Say in a few words what was found."""
        return finding(self)


@dataclass(frozen=True)
class GateReport:
    """All results of one gate of one run.

    Attributes:
        seconds: how long the gate took.
    """

    run_id: UUID
    boundary: Boundary
    results: tuple[GateResult, ...]
    seconds: float

    @property
    def failures(self) -> tuple[GateResult, ...]:
        """Return the results that make the gate red."""
        return tuple(result for result in self.results if result.stops)

    @property
    def warnings(self) -> tuple[GateResult, ...]:
        """Return the failed rules that stop nothing."""
        return tuple(r for r in self.results if r.status == "failed" and not r.stops)

    @property
    def passed(self) -> bool:
        """Say whether the gate is green."""
        return not self.failures

    def raise_for_failures(self, page: Path | None = None) -> None:
        """Do nothing when the gate is green.

        Args:
            page: the page of this run, to name in the message.

        Raises:
            GateFailedError: names each expectation that failed, how many rows broke it and the
                query that shows them.
        """
        if self.passed:
            return
        failures = self.failures
        share = f"{len(failures)} of {len(self.results)} expectations failed"
        lines = [f"The {self.boundary} gate is red: {share}. The published marts are unchanged."]
        for result in failures[:_MOST_FAILURES_TOLD]:
            lines += [
                f"- {result.suite}/{result.expectation}: {result.finding}. {result.description}",
                f"  See it: {result.rows_query}",
            ]
        if len(failures) > _MOST_FAILURES_TOLD:
            lines.append(f"- and {len(failures) - _MOST_FAILURES_TOLD} more")
        if page is not None:
            lines.append(f"All results: {page}")
        accept = (f"--accept {r.suite}/{r.expectation}" for r in failures[:_MOST_FAILURES_TOLD])
        lines.append(
            "Repair the data, or let results that are right pass once: "
            f"crmhouse run {' '.join(accept)}"
        )
        raise GateFailedError("\n".join(lines))
