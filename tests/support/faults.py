"""A pytest plugin: counts the faults that tests inject and what became of the rows.

The counts travel with the test reports, so the summary is that of all processes of pytest-xdist.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Rows = Sequence[tuple[str, str]]

_PROPERTY = "faults"
_SEED = "FAULT_SEED"


@dataclass
class Faults:
    """What a test did to the engine, and what it then found.

    Attributes:
        injected: faults by their kind.
        compared: rows that were held against what they must be.
        lost: rows that must be there and are not.
        duplicated: rows that are there beyond those that must be.
        stale: rows with a content that they must not have.
        notes: what else is worth to be told, in lines.
    """

    injected: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    lost: int = 0
    duplicated: int = 0
    stale: int = 0
    notes: list[str] = field(default_factory=list)

    def inject(self, kind: str, number: int = 1) -> None:
        """Count faults that really happened: the process is dead, the server was stopped."""
        self.injected[kind] += number

    def random(self, part: int = 0) -> Random:
        """Return the random numbers of one of the parts of a test; the summary tells the seed."""
        return Random(f"{os.environ[_SEED]} {part}")  # noqa: S311  # it decides on moments

    def compare(self, expected: Rows, actual: Rows, place: object) -> None:
        """Hold rows, each a key and a content, against what they must be; raise where they differ.

        Args:
            expected: one row for each key.
            actual: what the table holds.
            place: where the fault hit, for the message.
        """
        must, found = dict(expected), dict(actual)
        lost = must.keys() - found.keys()
        extra = len(actual) - len(found) + len(found.keys() - must.keys())
        stale = [key for key in must.keys() & found.keys() if must[key] != found[key]]
        self.compared += len(must)
        self.lost += len(lost)
        self.duplicated += extra
        self.stale += len(stale)
        wrong = {key: (must[key], found[key]) for key in stale[:3]}
        assert (len(lost), extra, len(stale)) == (0, 0, 0), (place, sorted(lost)[:3], wrong)


class Summary:
    """Adds up the counts of all tests and shows them below the results."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self.injected: Counter[str] = Counter()
        self.notes: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "teardown":  # it has all that the test noted, and comes once
            return
        for name, found in report.user_properties:
            if name != _PROPERTY:
                continue
            counts: dict[str, Any] = dict(found)  # type: ignore[call-overload]
            self.injected.update(counts.pop("injected"))
            self.notes += counts.pop("notes")
            self.total.update(counts)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.injected:
            return
        kinds = ", ".join(f"{kind} {number}" for kind, number in self.injected.most_common())
        total = self.total
        terminalreporter.section("faults")
        terminalreporter.line(f"faults injected: {self.injected.total():,} ({kinds})")
        terminalreporter.line(
            f"{total['compared']:,} rows compared: {total['lost']} lost, "
            f"{total['duplicated']} duplicated, {total['stale']} stale; {_SEED} {os.environ[_SEED]}"
        )
        for note in self.notes:
            terminalreporter.line(note)


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault(_SEED, str(SystemRandom().randrange(10**6)))  # workers inherit it
    config.pluginmanager.register(Summary(), "fault-summary")


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> Iterator[Faults]:
    """Counts for the summary of the test run."""
    counts = Faults()
    yield counts
    found = {**asdict(counts), "injected": dict(counts.injected)}
    request.node.user_properties.append((_PROPERTY, found))
