"""The comparison of the demo's marts with what is really so in its invented company."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from psycopg import Connection

    from crmhouse.warehouse import Warehouse

# Guest orders and account records are resolved, too, but are no records of a person.
_PERSON_OBJECTS = frozenset({"Contact", "contacts", "customers"})


@dataclass(frozen=True)
class Comparison:
    """One figure of the marts beside what is really so.

    Attributes:
        figure: its name; a series is one figure.
        expected: from the generator's own books, never from the files.
        found: from the marts.
    """

    figure: str
    expected: str
    found: str

    @property
    def is_equal(self) -> bool:
        """Say whether they are equal, to the cent."""
        return self.expected == self.found


@dataclass(frozen=True)
class Recognition:
    """How well people were recognised, over all pairs of records of one person.

    Attributes:
        precision: of the pairs that were joined, the share that is right; None without pairs.
        recall: of the pairs that should be joined, the share that was.
    """

    precision: float | None
    recall: float | None


def compare(warehouse: Warehouse, truth: Path, batch: str) -> list[Comparison]:
    """Compare the marts with the truth of a batch: totals, and every month of every series.

    Args:
        warehouse: the open warehouse.
        truth: the folder with `expected.json` and the series.
        batch: the last batch that was synced.
    """
    expected = json.loads((truth / "expected.json").read_text(encoding="utf-8"))[batch]
    with warehouse.connect() as connection:
        found = _totals(connection)
        totals = [
            Comparison(name, str(expected[name]), found[name]) for name in found if name in expected
        ]
        return [*totals, *_series(connection, truth, batch)]


def recognition(warehouse: Warehouse, truth: Path) -> Recognition:
    """Measure the identities against who really is who."""
    person = {
        (row["system"], row["object"], row["source_id"]): row["truth_id"]
        for row in _rows(truth / "identity_xref.csv")
    }
    with warehouse.connect() as connection:
        found = connection.execute(
            "select source_system, source_object, source_id, customer_id "
            "from marts.customer_identities where source_object = any(%s)",
            [sorted(_PERSON_OBJECTS)],
        ).fetchall()
    known = [(person[system, kind, key], customer) for system, kind, key, customer in found]
    same = _pairs(Counter(truth_id for truth_id, _ in known))
    joined = _pairs(Counter(customer for _, customer in known))
    right = _pairs(Counter(known))
    return Recognition(right / joined if joined else None, right / same if same else None)


def _totals(connection: Connection) -> dict[str, str]:
    row = connection.execute(
        """
        select
            (select sum(shop_orders) from marts.revenue_monthly),
            (select round(sum(shop_net_usd), 2) from marts.revenue_monthly),
            (select sum(subscription_invoices_paid) from marts.revenue_monthly),
            (select round(sum(subscription_cash_usd), 2) from marts.revenue_monthly),
            (select count(*) from marts.fct_opportunities where is_won),
            (select count(*) from marts.fct_opportunities where is_closed and not is_won)
        """
    ).fetchone()
    names = (
        "shop_orders_net", "shop_net_usd", "subscription_invoices_paid", "subscription_cash_usd",
        "won", "lost",
    )  # fmt: skip
    return dict(zip(names, map(str, row or ()), strict=True))


def _series(connection: Connection, truth: Path, batch: str) -> list[Comparison]:
    """Compare the series; a month without any amount may be missing on either side."""
    questions = {
        "monthly_shop_net_usd": (
            "select to_char(month, 'YYYY-MM'), shop_net_usd from marts.revenue_monthly",
            ("month", "net_usd_utc_month"),
        ),
        "mrr_eom_usd": (
            "select to_char(month, 'YYYY-MM'), mrr_end_usd from marts.mrr_movements_monthly",
            ("month", "mrr_usd"),
        ),
        "pipeline": (
            "select stage, amount_usd from marts.pipeline_by_stage",
            ("stage", "amount_usd_at_month_of_last_stage_change"),
        ),
    }
    result = []
    for name, (question, (key, value)) in questions.items():
        expected = {row[key]: Decimal(row[value]) for row in _rows(truth / f"{name}_{batch}.csv")}
        found = {at: round(amount, 2) for at, amount in connection.execute(question).fetchall()}
        result.append(_compare_series(name, expected, found))
    return result


def _compare_series(
    name: str, expected: Mapping[str, Decimal], found: Mapping[str, Decimal]
) -> Comparison:
    points = sorted(expected.keys() | found.keys())
    differing = [at for at in points if expected.get(at, 0) != found.get(at, 0)]
    right = len(points) - len(differing)
    where = f" (differs at {', '.join(differing[:3])})" if differing else ""
    return Comparison(
        f"{name}, {len(points)} points", f"{len(points)} equal", f"{right} equal{where}"
    )


def _pairs(sizes: Mapping[Any, int]) -> int:
    return sum(size * (size - 1) // 2 for size in sizes.values())


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
