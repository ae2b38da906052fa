"""The input of identity, made straight from a folder of native records, and its score."""

from __future__ import annotations

import csv
import json
from collections import Counter
from math import comb
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Key = tuple[str, str, str]
Row = dict[str, Any]


def read_input(folder: Path, batches: Iterable[str]) -> tuple[list[Row], list[Row], list[Row]]:
    """Return person records, references and account records as the views would deliver them."""
    batches = list(batches)
    contacts = _latest(_csv(folder, batches, "salesforce/Contact.csv"), "Id", "SystemModstamp")
    leads = _latest(_jsonl(folder, batches, "hubspot/contacts.jsonl"), "id", "updatedAt")
    payers = _latest(_jsonl(folder, batches, "stripe/customers.jsonl"), "id", "created")
    buyers = _latest(_jsonl(folder, batches, "shopify/customers.jsonl"), "id", "updated_at")
    orders = _latest(_jsonl(folder, batches, "shopify/orders.jsonl"), "id", "updated_at")
    charges = _latest(_jsonl(folder, batches, "stripe/charges.jsonl"), "id", "created")
    accounts = _latest(_csv(folder, batches, "salesforce/Account.csv"), "Id", "SystemModstamp")
    guests = [order for order in orders.values() if not order["customer"]]
    persons = [
        *(_contact(row) for row in contacts.values() if _stands(row)),
        *(_lead(row) for row in leads.values() if not row["archived"]),
        *(_payer(row) for row in payers.values()),
        *(_buyer(row) for row in buyers.values()),
        *(_guest(row) for row in guests),
    ]
    references = [*_contact_references(payers, contacts), *_order_references(charges, orders)]
    return persons, references, [_account(row) for row in accounts.values() if _stands(row)]


def truth(folder: Path) -> dict[Key, str]:
    """Return who each record really is, by source, object and id."""
    rows = _records(folder / "truth" / "identity_xref.csv")
    return {(r["system"], r["object"], r["source_id"]): r["truth_id"] for r in rows}


def score(links: dict[Key, str], real: dict[Key, str]) -> tuple[float, float, int]:
    """Return precision and recall over pairs of records, and how many true pairs there are."""
    together = Counter((links[key], real[key]) for key in links)
    both = sum(comb(n, 2) for n in together.values())
    claimed = sum(comb(n, 2) for n in Counter(links.values()).values())
    true = sum(comb(n, 2) for n in Counter(real[key] for key in links).values())
    return both / claimed, both / true, true


def _records(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _stands(row: Row) -> bool:
    return row["IsDeleted"] != "true" and not row.get("MasterRecordId")


def _csv(folder: Path, batches: list[str], name: str) -> Iterator[Row]:
    for batch in batches:
        if (path := folder / batch / name).exists():
            for row in _records(path):
                yield {field: value or None for field, value in row.items()}


def _jsonl(folder: Path, batches: list[str], name: str) -> Iterator[Row]:
    for batch in batches:
        if (path := folder / batch / name).exists():
            yield from map(json.loads, path.read_text(encoding="utf-8").split("\n")[:-1])


def _latest(rows: Iterable[Row], key: str, version: str) -> dict[str, Row]:
    latest: dict[str, Row] = {}
    for row in rows:
        old = latest.get(str(row[key]))
        if old is None or _instant(row[version]) >= _instant(old[version]):
            latest[str(row[key])] = row
    return latest


def _instant(value: object) -> pd.Timestamp:
    return pd.to_datetime(value, unit="s" if isinstance(value, int) else None, utc=True)


def _person(system: str, kind: str, key: object, **fields: object) -> Row:
    empty = dict.fromkeys(
        ["email", "phone", "full_name", "first_name", "last_name", "country", "company"]
    )
    base = {"source": system, "source_system": system, "source_object": kind}
    return {**base, "source_id": str(key), **empty, "account_source_id": None, **fields}


def _contact(row: Row) -> Row:
    return _person(
        "salesforce",
        "Contact",
        row["Id"],
        email=row["Email"],
        phone=row["Phone"],
        first_name=row["FirstName"],
        last_name=row["LastName"],
        country=row["MailingCountry"],
        account_source_id=row["AccountId"],
        created_at=row["CreatedDate"],
        updated_at=row["SystemModstamp"],
    )


def _lead(row: Row) -> Row:
    properties = row["properties"]
    return _person(
        "hubspot",
        "contacts",
        row["id"],
        email=properties["email"],
        phone=properties["phone"],
        first_name=properties["firstname"],
        last_name=properties["lastname"],
        country=properties["country"],
        company=properties["company"],
        created_at=row["createdAt"],
        updated_at=row["updatedAt"],
    )


def _payer(row: Row) -> Row:
    created = _instant(row["created"]).isoformat()
    return _person(
        "stripe",
        "customers",
        row["id"],
        email=row["email"],
        phone=row["phone"],
        full_name=row["name"],
        created_at=created,
        updated_at=created,
    )


def _buyer(row: Row) -> Row:
    return _person(
        "shopify",
        "customers",
        row["id"],
        email=row["email"],
        phone=row["phone"],
        first_name=row["first_name"],
        last_name=row["last_name"],
        country=(row["default_address"] or {}).get("country_code"),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _guest(row: Row) -> Row:
    times = {"created_at": row["created_at"], "updated_at": row["updated_at"]}
    return _person("shopify", "orders", row["id"], email=row["email"], **times)


def _account(row: Row) -> Row:
    return {
        "source": "salesforce",
        "source_system": "salesforce",
        "source_object": "Account",
        "source_id": row["Id"],
        "name": row["Name"],
        "website": row["Website"],
        "country": row["BillingCountry"],
        "industry": row["Industry"],
        "employees": row["NumberOfEmployees"],
        "created_at": row["CreatedDate"],
        "updated_at": row["SystemModstamp"],
    }


def _reference(payer: object, system: str, kind: str, key: object, rule: str) -> Row:
    return {
        "source": "stripe",
        "source_object": "customers",
        "source_id": payer,
        "ref_source_system": system,
        "ref_object": kind,
        "ref_id": str(key),
        "rule": rule,
    }


def _contact_references(payers: dict[str, Row], contacts: dict[str, Row]) -> Iterator[Row]:
    for payer in payers.values():
        contact = payer["metadata"].get("crm_contact_id")
        while contact and (master := contacts.get(contact, {}).get("MasterRecordId")):
            contact = master
        if contact:
            yield _reference(payer["id"], "salesforce", "Contact", contact, "stripe_crm_contact_id")


def _order_references(charges: dict[str, Row], orders: dict[str, Row]) -> Iterator[Row]:
    for charge in charges.values():
        order = orders.get(charge["metadata"].get("shopify_order_id", ""))
        if not charge["customer"] or order is None:
            continue
        buyer = order["customer"]
        kind, key = ("customers", buyer["id"]) if buyer else ("orders", order["id"])
        yield _reference(charge["customer"], "shopify", kind, key, "shop_order_payment")
