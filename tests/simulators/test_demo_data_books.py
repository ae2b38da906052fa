"""The further objects of each system fit each other and the rest: every reference, every sum."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    Reader = Callable[[Path], list[dict[str, Any]]]
    Row = dict[str, Any]

BATCHES = ("batch_1", "batch_2")
CURRENCIES_WITHOUT_CENTS = {"JPY"}
KINDS = ("calls", "emails", "meetings", "notes", "tasks")


class Known:
    """One folder as it is known after a batch: the last version of every record, by its id."""

    def __init__(self, folder: Path, batch: str, read: Reader) -> None:
        self.folder, self.batch, self.read = folder, batch, read
        self.batches = BATCHES[: BATCHES.index(batch) + 1]
        self.cache: dict[str, dict[str, Row]] = {}

    def __call__(self, name: str) -> dict[str, Row]:
        if name not in self.cache:
            suffix = "csv" if name.startswith("salesforce/") else "jsonl"
            self.cache[name] = {
                str(row.get("Id") or row["id"]): row
                for batch in self.batches
                for row in self.read(self.folder / batch / f"{name}.{suffix}")
            }
        return self.cache[name]

    def living(self, name: str) -> dict[str, Row]:
        """Those that are neither deleted nor archived."""
        return {id_: row for id_, row in self(name).items() if not is_gone(row)}

    def people(self, name: str) -> dict[tuple[str, str], str]:
        """Whose each record is, by its object and id."""
        return {
            (row["object"], row["source_id"]): row["truth_id"]
            for row in self.read(self.folder / "truth" / f"{name}.csv")
            if row["system"] in ("salesforce", "hubspot")
        }


def is_gone(row: Row) -> bool:
    return row.get("IsDeleted") == "true" or bool(row.get("archived") or row.get("deleted"))


def changes(known: Known, name: str) -> Iterable[tuple[Row, Row]]:
    """The records of the second batch that the first one has, before and after."""
    suffix = "csv" if name.startswith("salesforce/") else "jsonl"
    before = {
        str(row.get("Id") or row["id"]): row
        for row in known.read(known.folder / "batch_1" / f"{name}.{suffix}")
    }
    for id_, row in known(name).items():
        if id_ in before and before[id_] != row:
            yield before[id_], row


@pytest.fixture(scope="module", params=BATCHES)
def known(request: pytest.FixtureRequest, generated: Path, read: Reader) -> Known:
    return Known(generated, request.param, read)


@pytest.fixture(scope="module")
def final(generated: Path, read: Reader) -> Known:
    return Known(generated, "batch_2", read)


@pytest.mark.parametrize(
    ("name", "field", "target", "is_always"),
    [
        ("Account", "OwnerId", ("User",), True),
        ("Opportunity", "OwnerId", ("User",), True),
        ("Lead", "OwnerId", ("User",), True),
        ("Task", "OwnerId", ("User",), True),
        ("Lead", "ConvertedContactId", ("Contact",), False),
        ("Lead", "ConvertedAccountId", ("Account",), False),
        ("Lead", "ConvertedOpportunityId", ("Opportunity",), False),
        ("Lead", "MasterRecordId", ("Lead",), False),
        ("CampaignMember", "CampaignId", ("Campaign",), True),
        ("CampaignMember", "LeadId", ("Lead",), False),
        ("CampaignMember", "ContactId", ("Contact",), False),
        ("Task", "WhoId", ("Lead", "Contact"), True),
        ("Event", "WhoId", ("Lead", "Contact"), True),
        ("Task", "WhatId", ("Account", "Opportunity"), False),
        ("Event", "WhatId", ("Account", "Opportunity"), False),
        ("OpportunityLineItem", "OpportunityId", ("Opportunity",), True),
        ("OpportunityLineItem", "Product2Id", ("Product2",), True),
    ],
)
def test_every_reference_of_salesforce_is_there(
    known: Known, name: str, field: str, target: tuple[str, ...], is_always: bool
) -> None:
    there = {id_ for one in target for id_ in known(f"salesforce/{one}")}
    found = [row[field] for row in known(f"salesforce/{name}").values()]
    # Nothing was merged before the second batch.
    assert any(found) or (field, known.batch) == ("MasterRecordId", "batch_1")
    assert {id_ for id_ in found if id_} <= there
    assert all(found) or not is_always


def test_converted_leads_became_contacts_of_the_same_person(known: Known) -> None:
    person = known.people("identity_xref") | known.people("book_xref")
    contacts, deals = known("salesforce/Contact"), known("salesforce/Opportunity")
    converted = [row for row in known("salesforce/Lead").values() if row["IsConverted"] == "true"]
    assert len(converted) > 20
    assert any(row["ConvertedOpportunityId"] for row in converted)
    for lead in converted:
        contact = contacts[lead["ConvertedContactId"]]
        assert contact["AccountId"] == lead["ConvertedAccountId"]
        assert contact["IsDeleted"] == "false"
        assert person["Lead", lead["Id"]] == person["Contact", contact["Id"]]
        assert lead["CreatedDate"] <= contact["CreatedDate"]
        assert lead["ConvertedDate"] == contact["CreatedDate"][:10]
        if deal := deals.get(lead["ConvertedOpportunityId"]):
            assert deal["AccountId"] == lead["ConvertedAccountId"]
            assert deal["CreatedDate"] < contact["CreatedDate"]


def test_leads_that_were_not_converted_have_no_contact(known: Known) -> None:
    person = known.people("identity_xref") | known.people("book_xref")
    with_contact = {person["Contact", id_] for id_ in known("salesforce/Contact")}
    others = [row for row in known("salesforce/Lead").values() if row["IsConverted"] == "false"]
    strangers = [row for row in others if person["Lead", row["Id"]] not in with_contact]
    assert len(strangers) > 20
    assert not any(row["ConvertedDate"] or row["ConvertedContactId"] for row in others)


def test_leads_are_converted_edited_deleted_and_merged_in_the_second_batch(final: Known) -> None:
    seen: Counter[str] = Counter()
    for before, after in changes(final, "salesforce/Lead"):
        seen["converted"] += (before["IsConverted"], after["IsConverted"]) == ("false", "true")
        seen["merged"] += bool(after["MasterRecordId"])
        seen["deleted"] += after["IsDeleted"] == "true" and not after["MasterRecordId"]
        seen["worked"] += before["Status"] != after["Status"] and after["IsConverted"] == "false"
        assert before["SystemModstamp"] < after["SystemModstamp"]
    assert min(seen[name] for name in ("converted", "merged", "deleted", "worked")) >= 1


def test_users_leave_and_keep_what_they_own(final: Known) -> None:
    users = final("salesforce/User")
    left = {id_ for id_, row in users.items() if row["IsActive"] == "false"}
    assert len(users) == 9
    assert len(left) == 2
    assert {after["Id"] for _, after in changes(final, "salesforce/User")} < left
    assert left & {row["OwnerId"] for row in final("salesforce/Account").values()}


def test_campaigns_reach_leads_and_contacts_some_of_whom_respond(final: Known) -> None:
    members = final("salesforce/CampaignMember")
    leads = final("salesforce/Lead")
    kinds = Counter((bool(row["LeadId"]), bool(row["ContactId"])) for row in members.values())
    assert set(kinds) == {(True, False), (False, True), (True, True)}
    for row in members.values():
        assert (row["Status"] == "Responded") is (row["HasResponded"] == "true")
        if row["LeadId"]:
            assert row["ContactId"] == leads[row["LeadId"]]["ConvertedContactId"]
    seen = [(b["HasResponded"], a["HasResponded"], a["IsDeleted"]) for b, a in changes(
        final, "salesforce/CampaignMember")]  # fmt: skip
    assert ("false", "true", "false") in seen
    assert any(is_deleted == "true" for *_, is_deleted in seen)
    assert {row["Status"] for row in final("salesforce/Campaign").values()} >= {
        "In Progress", "Completed"
    }  # fmt: skip


def test_activities_are_done_moved_and_deleted(final: Known) -> None:
    tasks = [*changes(final, "salesforce/Task")]
    assert any((b["IsClosed"], a["IsClosed"]) == ("false", "true") for b, a in tasks)
    assert any(after["IsDeleted"] == "true" for _, after in tasks)
    events = [*changes(final, "salesforce/Event")]
    assert any(before["StartDateTime"] != after["StartDateTime"] for before, after in events)
    assert any(after["IsDeleted"] == "true" for _, after in events)
    leads = final("salesforce/Lead")
    for row in (*final("salesforce/Task").values(), *final("salesforce/Event").values()):
        assert not (row["WhoId"] in leads and row["WhatId"]), "Salesforce forbids it with a lead"


def test_line_items_add_up_to_the_amount_of_their_opportunity(known: Known) -> None:
    deals = known("salesforce/Opportunity")
    total: defaultdict[str, Decimal] = defaultdict(Decimal)
    for item in known("salesforce/OpportunityLineItem").values():
        price = Decimal(item["UnitPrice"])
        deal = deals[item["OpportunityId"]]
        assert Decimal(item["TotalPrice"]) == price * Decimal(item["Quantity"])
        assert price > 0
        assert deal["CurrencyIsoCode"] not in CURRENCIES_WITHOUT_CENTS or price == int(price)
        assert item["IsDeleted"] == deal["IsDeleted"]
        total[deal["Id"]] += Decimal(item["TotalPrice"])
    assert len(total) > len(deals) / 3
    assert {id_: Decimal(deals[id_]["Amount"]) for id_ in total} == total


def test_a_changed_amount_changes_the_line_items(final: Known) -> None:
    seen = [*changes(final, "salesforce/OpportunityLineItem")]
    assert any(before["UnitPrice"] != after["UnitPrice"] for before, after in seen)
    for before, after in seen:
        assert before["SystemModstamp"] < after["SystemModstamp"]


def test_associations_of_hubspot_join_records_that_are_there(known: Known) -> None:
    numbers: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for edge in known.living("hubspot/associations").values():
        ends = (edge["fromObjectType"], edge["toObjectType"])
        assert edge["fromId"] in known.living(f"hubspot/{ends[0]}")
        assert edge["toId"] in known.living(f"hubspot/{ends[1]}")
        numbers[ends].update(kind["typeId"] for kind in edge["types"])
        back = [kind["typeId"] for kind in edge["reverseTypes"]]
        assert len(back) == len(edge["types"])
        assert not {kind["typeId"] for kind in edge["types"]} & {*back}
    assert numbers["contacts", "companies"] == {1, 31, 279}
    assert numbers["deals", "companies"] == {5, 341}
    assert numbers["deals", "contacts"] == {3}
    assert {kind for kind, _ in numbers} == {"contacts", "deals", *KINDS}


def test_the_primary_company_of_a_contact_is_its_organisation(known: Known) -> None:
    truth = known.people("book_xref")
    people = {
        row["person_id"]: row["org_id"]
        for row in known.read(known.folder / "truth" / "persons.csv")
    }
    person = known.people("identity_xref")
    primary: dict[str, str] = {}
    for edge in known.living("hubspot/associations").values():
        if edge["fromObjectType"] == "contacts":
            company = truth["companies", edge["toId"]]
            assert company == people[person["contacts", edge["fromId"]]]
            if "Primary" in [kind["label"] for kind in edge["types"]]:
                assert primary.setdefault(edge["fromId"], edge["toId"]) == edge["toId"]
    employed = {id_ for id_ in known.living("hubspot/contacts") if people[person["contacts", id_]]}
    assert primary.keys() == employed


def test_deals_of_hubspot_have_a_stage_an_owner_a_company_and_a_contact(known: Known) -> None:
    stages = {stage["id"] for stage in known("hubspot/pipelines")["default"]["stages"]}
    ends: defaultdict[str, set[str]] = defaultdict(set)
    for edge in known("hubspot/associations").values():
        if edge["fromObjectType"] == "deals":
            ends[edge["fromId"]].add(edge["toObjectType"])
    for id_, deal in known("hubspot/deals").items():
        properties = deal["properties"]
        assert properties["dealstage"] in stages
        assert properties["hubspot_owner_id"] in known("hubspot/owners")
        won = properties["dealstage"] == "closedwon"
        assert (properties["hs_is_closed_won"] == "true") is won
        assert (properties["closedate"] is None) is (properties["hs_is_closed"] == "false")
        assert ends[id_] == {"companies", "contacts"}
        cents = Decimal(properties["amount"]) % 1
        assert not cents or properties["deal_currency_code"] not in CURRENCIES_WITHOUT_CENTS


def test_hubspot_moves_archives_merges_and_labels_in_the_second_batch(final: Known) -> None:
    deals = [*changes(final, "hubspot/deals")]
    stages = [[row["properties"]["dealstage"] for row in pair] for pair in deals]
    assert any(before != after for before, after in stages)
    assert any(after["archived"] and after["archivedAt"] for _, after in deals)
    companies = final("hubspot/companies")
    merged = [row for row in companies.values() if row["properties"]["hs_merged_object_ids"]]
    assert merged
    for row in merged:
        lost = companies[row["properties"]["hs_merged_object_ids"]]
        assert lost["archived"]
        assert lost["archivedAt"] == row["updatedAt"]
        assert not row["archived"]
    edges = [*changes(final, "hubspot/associations")]
    assert any(len(before["types"]) < len(after["types"]) for before, after in edges)
    assert any(after["archived"] for _, after in edges)
    for kind in KINDS:
        assert final(f"hubspot/{kind}"), kind
    tasks = [*changes(final, "hubspot/tasks")]
    assert any(after["properties"]["hs_task_status"] == "COMPLETED" for _, after in tasks)
    assert any(row["archived"] for kind in KINDS for row in final(f"hubspot/{kind}").values())


def test_prices_and_products_of_stripe_are_those_of_the_subscriptions(known: Known) -> None:
    prices, products = known("stripe/prices"), known("stripe/products")
    for subscription in known("stripe/subscriptions").values():
        for item in subscription["items"]["data"]:
            listed = prices[item["price"]["id"]]
            assert {key: listed[key] for key in item["price"]} == item["price"]
            plan = products[listed["product"]]["metadata"]["plan"]
            assert item["price"]["id"].split("_")[1] == plan
            assert listed["created"] < subscription["created"]


def test_refunds_of_stripe_add_up_to_what_their_charge_has_refunded(known: Known) -> None:
    refunded: Counter[str] = Counter()
    for refund in known("stripe/refunds").values():
        charge = known("stripe/charges")[refund["charge"]]
        assert refund["currency"] == charge["currency"]
        assert refund["created"] > charge["created"]
        refunded[charge["id"]] += refund["amount"]
    charges = known("stripe/charges").values()
    assert refunded == {
        row["id"]: row["amount_refunded"] for row in charges if row["amount_refunded"]
    }
    assert {row["currency"] for row in known("stripe/refunds").values()} >= {"jpy", "usd"}


def test_stripe_renames_retires_deletes_and_settles_in_the_second_batch(final: Known) -> None:
    products = [*changes(final, "stripe/products")]
    assert any(before["name"] != after["name"] for before, after in products)
    assert [after["id"] for _, after in products if after.get("deleted")]
    assert any(before["active"] and not after["active"] for before, after in changes(
        final, "stripe/prices"))  # fmt: skip
    statuses = {row["status"] for row in final("stripe/refunds").values()}
    assert "succeeded" in statuses


def test_events_of_stripe_are_of_the_last_thirty_days(generated: Path, read: Reader) -> None:
    for batch, end in zip(BATCHES, ("2025-04-01", "2025-07-01"), strict=True):
        until = datetime.fromisoformat(f"{end}T00:00:00+00:00").timestamp()
        found = read(generated / batch / "stripe" / "events.jsonl")
        assert found
        for event in found:
            shown = event["data"]["object"]
            assert until - 30 * 24 * 3600 <= event["created"] < until
            assert event["type"].split(".")[-2] == shown["object"]
            if event["type"].endswith(("created", "succeeded", "failed")):
                assert event["created"] == shown["created"]


def test_products_and_variants_of_the_shop_are_those_of_the_lines(known: Known) -> None:
    products, variants = known.living("shopify/products"), known.living("shopify/variants")
    assert {row["product_id"] for row in variants.values()} == {int(id_) for id_ in products}
    for order in known("shopify/orders").values():
        for line in order["line_items"]:
            variant = variants[str(line["variant_id"])]
            assert variant["product_id"] == line["product_id"]
            assert variant["sku"] == line["sku"]
            assert products[str(line["product_id"])]["title"] == line["title"]
            assert order["currency"] != "USD" or variant["price"] == line["price"]


def test_products_of_the_shop_are_archived_and_deleted_in_the_second_batch(final: Known) -> None:
    seen = [*changes(final, "shopify/products")]
    assert any((b["status"], a["status"]) == ("active", "archived") for b, a in seen)
    gone = {after["id"] for _, after in seen if after.get("deleted")}
    assert gone
    variants = final("shopify/variants").values()
    assert gone == {row["product_id"] for row in variants if row.get("deleted")}
    for before, after in seen:
        assert before["updated_at"] != after["updated_at"]


def test_transactions_are_what_was_paid_and_what_was_given_back(known: Known) -> None:
    settled: defaultdict[str, set[str]] = defaultdict(set)
    for charge in known("stripe/charges").values():
        if order_id := charge["metadata"].get("shopify_order_id"):
            settled[order_id].add(charge["status"])
    for id_, order in known("shopify/orders").items():
        moved: defaultdict[str, Decimal] = defaultdict(Decimal)
        for one in order["transactions"]:
            assert one["currency"] == order["currency"]
            if one["status"] == "success":
                moved[one["kind"]] += Decimal(one["amount"])
        refunded = sum((Decimal(one["amount"]) for one in order["refunds"]), Decimal(0))
        assert moved["sale"] == Decimal(order["total_price"])
        assert moved["refund"] == refunded
        assert moved["void"] == (moved["sale"] if order["cancelled_at"] else 0)
        gateways = {one["gateway"] for one in order["transactions"]}
        assert (gateways == {"stripe"}) is (id_ in settled)
        failures = [one for one in order["transactions"] if one["status"] == "failure"]
        assert bool(failures) is ("failed" in settled[id_])


def test_returned_lines_fit_the_lines_and_the_refund(known: Known) -> None:
    seen: Counter[str] = Counter()
    for order in known("shopify/orders").values():
        lines = {line["id"]: line for line in order["line_items"]}
        for refund in order["refunds"]:
            returned = refund.get("refund_line_items", [])
            worth = sum(Decimal(one["subtotal"]) + Decimal(one["total_tax"]) for one in returned)
            assert worth <= Decimal(refund["amount"])
            for one in returned:
                assert one["quantity"] <= lines[one["line_item_id"]]["quantity"]
                seen[one["restock_type"]] += 1
            if refund["amount"] == order["total_price"]:
                assert worth == Decimal(order["total_price"]) - Decimal(order["total_shipping"])
                pieces = {one["line_item_id"]: one["quantity"] for one in returned}
                assert pieces == {id_: line["quantity"] for id_, line in lines.items()}
            seen["goodwill"] += not returned
    assert min(seen[kind] for kind in ("return", "no_restock", "goodwill")) >= 1


def test_transactions_and_returned_lines_have_ids_of_their_own(final: Known) -> None:
    orders = final("shopify/orders").values()
    moved = [one["id"] for order in orders for one in order["transactions"]]
    lines = [
        one["id"]
        for order in orders
        for refund in order["refunds"]
        for one in refund.get("refund_line_items", [])
    ]
    assert len(set(moved)) == len(moved)
    assert len(set(lines)) == len(lines)
