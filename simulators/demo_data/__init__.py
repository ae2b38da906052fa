"""One invented company in Salesforce, HubSpot, Stripe and Shopify: messy files, and the truth.

`generate` writes two deliveries of all four systems in their native record shapes, the exchange
rates, and what is really so. The same size and seed give the same bytes on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from crmhouse.errors import ConfigurationError
from simulators.demo_data.clock import Timeline
from simulators.demo_data.layout import Deliveries, write_rates
from simulators.demo_data.truth import write_truth
from simulators.demo_data.world import build_world

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["DemoSummary", "generate"]

_FEWEST_PERSONS = 50


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """What was written.

    Attributes:
        folder: Holds `batch_1`, `batch_2`, `reference` and `truth`.
        rows: Rows per batch and object, `{"batch_1": {"salesforce.Account": 90, ...}, ...}`.
        expected: The content of `truth/expected.json`; money as text.
    """

    folder: Path
    persons: int
    seed: int
    rows: Mapping[str, Mapping[str, int]]
    expected: Mapping[str, object]


def generate(
    folder: Path,
    *,
    persons: int = 1000,
    seed: int = 7,
    begins: datetime = datetime(2023, 1, 1, tzinfo=UTC),
    end_batch_1: datetime = datetime(2025, 4, 1, tzinfo=UTC),
    end_batch_2: datetime = datetime(2025, 7, 1, tzinfo=UTC),
) -> DemoSummary:
    """Write the demo data into a folder, which is created; files of an earlier run are replaced.

    Args:
        folder: Where `batch_1`, `batch_2`, `reference` and `truth` go.
        persons: How many people really exist, at least 50; rows are about ten times as many.
        seed: Another seed gives another company.
        begins: No record is older.
        end_batch_1: The first delivery holds the state at this instant.
        end_batch_2: The second delivery holds what changed from there until this instant.

    Raises:
        ConfigurationError: Too few persons, or instants that are not aware and ascending, or so
            close together that nothing happened.
    """
    if persons < _FEWEST_PERSONS:
        raise ConfigurationError(
            f"Demo data for {persons} persons would not show every kind of record: "
            f"ask for {_FEWEST_PERSONS} or more."
        )
    world = build_world(seed, persons, Timeline(begins, end_batch_1, end_batch_2))
    deliveries = Deliveries(folder, world)
    deliveries.write()
    write_rates(folder, world.rates)
    expected = write_truth(folder / "truth", world, deliveries.rows)
    return DemoSummary(folder, persons, seed, deliveries.rows, expected)
