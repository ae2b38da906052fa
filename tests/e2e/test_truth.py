"""The whole way, against a truth that was written down before: every figure to the cent."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from project import KEYS, Project, fingerprint
from stand_in import standing_in

from simulators.demo_data import generate
from simulators.systems import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AMOUNT = "amount_usd_at_month_of_last_stage_change"
BATCHES = ("batch_1", "batch_2")


@dataclass
class Built:
    """What the marts said after each batch, and after two more runs with nothing new.

    Attributes:
        data: the folder with the truth.
        is_read_over_http: whether the stand-ins served it.
        answers: by batch and question.
        nothing_new: the summary of a run that found nothing new; None where there was none.
        written: which transaction wrote each row, after the second batch, after the run with
            nothing new, and after a forced rebuild.
        content: hash of the marts before and after the rebuild.
        logins: how often each delivery's run asked for a session of Salesforce.
    """

    data: Path
    is_read_over_http: bool = False
    answers: dict[tuple[str, str], list[tuple[Any, ...]]] = field(default_factory=dict)
    nothing_new: Any = None
    written: list[dict[str, str]] = field(default_factory=list)
    content: list[dict[str, str]] = field(default_factory=list)
    logins: list[int] = field(default_factory=list)

    @property
    def data_notes(self) -> dict[str, int]:
        expected = json.loads((self.data / "truth/expected.json").read_text())
        return dict(expected["notes"])

    def truth(self, batch: str) -> dict[str, Any]:
        expected = json.loads((self.data / "truth/expected.json").read_text())
        return dict(expected[batch])

    def series(self, name: str) -> list[dict[str, str]]:
        with (self.data / "truth" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


QUESTIONS = {
    "shop": """
        select count(*), count(distinct customer_id), round(sum(net_amount_usd), 2)
        from marts.fct_orders where is_counted
    """,
    "shop_by_currency": """
        select currency, sum(net_amount) from marts.fct_orders where is_counted group by 1
    """,
    "shop_by_month": """
        select to_char(month, 'YYYY-MM'), round(shop_net_usd, 2) from marts.revenue_monthly
        where shop_orders > 0 order by 1
    """,
    "cash": """
        select sum(subscription_invoices_paid), round(sum(subscription_cash_usd), 2)
        from marts.revenue_monthly
    """,
    "mrr": """
        select to_char(month, 'YYYY-MM'), active_subscriptions, round(mrr_end_usd, 2)
        from marts.mrr_movements_monthly order by 1
    """,
    "mrr_by_customer": """
        select to_char(month, 'YYYY-MM'), round(sum(mrr_usd), 2), sum(active_subscriptions)
        from marts.fct_mrr_monthly group by 1 having sum(mrr_usd) > 0 order by 1
    """,
    "pipeline": """
        select stage, opportunities, round(amount_usd, 2) from marts.pipeline_by_stage order by 1
    """,
    "closed": """
        select count(*) filter (where is_won), count(*) filter (where is_closed and not is_won)
        from marts.fct_opportunities
    """,
    "settled": """
        select count(*) filter (where settles_order_id is not null),
            count(*) filter (where settles_order_id is null and settles_invoice_id is null)
        from marts.fct_payments where status = 'succeeded' and not is_test
    """,
    "reconciliation": """
        select count(*), count(*) filter (where difference_count <> 0 or difference_amount <> 0)
        from marts.reconciliation
    """,
    "identities": """
        select source, source_object, source_id, customer_id from marts.customer_identities
    """,
    "red_gates": "select * from ops.gate_results where status <> 'passed' and severity = 'error'",
}  # fmt: skip


def _ways(*ways: str) -> list[Any]:
    """Give each way a group of its own: they take minutes, and any process can have one."""
    return [pytest.param(way, marks=pytest.mark.xdist_group(f"truth, {way}")) for way in ways]


# Generated data over HTTP are `crmhouse demo`: tests/cli/test_demo.py.
@pytest.fixture(scope="module", params=_ways("reference over HTTP", "generated files"))
def built(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    shared_prefect: None,  # noqa: ARG001  # its runs use it
) -> Iterator[Built]:
    """Both batches, each run through the command line; of the files, what follows them too."""
    folder = tmp_path_factory.mktemp("truth")
    if request.param == "generated files":
        data = generate(folder / "data", persons=250, seed=11).folder
        yield build(Project(folder, data), is_followed=True)
        return
    data = request.getfixturevalue("crm_demo")
    with pytest.MonkeyPatch.context() as patch, standing_in(data, folder, SYSTEMS) as stand_in:
        for name, key in KEYS.items():
            patch.setenv(name, key)
        stand_in.lift_limits()
        yield build(Project(folder, data, stand_in), is_followed=False)


def build(project: Project, *, is_followed: bool) -> Built:
    """Run both batches, and where that is wanted what follows them."""
    result = Built(project.data, project.stand_in is not None)
    project.configure(BATCHES[0])
    with project.warehouse() as warehouse:
        for batch in BATCHES:
            project.configure(until=batch)
            project.run()
            if project.stand_in:
                asked = project.stand_in.requests().items()
                result.logins.append(sum(n for path, n in asked if path.endswith("/token")))
            with warehouse.connect() as connection:
                for name, question in QUESTIONS.items():
                    result.answers[batch, name] = connection.execute(question).fetchall()
        for arguments in ((), ("--force",)) if is_followed else ():
            result.written.append(written(warehouse))
            result.content.append(fingerprint(warehouse, "marts"))
            outcome = project.run(*arguments)
            result.nothing_new = result.nothing_new or outcome
        result.written.append(written(warehouse))
        result.content.append(fingerprint(warehouse, "marts"))
    return result


def require_followed(built: Built) -> None:
    if built.nothing_new is None:
        pytest.skip("shown with the files")


def written(warehouse: Any) -> dict[str, str]:
    """Which transaction wrote each row of raw and marts."""
    found = {}
    with warehouse.connect() as connection:
        tables = connection.execute(
            "select schemaname, tablename from pg_tables "
            "where schemaname = 'marts' or schemaname like 'raw%' order by 1, 2"
        ).fetchall()
        for schema, table in tables:
            versions = "string_agg(ctid::text || xmin::text, ',' order by ctid)"
            statement = f"select md5(coalesce({versions}, '')) from {schema}.{table}"
            found[f"{schema}.{table}"] = connection.execute(statement).fetchone()[0]
    return found


def test_the_streams_of_a_source_share_what_its_connector_knows(built: Built) -> None:
    assert built.logins == ([1, 1] if built.is_read_over_http else [])


@pytest.mark.parametrize("batch", BATCHES)
def test_shop_revenue_equals_the_truth(built: Built, batch: str) -> None:
    truth = built.truth(batch)
    orders, _, net = built.answers[batch, "shop"][0]
    assert (orders, str(net)) == (truth["shop_orders_net"], truth["shop_net_usd"])
    by_currency = dict(built.answers[batch, "shop_by_currency"])
    assert by_currency == {c: Decimal(n) for c, n in truth["shop_net_by_currency"].items()}
    assert built.answers[batch, "shop_by_month"] == [
        (row["month"], Decimal(row["net_usd_utc_month"]))
        for row in built.series(f"monthly_shop_net_usd_{batch}")
    ]


@pytest.mark.parametrize("batch", BATCHES)
def test_subscription_cash_equals_the_truth(built: Built, batch: str) -> None:
    truth = built.truth(batch)
    invoices, cash = built.answers[batch, "cash"][0]
    assert (invoices, str(cash)) == (
        truth["subscription_invoices_paid"],
        truth["subscription_cash_usd"],
    )


@pytest.mark.parametrize("batch", BATCHES)
def test_recurring_revenue_equals_the_truth_in_every_month(built: Built, batch: str) -> None:
    truth = {
        row["month"]: (int(row["active_paid_subscriptions"]), Decimal(row["mrr_usd"]))
        for row in built.series(f"mrr_eom_usd_{batch}")
        if Decimal(row["mrr_usd"])
    }
    movements = {month: (count, mrr) for month, count, mrr in built.answers[batch, "mrr"] if mrr}
    assert movements == truth
    customers = {
        month: (count, mrr) for month, mrr, count in built.answers[batch, "mrr_by_customer"]
    }
    assert customers == truth
    last = built.truth(batch)["mrr_last"]
    assert max(movements) == last[0]
    assert str(movements[last[0]][1]) == last[3]


@pytest.mark.parametrize("batch", BATCHES)
def test_the_pipeline_equals_the_truth(built: Built, batch: str) -> None:
    assert built.answers[batch, "pipeline"] == [
        (row["stage"], int(row["opportunities"]), Decimal(row[AMOUNT]))
        for row in built.series(f"pipeline_{batch}")
    ]  # fmt: skip
    truth = built.truth(batch)
    assert built.answers[batch, "closed"] == [(truth["won"], truth["lost"])]


@pytest.mark.parametrize("batch", BATCHES)
def test_nothing_is_lost_on_the_way(built: Built, batch: str) -> None:
    rows, differing = built.answers[batch, "reconciliation"][0]
    assert rows >= 11 * 3
    assert differing == 0
    assert built.answers[batch, "red_gates"] == []


@pytest.mark.parametrize("batch", BATCHES)
def test_every_charge_that_pays_an_order_is_known_to_be_that_money(
    built: Built, batch: str
) -> None:
    settling, others = built.answers[batch, "settled"][0]
    naive = built.truth(batch)["naive_double_counted_charges"]
    # Of the first delivery, some orders come late, with the second.
    assert settling + others == naive
    assert others == 0 if batch == "batch_2" else others <= built.data_notes["late_orders"]


@pytest.mark.parametrize("batch", BATCHES)
def test_people_are_recognised(built: Built, batch: str) -> None:
    truth = {
        (row["system"], row["object"], row["source_id"]): row["truth_id"]
        for row in built.series("identity_xref")
    }
    persons = {"Contact", "contacts", "customers"}
    found = {
        (source, kind, key): customer
        for source, kind, key, customer in built.answers[batch, "identities"]
        if kind in persons
    }
    assert found.keys() <= truth.keys()
    same, claimed, right = _pairs(found, truth)
    assert right / claimed >= 0.99
    assert right / same >= 0.84


def _pairs(found: dict[Any, str], truth: dict[Any, str]) -> tuple[int, int, int]:
    """Count the pairs that are the same in truth, that were claimed, and that are both."""
    groups: dict[str, dict[Any, int]] = {"truth": defaultdict(int), "found": defaultdict(int)}
    both: dict[Any, int] = defaultdict(int)
    for record, customer in found.items():
        groups["truth"][truth[record]] += 1
        groups["found"][customer] += 1
        both[truth[record], customer] += 1
    counts = [*groups.values(), both]
    same, claimed, right = (sum(n * (n - 1) // 2 for n in group.values()) for group in counts)
    return same, claimed, right


def test_a_run_with_nothing_new_changes_no_row_and_says_so(built: Built) -> None:
    require_followed(built)
    assert built.nothing_new["outcome"] == "nothing new"
    assert built.written[1] == built.written[0]


def test_a_rebuild_from_the_same_rows_gives_the_same_marts_and_writes_no_row(built: Built) -> None:
    require_followed(built)
    assert built.content[2] == built.content[0]
    assert built.written[2] == built.written[0]
