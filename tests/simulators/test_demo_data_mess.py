"""Every trap that the data promises is really in it, at the default size."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Reader = Callable[[Path], list[dict[str, Any]]]
    Rows = list[dict[str, Any]]

PERSON_OBJECTS = [
    ("salesforce", "Contact"),
    ("hubspot", "contacts"),
    ("stripe", "customers"),
    ("shopify", "customers"),
]
PERSON_TAGS = [
    "nickname", "initial", "swapped", "typo_last", "upper", "lower", "spaces", "nfd",
    "native_script", "email_case", "email_plus", "gmail_dots", "second_email", "no_email",
    "placeholder_email", "bad_email", "no_phone", "placeholder_phone", "duplicate",
]  # fmt: skip
END_BATCH_1 = "2025-04-01"


class Demo:
    """The files of one folder by short name, e.g. `demo(2, "shopify/orders")`."""

    def __init__(self, folder: Path, read: Reader) -> None:
        self.folder, self.read = folder, read

    def __call__(self, batch: int, name: str) -> Rows:
        suffix = "csv" if name.startswith("salesforce/") else "jsonl"
        return self.read(self.folder / f"batch_{batch}" / f"{name}.{suffix}")

    def both(self, name: str) -> dict[str, dict[str, Any]]:
        """The last version of every record."""
        rows = self(1, name) + self(2, name)
        return {str(row.get("Id") or row["id"]): row for row in rows}

    def truth(self, name: str) -> Rows:
        return self.read(self.folder / "truth" / f"{name}.csv")


@pytest.fixture(scope="module")
def demo(generated: Path, read: Reader) -> Demo:
    return Demo(generated, read)


@pytest.fixture(scope="module")
def tags(demo: Demo) -> Counter[tuple[str, str, str]]:
    return Counter(
        (row["system"], row["object"], tag)
        for row in demo.truth("identity_xref")
        for tag in row["tags"].split("|")
    )


def phones(demo: Demo) -> list[str]:
    written = [row["Phone"] for row in demo.both("salesforce/Contact").values()]
    written += [row["phone"] for row in demo.both("stripe/customers").values()]
    written += [row["phone"] for row in demo.both("shopify/customers").values()]
    written += [row["properties"]["phone"] for row in demo.both("hubspot/contacts").values()]
    return [phone for phone in written if phone]


def emails(demo: Demo) -> list[str]:
    written = [row["Email"] for row in demo.both("salesforce/Contact").values()]
    for name in ("stripe/customers", "shopify/customers", "shopify/orders"):
        written += [row["email"] for row in demo.both(name).values()]
    written += [row["properties"]["email"] for row in demo.both("hubspot/contacts").values()]
    return [email for email in written if email]


@pytest.mark.parametrize("tag", PERSON_TAGS)
def test_every_slip_of_the_pen_occurs_in_every_system(
    tags: Counter[tuple[str, str, str]], tag: str
) -> None:
    assert min(tags[system, kind, tag] for system, kind in PERSON_OBJECTS) >= 2


@pytest.mark.parametrize("tag", ["guest", "test", "late_arriving"])
def test_special_orders_occur(tags: Counter[tuple[str, str, str]], tag: str) -> None:
    assert tags["shopify", "orders", tag] >= 2


def test_phones_are_reserved_numbers_in_seven_formats(demo: Demo) -> None:
    formats = Counter(re.sub(r"\d", "9", phone) for phone in phones(demo))
    assert set(formats) == {
        "999-999-9999", "9999999999", "+99999999999", "9 999 999 9999", "999.999.9999",
        "(999) 999-9999", "+9-999-999-9999 ext. 9",
    }  # fmt: skip
    assert min(formats.values()) > 50
    for phone in phones(demo):
        digits = re.sub(r"\D", "", phone.split("ext")[0])[-10:]
        assert digits == "0000000000" or digits[3:8] == "55501"


def test_addresses_belong_to_nobody(demo: Demo) -> None:
    def harmless(email: str) -> bool:
        mailbox = email.lower()
        if re.search(r"[@.](gmail|googlemail)\.", mailbox):
            return mailbox.startswith("fake")
        return mailbox.endswith((".example", ".exampln"))

    assert not [email for email in emails(demo) if not harmless(email)]


def test_useless_addresses_of_every_kind_occur(demo: Demo) -> None:
    written = emails(demo)
    for start in ("noemail@", "test@", "info@"):
        assert [email for email in written if email.startswith(start)]
    assert [email for email in written if "@@" in email]
    assert [email for email in written if "@" not in email]
    assert [email for email in written if "@googlemail.com" in email]


def test_names_come_in_other_alphabets_and_decomposed(demo: Demo) -> None:
    names = [row["FirstName"] + row["LastName"] for row in demo.both("salesforce/Contact").values()]
    scripts = {unicodedata.name(letter).split()[0] for name in names for letter in name}
    assert {"LATIN", "CYRILLIC", "GREEK", "COMBINING"} <= scripts


def test_namesakes_and_shared_phones_are_different_people(demo: Demo) -> None:
    people = demo.truth("persons")
    names = Counter((row["first"], row["last"]) for row in people)
    numbers = defaultdict(list)
    for row in people:
        numbers[row["phone10"]].append(row)
    del numbers[""]
    shared = [household for household in numbers.values() if len(household) > 1]
    assert sum(count > 1 for count in names.values()) >= 10
    assert len(shared) >= 5
    assert [pair for pair in shared if len({row["last"] for row in pair}) == 1]
    assert len({row["email"] for row in people}) == len(people)


def test_accounts_carry_legal_forms_and_one_organisation_has_several(demo: Demo) -> None:
    accounts = demo.both("salesforce/Account").values()
    forms = Counter(row["Name"].split()[-1].strip(",") for row in accounts)
    assert {"LLC", "Ltd", "GmbH"} <= set(forms)
    names = Counter(row["name"] for row in demo.truth("orgs"))
    assert max(names.values()) > 1


def test_merged_contacts_name_a_living_contact_of_the_same_person(demo: Demo) -> None:
    contacts = demo.both("salesforce/Contact")
    person = {
        row["source_id"]: row["truth_id"]
        for row in demo.truth("identity_xref")
        if row["object"] == "Contact"
    }
    merged = [row for row in contacts.values() if row["MasterRecordId"]]
    deleted = [row for row in contacts.values() if row["IsDeleted"] == "true"]
    assert len(merged) >= 5
    assert len(deleted) >= len(merged) + 2
    for row in merged:
        assert row["IsDeleted"] == "true"
        assert contacts[row["MasterRecordId"]]["IsDeleted"] == "false"
        assert person[row["MasterRecordId"]] == person[row["Id"]]


def test_some_payers_name_a_contact_that_was_merged_away(demo: Demo) -> None:
    contacts = demo.both("salesforce/Contact")
    named = [
        row["metadata"]["crm_contact_id"]
        for row in demo.both("stripe/customers").values()
        if row["metadata"]
    ]
    assert len(named) >= 30
    assert [name for name in named if contacts[name]["MasterRecordId"]]


def test_the_second_batch_archives_deletes_and_edits(demo: Demo) -> None:
    assert sum(row["archived"] for row in demo(2, "hubspot/contacts")) >= 2
    assert [row for row in demo(2, "salesforce/Opportunity") if row["IsDeleted"] == "true"]
    for name in ("salesforce/Account", "salesforce/Contact", "hubspot/contacts"):
        known = {row.get("Id") or row["id"] for row in demo(1, name)}
        assert [row for row in demo(2, name) if (row.get("Id") or row["id"]) in known]


@pytest.mark.parametrize("name", ["shopify/orders", "hubspot/contacts"])
@pytest.mark.parametrize("batch", [1, 2])
def test_some_rows_are_delivered_twice(demo: Demo, batch: int, name: str) -> None:
    rows = demo(batch, name)
    assert 2 <= len(rows) - len({row["id"] for row in rows}) <= 0.05 * len(rows)


def test_late_orders_are_old_new_to_the_second_batch_and_paid_before(demo: Demo) -> None:
    known = {row["id"] for row in demo(1, "shopify/orders")}
    late = [
        row
        for row in demo(2, "shopify/orders")
        if row["id"] not in known and row["created_at"] < END_BATCH_1 < row["updated_at"]
    ]
    paid = {row["metadata"].get("shopify_order_id") for row in demo(1, "stripe/charges")}
    assert len(late) >= 3
    assert [row for row in late if str(row["id"]) in paid]


def test_orders_are_cancelled_and_refunded_in_part_in_full_and_later(demo: Demo) -> None:
    states = Counter(row["financial_status"] for row in demo.both("shopify/orders").values())
    assert min(states[name] for name in ("voided", "refunded", "partially_refunded")) >= 5
    before = {row["id"]: row for row in demo(1, "shopify/orders")}
    later = [
        row
        for row in demo(2, "shopify/orders")
        if row["refunds"] and row["id"] in before and not before[row["id"]]["refunds"]
    ]
    assert len(later) >= 3
    assert [row for row in demo.both("shopify/orders").values() if len(row["refunds"]) > 1]


def test_about_a_third_of_the_orders_is_also_a_charge(demo: Demo) -> None:
    orders = demo.both("shopify/orders")
    charges = demo.both("stripe/charges").values()
    settled = [row for row in charges if row["paid"] and row["metadata"]]
    assert 0.3 <= len(settled) / len(orders) <= 0.4
    assert [row for row in charges if not row["paid"]]
    assert [row for row in charges if not row["livemode"]]
    for charge in settled:
        order = orders[charge["metadata"]["shopify_order_id"]]
        exponent = 0 if order["currency"] == "JPY" else 2
        assert charge["amount"] == round(float(order["total_price"]) * 10**exponent)


def test_yen_have_no_minor_unit_anywhere(demo: Demo) -> None:
    yen = [row for row in demo.both("shopify/orders").values() if row["currency"] == "JPY"]
    assert yen
    assert not [row for row in yen if "." in row["total_price"] + row["subtotal_price"]]
    prices = {
        row["currency"]: row["items"]["data"][0]["price"]["unit_amount"]
        for row in demo.both("stripe/subscriptions").values()
        if row["items"]["data"][0]["price"]["id"].startswith("price_solo_m_")
    }
    assert (prices["usd"], prices["jpy"]) == (1900, 2755)


def test_shop_times_follow_new_york_through_the_year(demo: Demo) -> None:
    offsets = Counter(row["created_at"][-6:] for row in demo.both("shopify/orders").values())
    assert set(offsets) == {"-04:00", "-05:00"}
    for row in demo.both("shopify/orders").values():
        at = datetime.fromisoformat(row["created_at"])
        if 4 <= at.month <= 10:
            assert row["created_at"].endswith("-04:00")


def test_opportunities_lack_amounts_in_both_ways_and_go_back_a_stage(demo: Demo) -> None:
    visits = defaultdict(list)
    for row in demo.both("salesforce/OpportunityHistory").values():
        visits[row["OpportunityId"]].append(row)
    blank = [row for row in demo.both("salesforce/Opportunity").values() if not row["Amount"]]
    filled = [any(visit["Amount"] for visit in visits[row["Id"]]) for row in blank]
    assert True in filled
    assert False in filled
    assert [deal for deal in visits.values() if len({v["StageName"] for v in deal}) < len(deal)]


def test_subscriptions_come_by_month_and_year_in_numbers_on_trial_and_past_due(
    demo: Demo,
) -> None:
    subscriptions = demo.both("stripe/subscriptions").values()
    items = [row["items"]["data"][0] for row in subscriptions]
    assert {item["price"]["recurring"]["interval"] for item in items} == {"month", "year"}
    assert sum(item["quantity"] > 1 for item in items) > 30
    states = Counter(row["status"] for row in demo(1, "stripe/subscriptions"))
    assert set(states) == {"active", "canceled", "past_due", "trialing"}
    behind = {row["customer"] for row in subscriptions if row["status"] == "past_due"}
    delinquent = {row["id"] for row in demo.both("stripe/customers").values() if row["delinquent"]}
    assert behind == delinquent
    invoices = Counter(row["status"] for row in demo.both("stripe/invoices").values())
    assert min(invoices[name] for name in ("paid", "open", "void", "uncollectible")) >= 5


def test_a_change_of_plan_ends_one_subscription_and_begins_the_next_at_once(demo: Demo) -> None:
    subscriptions = demo.both("stripe/subscriptions").values()
    ended = {
        (row["customer"], row["ended_at"]): row["items"] for row in subscriptions if row["ended_at"]
    }
    changes = [
        row["items"] != ended[row["customer"], row["start_date"]]
        for row in subscriptions
        if (row["customer"], row["start_date"]) in ended
    ]
    assert sum(changes) >= 10
