"""The demo: invented data in a folder, a project over it, and the comparison with the truth."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from crmhouse.embedded import EmbeddedServer
from crmhouse.errors import AlreadyRunningError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from psycopg import Connection

    from crmhouse.warehouse import Warehouse

BATCHES = ("batch_1", "batch_2")

_MARK = "# Written by `crmhouse demo`; the next demo replaces it and everything beside it."
_CONFIGURATION = """\
{mark}
#
# Four systems of one invented company, and the exchange rates. The second delivery holds what
# changed in the last three months. Put a batch_3 of your own beside it and run again.
home: .crmhouse

# The demo's world ends here. A real project leaves this out: figures are then for the moment of
# the newest record.
as_of: {as_of}

fx_rates: reference.fx_rates_monthly
sources:
{sources}
  - name: reference
    kind: files
    options:
      path: .
      streams:
        fx_rates_monthly:
          glob: reference/fx_rates_monthly.csv
          key: [month, currency]
          columns: {{usd_per_unit: numeric}}
"""
_SYSTEMS = ("salesforce", "hubspot", "stripe", "shopify")
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


def prepare_folder(folder: Path) -> Path:
    """Clear an earlier demo out of the folder; return where its configuration goes.

    Raises:
        ConfigurationError: the folder holds something that no demo wrote.
        AlreadyRunningError: somebody uses the earlier demo's warehouse.
    """
    config = folder / "crmhouse.yaml"
    if folder.exists() and any(folder.iterdir()):
        if not config.is_file() or not config.read_text(encoding="utf-8").startswith(_MARK):
            raise ConfigurationError(
                f"{folder} holds something that `crmhouse demo` did not write, and the demo "
                "replaces what is in its folder. Name another one with --folder."
            )
        home = (folder / ".crmhouse").resolve()
        server = EmbeddedServer.of(home)
        if server.data.exists() and not server.stop():
            raise AlreadyRunningError(
                f"The warehouse of the demo in {folder} is in use. Close what uses it first."
            )
        for part in (server.data, home, *(folder / name for name in BATCHES)):
            shutil.rmtree(part, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    config.write_text(f"{_MARK}\n", encoding="utf-8")
    return config


def write_configuration(config: Path, batch: str, as_of: str) -> None:
    """Write the project's configuration for the state after a batch."""
    until = "" if batch == BATCHES[-1] else f", until: {batch}"
    sources = "\n".join(
        f"  - {{name: {name}, kind: {name}_export, options: {{path: .{until}}}}}"
        for name in _SYSTEMS
    )
    text = _CONFIGURATION.format(mark=_MARK, as_of=as_of, sources=sources)
    config.write_text(text, encoding="utf-8")


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
