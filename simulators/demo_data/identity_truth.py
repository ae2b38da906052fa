"""Who is who: which record belongs to which person or organisation."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from simulators.demo_data.records import PersonRecord, Row
    from simulators.demo_data.shop import Order
    from simulators.demo_data.world import World

    # System, object and id of a record; whose it is, what is wrong with it, from when it is there.
    _Trace = tuple[str, str, str, str, tuple[str, ...], datetime]


def identity_totals(world: World, at: datetime) -> dict[str, int]:
    """Counts over records ever delivered: deleted, archived and merged ones are among them.

    A pair is two records of one person in any of the four systems. Guest orders are no records of
    persons here.
    """
    people = Counter(
        record.person.number for _, _, record in _person_records(world) if record.created_at < at
    )
    accounts = [account for account in world.accounts if account.created_at < at]
    return {
        "person_source_records": people.total(),
        "true_persons_visible": len(people),
        "true_person_pairs": sum(count * (count - 1) // 2 for count in people.values()),
        "account_records": len(accounts),
        "true_orgs": len({account.organisation.org_id for account in accounts}),
    }


def identity_xref(world: World) -> Iterator[Row]:
    """One row per record that either batch holds, charges in test mode excepted."""
    return _xref(world, _traces(world))


def book_xref(world: World) -> Iterator[Row]:
    """The same of leads, and of HubSpot's companies and deals; no other figure counts these."""
    return _xref(world, _book_traces(world))


def _xref(world: World, traces: Iterable[_Trace]) -> Iterator[Row]:
    end = world.timeline.end_batch_2
    for system, kind, source_id, truth_id, tags, visible_at in traces:
        if visible_at < end:
            yield {
                "system": system,
                "object": kind,
                "source_id": source_id,
                "truth_id": truth_id,
                "tags": "|".join(tag for tag in tags if tag),
                "first_visible_utc": visible_at.isoformat(),
            }


def _person_records(world: World) -> Iterator[tuple[str, str, PersonRecord]]:
    return chain(
        (("salesforce", "Contact", record) for record in world.contacts),
        (("hubspot", "contacts", record) for record in world.hubspot_contacts),
        (("stripe", "customers", record) for record in world.stripe_customers),
        (("shopify", "customers", record) for record in world.shop_customers),
    )


def _traces(world: World) -> Iterator[_Trace]:
    for account in world.accounts:
        org_id, doubt = account.organisation.org_id, "duplicate" if account.duplicate else ""
        yield "salesforce", "Account", account.source_id, org_id, (doubt,), account.created_at
    for system, kind, record in _person_records(world):
        person_id = record.person.person_id
        yield system, kind, record.source_id, person_id, record.tags, record.created_at
    for deal in world.opportunities:
        org_id = deal.account.organisation.org_id
        began_at = deal.visits[0].entered_at
        yield "salesforce", "Opportunity", deal.source_id, org_id, (), began_at
    for order in world.orders:
        person_id = order.person.person_id
        tags = _order_tags(order)
        yield "shopify", "orders", str(order.source_id), person_id, tags, order.arrives_at
    for owned in world.subscriptions:
        person_id = owned.customer.person.person_id
        yield "stripe", "subscriptions", owned.source_id, person_id, (), owned.started_at
        for invoice in owned.invoices:
            yield "stripe", "invoices", invoice.source_id, person_id, (), invoice.created_at
    for charge in world.charges:
        if charge.order:
            person_id = charge.order.person.person_id
            kind = "shop_order" if charge.succeeded else "failed"
            yield "stripe", "charges", charge.source_id, person_id, (kind,), charge.created_at


def _book_traces(world: World) -> Iterator[_Trace]:
    for lead in world.sales.leads:
        person_id = lead.person.person_id
        yield "salesforce", "Lead", lead.source_id, person_id, lead.tags, lead.created_at
    for company in world.marketing.companies:
        org_id, doubt = company.organisation.org_id, "duplicate" if company.duplicate_of else ""
        yield "hubspot", "companies", company.source_id, org_id, (doubt,), company.created_at
    for deal in world.marketing.deals:
        org_id = deal.company.organisation.org_id
        yield "hubspot", "deals", deal.source_id, org_id, (), deal.created_at


def _order_tags(order: Order) -> tuple[str, ...]:
    return (
        "guest" if order.customer is None else "",
        "test" if order.is_test else "",
        "late_arriving" if order.is_late else "",
    )


def person_rows(world: World) -> Iterator[Row]:
    """Everybody, also those whom no system knows."""
    for person in world.people:
        yield {
            "person_id": person.person_id,
            "first": person.first,
            "last": person.last,
            "email": person.email,
            "email2": person.second_email or "",
            "phone10": person.phone or "",
            "org_id": person.organisation.org_id if person.organisation else "",
            "country": person.country,
            "currency": person.currency,
            "is_b2b": person.organisation is not None,
        }


def organisation_rows(world: World) -> Iterator[Row]:
    """Every organisation."""
    for organisation in world.organisations:
        yield {
            "org_id": organisation.org_id,
            "name": organisation.name,
            "domain": organisation.domain,
            "country": organisation.country,
            "industry": organisation.industry,
            "employees": organisation.employees,
        }
