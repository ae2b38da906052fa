"""Records as real systems have them and invented companies rarely: what the marts make of each."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from project import Project

from simulators.demo_data import generate

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("traps")

DAY = int(datetime(2025, 1, 15, tzinfo=UTC).timestamp())


def charge(key: str, amount: int, **more: Any) -> dict[str, Any]:
    return {
        "id": key, "object": "charge", "customer": "cus_gone", "amount": amount,
        "amount_refunded": 0, "currency": "usd", "created": DAY, "paid": True,
        "status": "succeeded", "livemode": True, "metadata": {}, **more,
    }  # fmt: skip


def order(key: int, refunds: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": key, "name": f"#{key}", "created_at": "2025-01-15T00:00:00Z",
        "updated_at": "2025-01-20T00:00:00Z", "test": False, "currency": "USD",
        "total_price": "50.00", "total_tax": "0.00", "total_shipping": "0.00",
        "financial_status": "paid", "line_items": [], "refunds": refunds,
    }  # fmt: skip


def opportunity(key: str, currency: str, stage: str, won: str) -> str:
    time = "2025-01-15T00:00:00.000+0000"
    return f"{key},,,{key},{stage},50,100.00,{currency},2025-02-01,{won},{won},{time},{time},false"


CUSTOMERS = [
    {"id": "cus_gone", "object": "customer", "created": DAY, "email": "zelda@quist.example",
     "name": "Zelda Quist", "currency": "usd", "livemode": True, "metadata": {}},
    {"id": "cus_stays", "object": "customer", "created": DAY, "email": "ivo@quist.example",
     "name": "Ivo Quist", "currency": "usd", "livemode": True, "metadata": {}},
]  # fmt: skip
SUBSCRIPTIONS = [
    {"id": "sub_coupon", "object": "subscription", "customer": "cus_gone", "status": "active",
     "created": DAY, "start_date": DAY, "currency": "usd", "livemode": True,
     "items": {"data": [{"price": {"unit_amount": 1000, "currency": "usd", "recurring":
        {"interval": "week", "interval_count": 2}}, "quantity": 3}]},
     "discount": {"coupon": {"duration": "forever", "percent_off": 20}}},
]  # fmt: skip
INVOICES = [
    {"id": "in_new", "object": "invoice", "customer": "cus_gone", "created": DAY,
     "parent": {"subscription_details": {"subscription": "sub_coupon"}}, "currency": "usd",
     "total": 2000, "amount_paid": 2000, "status": "paid", "livemode": True,
     "status_transitions": {"paid_at": DAY}},
]  # fmt: skip
CHARGES = [
    charge("ch_invoice", 2000, invoice="in_new"),
    charge("ch_authorised", 9900, captured=False),
    charge("ch_first", 3000, customer="cus_stays", metadata={"shopify_order_id": "9001"}),
    charge("ch_second", 2000, customer="cus_stays", metadata={"shopify_order_id": "9001"}),
]
ORDERS = [
    order(9001, [{"id": 1, "created_at": "2025-01-20T00:00:00Z", "transactions": [
        {"kind": "refund", "status": "success", "amount": "5.00"}]}]),
    order(9002, [{"id": 2, "created_at": "2025-01-20T00:00:00Z"}]),
]  # fmt: skip
OPPORTUNITIES = [
    opportunity("006NoCurrency", "", "Proposal", "false"),
    opportunity("006Reopened", "USD", "Closed Won", "false"),
]


def append(path: Path, records: Iterable[object]) -> None:
    with path.open("a", encoding="utf-8") as file:
        for record in records:
            file.write((record if isinstance(record, str) else json.dumps(record)) + "\n")


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory,
    shared_prefect: None,  # noqa: ARG001  # its runs use it
) -> Project:
    """A small company with the traps in its first delivery, one more in the second; both run."""
    folder = tmp_path_factory.mktemp("traps")
    data = folder / "data"
    generate(data, persons=60, seed=5)
    first, second = data / "batch_1", data / "batch_2"
    append(first / "stripe/customers.jsonl", CUSTOMERS)
    append(first / "stripe/subscriptions.jsonl", SUBSCRIPTIONS)
    append(first / "stripe/invoices.jsonl", INVOICES)
    append(first / "stripe/charges.jsonl", CHARGES)
    append(first / "shopify/orders.jsonl", ORDERS)
    append(first / "salesforce/Opportunity.csv", OPPORTUNITIES)
    deleted = {"id": "cus_gone", "object": "customer", "deleted": True}
    append(second / "stripe/customers.jsonl", [deleted])
    project = Project(folder, data)
    for batch in ("batch_1", "batch_2"):
        project.configure(until=batch)
        project.run()
    return project


def test_a_payer_who_was_deleted_keeps_the_money_that_was_paid(project: Project) -> None:
    rows = project.query("""
        select customers.record_count, customers.source_systems, customers.full_name,
            invoices.paid_amount_usd, raw._deleted_at is not null
        from marts.fct_invoices as invoices
        inner join marts.dim_customers as customers using (customer_id)
        inner join raw_stripe.customers as raw on raw.id = 'cus_gone'
        where invoices.source_invoice_id = 'in_new'
    """)
    assert rows == [(0, [], None, Decimal("20.00"), True)]


def test_a_fortnightly_price_less_a_coupon_for_ever_is_its_share_of_a_month(
    project: Project,
) -> None:
    rows = project.query("""
        select mrr_amount = 10.00 * 3 * 52 / (12 * 2) * 0.80
        from marts.fct_subscriptions where source_subscription_id = 'sub_coupon'
    """)
    assert rows == [(True,)]


def test_money_for_an_invoice_or_an_order_is_counted_once(project: Project) -> None:
    payments = project.query("""
        select source_payment_id, status, settles_order_id, settles_invoice_id
        from marts.fct_payments
        where source_payment_id in ('ch_authorised', 'ch_first', 'ch_invoice', 'ch_second')
        order by 1
    """)
    assert payments == [
        ("ch_authorised", "authorized", None, None),
        ("ch_first", "succeeded", "shopify:9001", None),
        ("ch_invoice", "succeeded", None, "stripe:in_new"),
        ("ch_second", "succeeded", "shopify:9001", None),
    ]
    assert project.query("select sum(other_payments_usd) from marts.revenue_monthly") == [(0,)]
    orders = project.query("""
        select net_amount_usd, refund_amount from marts.fct_orders where source_order_id = '9001'
    """)
    assert orders == [(Decimal("45.00"), Decimal("5.00"))]
    invoices = project.query("""
        select subscription_id from marts.fct_invoices where source_invoice_id = 'in_new'
    """)
    assert invoices == [("stripe:sub_coupon",)]


def test_an_order_whose_refund_has_no_amount_is_put_aside(project: Project) -> None:
    assert project.query("""
        select record_key, reason from ops.quarantine where stream = 'orders'
    """) == [("9002", "refunds_have_amounts")]
    assert project.query("select 1 from marts.fct_orders where source_order_id = '9002'") == []


def test_an_amount_without_a_currency_is_reported_and_not_guessed(project: Project) -> None:
    assert project.query("""
        select amount, currency, amount_usd from marts.fct_opportunities
        where source_opportunity_id = '006NoCurrency'
    """) == [(Decimal("100.00"), None, None)]
    assert warned(project, "rate_found") == [("fct_opportunities", 1)]


def test_a_deal_that_is_open_in_a_won_stage_is_reported(project: Project) -> None:
    assert warned(project, "flags_agree") == [("pipeline_by_stage", 1)]


def warned(project: Project, expectation: str) -> list[tuple[Any, ...]]:
    """The suites that warned in the last run, and of how many rows."""
    return project.query(f"""
        select suite, rows_failed from ops.gate_results
        where status = 'failed' and severity = 'warning' and expectation = '{expectation}'
            and run_id = (select run_id from ops.run_context)
    """)
