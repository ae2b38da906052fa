"""The truth, counted again from the files with the plainest possible definitions.

The same recount runs over the reference data: both mean the same by every figure.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Reader = Callable[[Path], list[dict[str, Any]]]

BATCHES = ("batch_1", "batch_2")
PERSON_OBJECTS = {
    ("salesforce", "Contact"): "salesforce/Contact.csv",
    ("hubspot", "contacts"): "hubspot/contacts.jsonl",
    ("stripe", "customers"): "stripe/customers.jsonl",
    ("shopify", "customers"): "shopify/customers.jsonl",
}
OTHER_OBJECTS = {
    ("salesforce", "Account"): "salesforce/Account.csv",
    ("salesforce", "Opportunity"): "salesforce/Opportunity.csv",
    ("shopify", "orders"): "shopify/orders.jsonl",
    ("stripe", "subscriptions"): "stripe/subscriptions.jsonl",
    ("stripe", "invoices"): "stripe/invoices.jsonl",
    ("stripe", "charges"): "stripe/charges.jsonl",
}


class Recount:
    """One folder as it is known after one batch."""

    def __init__(self, folder: Path, batch: str, read: Reader) -> None:
        self.folder, self.batch, self.read = folder, batch, read
        self.expected = json.loads((folder / "truth" / "expected.json").read_text("utf-8"))[batch]
        self.rates = {
            (row["month"], row["currency"]): Decimal(row["usd_per_unit"])
            for row in read(folder / "reference" / "fx_rates_monthly.csv")
        }
        self.truth_of = {
            (row["system"], row["object"], row["source_id"]): row["truth_id"]
            for row in read(folder / "truth" / "identity_xref.csv")
        }

    def latest(self, file: str) -> list[dict[str, Any]]:
        """The last delivered version of every record."""
        versions: dict[str, dict[str, Any]] = {}
        for batch in BATCHES[: BATCHES.index(self.batch) + 1]:
            for row in self.read(self.folder / batch / file):
                versions[str(row.get("Id") or row["id"])] = row
        return list(versions.values())

    def table(self, name: str) -> list[dict[str, Any]]:
        return self.read(self.folder / "truth" / f"{name}_{self.batch}.csv")

    def usd(self, amount: Decimal, currency: str, month: str) -> Decimal:
        return amount * self.rates[month, currency.upper()]

    def sales(self) -> list[tuple[str, datetime, dict[str, Any], Decimal, Decimal]]:
        """Counted orders: person, local time, order, net and net in dollars."""
        found = []
        for order in self.latest("shopify/orders.jsonl"):
            if not order["test"] and not order["cancelled_at"]:
                net = Decimal(order["total_price"])
                net -= sum(Decimal(refund["amount"]) for refund in order["refunds"])
                at = datetime.fromisoformat(order["created_at"])
                person = self.truth_of["shopify", "orders", str(order["id"])]
                usd = self.usd(net, order["currency"], month_of(at.astimezone(UTC)))
                found.append((person, at, order, net, usd))
        return found


def month_of(at: datetime) -> str:
    return at.strftime("%Y-%m")


def from_epoch(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def major(amount: int, currency: str) -> Decimal:
    return Decimal(amount) if currency == "jpy" else Decimal(amount) / 100


@pytest.fixture(scope="module", params=["generated", "crm_demo"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture(scope="module", params=BATCHES)
def recount(request: pytest.FixtureRequest, folder: Path, read: Reader) -> Recount:
    return Recount(folder, request.param, read)


def test_shop_totals_are_those_of_the_orders(recount: Recount) -> None:
    sales, by_currency = recount.sales(), defaultdict(Decimal)
    for _, _, order, net, _ in sales:
        by_currency[order["currency"]] += net
    expected = recount.expected
    assert len(sales) == expected["shop_orders_net"]
    assert len({person for person, *_ in sales}) == expected["shop_buyers"]
    assert sum(order["customer"] is None for _, _, order, *_ in sales) == expected["guest_orders"]
    assert {c: str(net) for c, net in by_currency.items()} == expected["shop_net_by_currency"]
    assert str(cents(sum(usd for *_, usd in sales))) == expected["shop_net_usd"]


def test_monthly_sales_convert_both_calendars_at_the_rate_of_the_utc_month(
    recount: Recount,
) -> None:
    utc, local, buyers = defaultdict(Decimal), defaultdict(Decimal), defaultdict(set)
    for person, at, _, _, usd in recount.sales():
        month = month_of(at.astimezone(UTC))
        utc[month] += usd
        local[month_of(at)] += usd
        buyers[month].add(person)
    for row in recount.table("monthly_shop_net_usd"):
        month = row["month"]
        assert cents(utc.pop(month)) == Decimal(row["net_usd_utc_month"])
        assert cents(local.pop(month, Decimal(0))) == Decimal(row["net_usd_shop_local_month"])
        assert len(buyers[month]) == int(row["active_buyers_utc"])
    assert not utc
    assert not local


def test_cohorts_and_buyers_follow_from_the_orders(recount: Recount) -> None:
    own = defaultdict(list)
    for person, at, _, _, usd in recount.sales():
        own[person].append((at.astimezone(UTC), usd))
    for row in recount.table("person_shop"):
        sales = own[row["person_id"]]
        assert len(sales) == int(row["orders"])
        assert cents(sum(usd for _, usd in sales)) == Decimal(row["net_usd"])
        assert f"{min(sales)[0]:%FT%T}" == row["first_order_utc"][:19]
        assert f"{max(sales)[0]:%FT%T}" == row["last_order_utc"][:19]
    assert len(own) == len(recount.table("person_shop"))
    active = Counter(
        (month_of(min(sales)[0]), month)
        for sales in own.values()
        for month in {month_of(at) for at, _ in sales}
    )
    assert active == {
        (row["cohort_month"], row["active_month"]): int(row["persons"])
        for row in recount.table("cohort")
    }


def test_subscription_cash_is_that_of_the_paid_invoices(recount: Recount) -> None:
    paid = [
        (invoice, from_epoch(invoice["status_transitions"]["paid_at"]))
        for invoice in recount.latest("stripe/invoices.jsonl")
        if invoice["status"] == "paid"
    ]
    cash = sum(
        recount.usd(
            major(invoice["amount_paid"], invoice["currency"]), invoice["currency"], month_of(at)
        )
        for invoice, at in paid
    )
    assert len(paid) == recount.expected["subscription_invoices_paid"]
    assert str(cents(cash)) == recount.expected["subscription_cash_usd"]


def test_recurring_revenue_is_that_of_the_subscriptions(recount: Recount) -> None:
    subscriptions = recount.latest("stripe/subscriptions.jsonl")
    table = recount.table("mrr_eom_usd")
    for row in table:
        year, month = int(row["month"][:4]), int(row["month"][5:])
        end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()
        usd, payers, count = Decimal(0), set(), 0
        for owned in subscriptions:
            begun = max(owned["start_date"], owned["trial_end"] or 0) < end
            if begun and not (owned["ended_at"] and owned["ended_at"] < end):
                item = owned["items"]["data"][0]
                price = item["price"]
                amount = major(price["unit_amount"], price["currency"]) * item["quantity"]
                if price["recurring"]["interval"] == "year":
                    amount /= 12
                usd += recount.usd(amount, price["currency"], row["month"])
                payers.add(recount.truth_of["stripe", "customers", owned["customer"]])
                count += 1
        assert str(cents(usd)) == row["mrr_usd"]
        assert count == int(row["active_paid_subscriptions"])
        assert len(payers) == int(row["paying_persons"])
    assert recount.expected["mrr_last"] == [
        int(value) if value.isdigit() else value for value in table[-1].values()
    ]


def test_the_pipeline_converts_at_the_month_of_the_last_stage_change(recount: Recount) -> None:
    changed: dict[str, str] = {}
    for visit in recount.latest("salesforce/OpportunityHistory.csv"):
        deal = visit["OpportunityId"]
        changed[deal] = max(visit["CreatedDate"], changed.get(deal, ""))
    count, usd, won, lost = Counter(), defaultdict(Decimal), 0, 0
    for deal in recount.latest("salesforce/Opportunity.csv"):
        if deal["IsDeleted"] == "true":
            continue
        amount = Decimal(deal["Amount"] or 0)
        count[deal["StageName"]] += 1
        usd[deal["StageName"]] += recount.usd(
            amount, deal["CurrencyIsoCode"], changed[deal["Id"]][:7]
        )
        won += deal["IsWon"] == "true"
        lost += deal["IsClosed"] == "true" and deal["IsWon"] == "false"
    for row in recount.table("pipeline"):
        assert count.pop(row["stage"]) == int(row["opportunities"])
        assert cents(usd[row["stage"]]) == Decimal(row["amount_usd_at_month_of_last_stage_change"])
    assert not count
    assert [recount.expected[name] for name in ("won", "lost", "win_rate")] == [
        won, lost, round(won / (won + lost), 6)
    ]  # fmt: skip


def test_charges_that_settle_an_order_are_counted_once_paid(recount: Recount) -> None:
    settling = [
        charge
        for charge in recount.latest("stripe/charges.jsonl")
        if charge["paid"] and "shopify_order_id" in charge["metadata"]
    ]
    assert len(settling) == recount.expected["naive_double_counted_charges"]


def test_identity_counts_every_record_ever_delivered(recount: Recount) -> None:
    people = Counter(
        recount.truth_of[system, kind, str(row.get("Id") or row["id"])]
        for (system, kind), file in PERSON_OBJECTS.items()
        for row in recount.latest(file)
    )
    accounts = recount.latest("salesforce/Account.csv")
    assert {
        "person_source_records": people.total(),
        "true_persons_visible": len(people),
        "true_person_pairs": sum(n * (n - 1) // 2 for n in people.values()),
        "account_records": len(accounts),
        "true_orgs": len({recount.truth_of["salesforce", "Account", a["Id"]] for a in accounts}),
    }.items() <= recount.expected.items()


def test_identity_truth_covers_exactly_the_records_delivered(folder: Path, read: Reader) -> None:
    final = Recount(folder, "batch_2", read)
    delivered = {
        (system, kind, str(row.get("Id") or row["id"]))
        for (system, kind), file in {**PERSON_OBJECTS, **OTHER_OBJECTS}.items()
        for row in final.latest(file)
        if row.get("livemode", True)
    }
    assert delivered == final.truth_of.keys()
    people = {row["person_id"] for row in read(folder / "truth" / "persons.csv")}
    organisations = {row["org_id"] for row in read(folder / "truth" / "orgs.csv")}
    assert set(final.truth_of.values()) <= people | organisations
