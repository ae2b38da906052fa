"""Every figure of the further objects, computed from raw tables that were synced over HTTP."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
from hubspot_account import UNLIMITED
from stand_in import standing_in

from crmhouse.settings import Settings, SourceConfig
from ingestion.sources.hubspot.streams import edge_stream
from ingestion.sync import sync_source
from simulators.demo_data import generate
from simulators.demo_data.hubspot_links import NUMBERS
from simulators.hubspot import TOKEN as HUBSPOT_TOKEN
from simulators.shopify.system import TOKEN as SHOPIFY_TOKEN
from simulators.stripe.access import SECRET_KEY
from simulators.systems import SYSTEMS

if TYPE_CHECKING:
    from pathlib import Path

    from stand_in import StandIn

    from crmhouse.warehouse import Warehouse

PREFIXES = ("sf_", "hubspot_", "stripe_", "shop_p", "shop_r", "shop_v")
PAIRS = ["/".join(pair) for pair in NUMBERS]
THERE = "_deleted_at is null"
SHOP_ORDERS = f"raw_shopify.orders where {THERE} and not test"
ENGAGEMENTS = " union all ".join(
    f"select id from raw_hubspot.{kind} where {THERE}"
    for kind in ("calls", "emails", "meetings", "notes", "tasks")
)
EDGES = " union all ".join(
    f"select '{pair}', count(*) from raw_hubspot.{edge_stream(pair).name} where {THERE}"
    for pair in PAIRS
)


def deals(where: str) -> str:
    return (
        "select property_deal_currency_code, sum(property_amount::numeric) from raw_hubspot.deals "
        f"where {THERE} and {where} group by 1"
    )


def moved(kind: str) -> str:
    return (
        "select moved ->> 'currency', sum((moved ->> 'amount')::numeric) from "
        f"(select jsonb_array_elements(transactions) as moved from {SHOP_ORDERS}) as all_of_them "
        f"where moved ->> 'kind' = '{kind}' and moved ->> 'status' = 'success' group by 1"
    )


NUMBERS_SQL = {
    "sf_users_active": 'select count(*) from raw_salesforce."user" where is_active',
    "sf_leads": f"select count(*) from raw_salesforce.lead where {THERE}",
    "sf_leads_converted": f"""
        select count(*)
        from raw_salesforce.lead
        inner join raw_salesforce.contact on lead.converted_contact_id = contact.id
            and lead.converted_account_id = contact.account_id
            and lead.converted_date = (contact.created_date at time zone 'UTC')::date
        where lead.{THERE} and is_converted
    """,
    "sf_campaign_responses": f"""
        select count(*)
        from raw_salesforce.campaign_member as member
        inner join raw_salesforce.campaign on member.campaign_id = campaign.id
        left join raw_salesforce.lead on member.lead_id = lead.id
        left join raw_salesforce.contact on member.contact_id = contact.id
        where member.{THERE} and has_responded and coalesce(lead.id, contact.id) is not null
    """,
    "sf_tasks_open": f"select count(*) from raw_salesforce.task where {THERE} and not is_closed",
    "sf_events": f"select count(*) from raw_salesforce.event where {THERE}",
    "sf_line_items": f"select count(*) from raw_salesforce.opportunity_line_item where {THERE}",
    "sf_line_items_usd": f"""
        select round(sum(item.total_price * rate.usd_per_unit), 2)
        from raw_salesforce.opportunity_line_item as item
        inner join raw_salesforce.opportunity as deal on item.opportunity_id = deal.id
        inner join (
            select opportunity_id, max(created_date) as at
            from raw_salesforce.opportunity_history
            group by opportunity_id
        ) as entered on deal.id = entered.opportunity_id
        inner join raw_reference.fx_rates_monthly as rate
            on deal.currency_iso_code = rate.currency
            and to_char(entered.at at time zone 'UTC', 'YYYY-MM') = rate.month
        where item.{THERE}
    """,
    "hubspot_companies": f"select count(*) from raw_hubspot.companies where {THERE}",
    "hubspot_contacts_with_company": f"""
        select count(*)
        from raw_hubspot.contact_company as edge
        inner join raw_hubspot.contacts on edge.from_id = contacts.id
        inner join raw_hubspot.companies on edge.to_id = companies.id
        where edge.{THERE} and contacts.{THERE} and companies.{THERE} and edge.label = 'Primary'
    """,
    "hubspot_engagements": f"select count(*) from ({ENGAGEMENTS}) as all_of_them",
    "hubspot_tasks_open": f"""
        select count(*) from raw_hubspot.tasks
        where {THERE} and property_hs_task_status <> 'COMPLETED'
    """,
    "stripe_products": f"select count(*) from raw_stripe.products where {THERE}",
    "stripe_prices_active": f"select count(*) from raw_stripe.prices where {THERE} and active",
    "stripe_refunds": f"select count(*) from raw_stripe.refunds where {THERE}",
    "shop_products_active": f"""
        select count(*)
        from raw_shopify.products
        inner join raw_shopify.variants on products.id = variants.product_id
        where products.{THERE} and variants.{THERE} and products.status = 'active'
    """,
    "shop_refunds": f"select sum(jsonb_array_length(refunds)) from {SHOP_ORDERS}",
    "shop_pieces_returned": f"""
        select sum((line ->> 'quantity')::int)
        from (select jsonb_array_elements(refunds) as refund from {SHOP_ORDERS}) as refunded
        cross join jsonb_array_elements(refund -> 'refund_line_items') as line
        where line ->> 'restock_type' = 'return'
    """,
}
BY_KEY_SQL = {
    "hubspot_deals_won": deals("property_dealstage = 'closedwon'"),
    "hubspot_deals_open": deals("property_hs_is_closed = 'false'"),
    "hubspot_associations": EDGES,
    "stripe_refunded": f"""
        select upper(currency), sum(amount / case currency when 'jpy' then 1 else 100.0 end)
        from raw_stripe.refunds
        where {THERE}
        group by 1
    """,
    "shop_paid": moved("sale"),
    "shop_refunded": moved("refund"),
    "shop_voided": moved("void"),
}


def sources(url: str, folder: Path) -> list[SourceConfig]:
    options: dict[str, dict[str, Any]] = {
        "salesforce": {
            "url": f"{url}/salesforce", "client_id": "key", "client_secret": "secret",
        },
        "hubspot": {
            "url": f"{url}/hubspot", "token": HUBSPOT_TOKEN, "associations": PAIRS,
            "associations_every_hours": 0, "archived_every_hours": 0,
            "requests_per_10_seconds": 10_000_000, "searches_per_second": 100_000,
        },
        "stripe": {
            "url": f"{url}/stripe", "api_key": SECRET_KEY, "requests_per_second": 5000,
        },
        "shopify": {"url": f"{url}/shopify", "access_token": SHOPIFY_TOKEN},
    }  # fmt: skip
    rates = {
        "path": str(folder / "reference"),
        "streams": {
            "fx_rates_monthly": {
                "glob": "fx_rates_monthly.csv",
                "key": ["month", "currency"],
                "columns": {"usd_per_unit": "numeric"},
            }
        },
    }
    return [
        SourceConfig(name="reference", kind="files", options=rates),
        *(SourceConfig(name=name, kind=name, options=found) for name, found in options.items()),
    ]


def figures(warehouse: Warehouse) -> dict[str, Any]:
    with warehouse.connect() as connection:
        numbers = {
            name: connection.execute(query).fetchall()[0][0]  # type: ignore[arg-type]
            for name, query in NUMBERS_SQL.items()
        }
        by_key = {
            name: dict(connection.execute(query).fetchall())  # type: ignore[arg-type]
            for name, query in BY_KEY_SQL.items()
        }
    return numbers | by_key


def events(running: StandIn, until: float) -> dict[str, int]:
    """The events by type that the folder has, page by page; later ones are the stand-in's own."""
    counts: dict[str, int] = {}
    page: dict[str, Any] = {"has_more": True, "data": []}
    while page["has_more"]:
        after = {"starting_after": page["data"][-1]["id"]} if page["data"] else {}
        page = httpx.get(
            f"{running.url}/stripe/v1/events", params={"limit": 10, **after}, auth=(SECRET_KEY, "")
        ).raise_for_status().json()  # fmt: skip
        for event in page["data"]:
            if event["created"] < until:
                counts[event["type"]] = counts.get(event["type"], 0) + 1
    return counts


def test_raw_tables_give_the_truth_after_each_batch(warehouse: Warehouse, tmp_path: Path) -> None:
    folder = generate(tmp_path / "data", persons=400, seed=12).folder
    truth = json.loads((folder / "truth" / "expected.json").read_text(encoding="utf-8"))
    with standing_in(folder, tmp_path, SYSTEMS) as running:
        systems: Any = running.simulator.systems
        systems["hubspot"].access.limits = UNLIMITED
        systems["shopify"].bucket.size = systems["shopify"].bucket.restore_rate = 100_000
        for batch in ("batch_1", "batch_2"):
            for source in sources(running.url, folder):
                settings = Settings(sources=(source,))
                sync_source(warehouse, settings, source, run_id=uuid.uuid4())
            until = datetime.fromisoformat(truth[batch]["as_of"]).timestamp()
            found = figures(warehouse) | {"stripe_events": events(running, until)}
            assert found == {name: exact(truth[batch][name]) for name in found}
            if batch == "batch_1":
                running.advance()
    # All of them: of nothing it is true only because nothing has happened.
    first, second = truth["batch_1"], truth["batch_2"]
    assert {name for name in first if name.startswith(PREFIXES)} == found.keys()
    assert [name for name in found if first[name] == second[name]] == []


def exact(expected: Any) -> Any:
    """A figure as PostgreSQL gives it: amounts are texts in the truth."""
    if isinstance(expected, dict):
        return {key: Decimal(value) for key, value in expected.items()}
    return Decimal(expected)
