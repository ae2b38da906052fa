"""How many requests a sync takes, beside the least that the API allows."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from least import STEPS, least
from processes import run
from served import serving

from simulators.demo_data import generate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from processes import Server

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "hubspot": {"requests_per_10_seconds": 1_000_000, "searches_per_second": 25_000},
    "stripe": {"requests_per_second": 1000},
}
"""The stand-in may be asked as fast as can be; which of two ways is faster stays the same."""

_CLASSES = {
    "salesforce": {
        r"/token$": "token", r"/composite$|/describe$": "describe", r"/recordCount$": "counts",
        r"^POST .*/jobs/query$": "job", r"/resultPages$|/results$": "results",
        r"/jobs/query/": "poll", r"/queryAll": "query", r"/deleted/$": "deleted",
    },
    "hubspot": {
        r"/properties/": "properties", r"/search$": "search", r"/associations/": "associations",
        r"/owners$": "owners", r"/pipelines/": "pipelines", r"/batch/read$": "batch",
        r"^GET .*/objects/": "list",
    },
    "stripe": {r"/events$": "events", r"/v1/\w+/": "object", r"/v1/\w+$": "list"},
    "shopify": {r"/graphql.json$": "graphql", r"/bulk/": "file"},
}  # fmt: skip


@dataclass(frozen=True)
class Count:
    """The requests of one sync.

    Attributes:
        system: the service.
        step: what there was to be read.
        asked: how many there were, by class.
        least: how many there had to be.
    """

    system: str
    step: str
    asked: dict[str, int]
    least: dict[str, int]

    @property
    def ratio(self) -> float:
        """Return how many times the least there were."""
        return round(sum(self.asked.values()) / sum(self.least.values()), 2)


def measure(server: Server, folder: Path, persons: int, systems: Sequence[str]) -> Iterator[Count]:
    """Count the requests of a first load, of a sync with nothing new, and of the second batch."""
    data = generate(folder / "demo", persons=persons).folder
    with ExitStack() as stack:
        served = stack.enter_context(serving(data, folder))
        databases = {
            system: stack.enter_context(server.database(f"of_{system}", migrated=True))
            for system in systems
        }
        for step in STEPS:
            if step == STEPS[-1]:
                served.advance()
            for system, warehouse in databases.items():
                source = served.source(system, **OPTIONS.get(system, {}))
                served.requests()
                run("ours.py", {"parameters": warehouse.parameters, "source": source})
                asked = _by_class(system, served.requests())
                yield Count(system, step, dict(asked), dict(least(data, system, step)))


def as_json(counts: Sequence[Count]) -> list[dict[str, Any]]:
    """Return the counts as JSON has them."""
    return [{**asdict(count), "ratio": count.ratio} for count in counts]


def lines(counts: Sequence[Count]) -> Iterator[str]:
    """Write the counts as a table."""
    yield f"{'source':12}{'sync':14}{'requests':>9}{'least':>7}{'ratio':>7}  by class (least)"
    for count in counts:
        parts = ", ".join(
            f"{name} {count.asked.get(name, 0)} ({count.least.get(name, 0)})"
            for name in dict.fromkeys([*count.asked, *count.least])
        )
        asked, low = sum(count.asked.values()), sum(count.least.values())
        yield f"{count.system:12}{count.step:14}{asked:9}{low:7}{count.ratio:7.2f}  {parts}"


def _by_class(system: str, asked: Mapping[str, int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for path, times in asked.items():
        if f" /{system}/" in path:
            classes = _CLASSES[system].items()
            name = next((name for pattern, name in classes if re.search(pattern, path)), path)
            found[name] += times
    return found
