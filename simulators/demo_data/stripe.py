"""Stripe: customers, some of which name their Salesforce contact, and the payments of the shop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from simulators.demo_data.chance import between, happens, pick, stream, token
from simulators.demo_data.clock import epoch
from simulators.demo_data.mess import write_company
from simulators.demo_data.money import minor_units
from simulators.demo_data.records import PersonRecord, appearances, by_person

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from random import Random

    from simulators.demo_data.billing import Subscription
    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.people import Person
    from simulators.demo_data.records import Appearance, Row
    from simulators.demo_data.salesforce import Contact
    from simulators.demo_data.shop import Order

_SHOP_ORDERS_PAID = 0.35
_FAILED_BEFORE = timedelta(seconds=40)
_SETTLED_AFTER = timedelta(seconds=25)
_TEST_CHARGE_AMOUNT = 123_456


@dataclass(slots=True, kw_only=True)
class StripeCustomer(PersonRecord):
    """A record about a payer; `name` may be the company's."""

    name: str
    crm_contact_id: str | None


def invent_stripe_customers(
    seed: int,
    people: Sequence[Person],
    contacts: Sequence[Contact],
    shoppers: frozenset[int],
    timeline: Timeline,
) -> list[StripeCustomer]:
    """Payers, some twice. People who shop (their numbers: `shoppers`) are more often among them."""
    rng = stream(seed, "stripe customers")
    contacts_of = by_person(contacts)

    def share(person: Person) -> float:
        return 0.55 if person.number in shoppers or person.organisation else 0.24

    return [
        StripeCustomer(
            source_id=f"cus_{token(rng, 14)}",
            person=seen.person,
            created_at=seen.created_at,
            written=seen.written,
            duplicate=seen.duplicate,
            name=_payer_name(rng, seen),
            crm_contact_id=_crm_contact_id(rng, contacts_of.get(seen.person.number, []), timeline),
        )
        for seen in appearances(rng, people, timeline, share)
    ]


def _payer_name(rng: Random, seen: Appearance) -> str:
    if seen.person.organisation and happens(rng, 0.4):
        return write_company(rng, seen.person.organisation)
    if "swapped" in seen.written.tags or happens(rng, 0.2):
        return f"{seen.written.last}, {seen.written.first}"
    return f"{seen.written.first} {seen.written.last}"


def _crm_contact_id(rng: Random, contacts: Sequence[Contact], timeline: Timeline) -> str | None:
    """A contact known at the first delivery; often one that is merged away later."""
    merged = [contact.source_id for contact in contacts if contact.merged_into]
    if merged and happens(rng, 0.6):
        return merged[0]
    known = [c.source_id for c in contacts if c.created_at < timeline.end_batch_1]
    return rng.choice(known) if known and happens(rng, 0.3) else None


class StripeCustomerView:
    """Customers as Stripe's API shows them; their subscriptions tell who is behind with paying."""

    def __init__(self, subscriptions: Sequence[Subscription]) -> None:
        self._subscriptions: dict[str, list[Subscription]] = {}
        for subscription in subscriptions:
            owned = self._subscriptions.setdefault(subscription.customer.source_id, [])
            owned.append(subscription)

    def __call__(self, customer: StripeCustomer, at: datetime) -> tuple[datetime, Row] | None:
        """The customer at the instant; None: not yet."""
        if customer.created_at >= at:
            return None
        crm = customer.crm_contact_id
        owned = self._subscriptions.get(customer.source_id, ())
        return customer.created_at, {
            "id": customer.source_id,
            "object": "customer",
            "created": epoch(customer.created_at),
            "email": customer.written.email,
            "name": customer.name,
            "phone": customer.written.phone,
            "currency": customer.person.currency.lower(),
            "delinquent": any(owner.status_at(at) == "past_due" for owner in owned),
            "livemode": True,
            "metadata": {"crm_contact_id": crm} if crm else {},
        }


@dataclass(frozen=True, slots=True)
class Charge:
    """An attempt to take money. One with an order settles that order and is no further income.

    Attributes:
        order: None for a charge in test mode, which never counts.
        customer: None for a charge in test mode.
    """

    source_id: str
    created_at: datetime
    succeeded: bool
    order: Order | None = None
    customer: StripeCustomer | None = None


def invent_charges(
    seed: int,
    orders: Sequence[Order],
    customers: Sequence[StripeCustomer],
    timeline: Timeline,
) -> list[Charge]:
    """Payments of about 35 % of the shop's orders, some after a failed attempt; and test charges.

    A payment is known when it happens, also where the shop delivers the order much later.
    """
    rng = stream(seed, "stripe charges")
    customers_of = by_person(customers)
    payable = [
        (order, payer)
        for order in orders
        if (payer := _payer(rng, order, customers_of)) and not order.is_test
    ]
    late = [pair for pair in payable if pair[0].is_late]
    others = [pair for pair in payable if not pair[0].is_late]
    wanted = max(0, round(_SHOP_ORDERS_PAID * len(orders)) - len(late))
    chosen = late + rng.sample(others, min(wanted, len(others)))
    failed = {order.source_id for order, _ in pick(rng, chosen, 0.05)}
    charges = list(_settlements(rng, chosen, failed))
    begins, ends = timeline.begins, timeline.end_batch_2
    charges.extend(
        Charge(f"ch_{token(rng, 14)}", between(rng, begins, ends), succeeded=True)
        for _ in range(max(2, len(orders) // 180))
    )
    return charges


def _payer(
    rng: Random, order: Order, customers_of: Mapping[int, Sequence[StripeCustomer]]
) -> StripeCustomer | None:
    known = [
        customer
        for customer in customers_of.get(order.person.number, ())
        if customer.created_at < order.created_at - timedelta(minutes=1)
    ]
    return rng.choice(known) if known else None


def _settlements(
    rng: Random, payments: Sequence[tuple[Order, StripeCustomer]], failed: set[int]
) -> Iterator[Charge]:
    for order, payer in payments:
        settled_at = order.created_at + _SETTLED_AFTER
        if order.source_id in failed:
            tried_at = order.created_at - _FAILED_BEFORE
            yield Charge(f"ch_{token(rng, 14)}", tried_at, False, order, payer)
        yield Charge(f"ch_{token(rng, 14)}", settled_at, True, order, payer)


def charge_row(charge: Charge, at: datetime) -> tuple[datetime, Row] | None:
    """The charge as Stripe's API shows it at the instant; None: not yet."""
    if charge.created_at >= at:
        return None
    order, refunded, currency, amount = charge.order, 0, "USD", _TEST_CHARGE_AMOUNT
    if order:
        currency = order.currency
        amount = minor_units(order.total, currency)
        if charge.succeeded:
            refunded = minor_units(order.returned_at(at), currency)
    return charge.created_at, {
        "id": charge.source_id,
        "object": "charge",
        "customer": charge.customer.source_id if charge.customer else None,
        "amount": amount,
        "amount_refunded": refunded,
        "currency": currency.lower(),
        "created": epoch(charge.created_at),
        "paid": charge.succeeded,
        "status": "succeeded" if charge.succeeded else "failed",
        "refunded": charge.succeeded and refunded == amount,
        "invoice": None,
        "livemode": order is not None,
        "metadata": {"shopify_order_id": str(order.source_id)} if order else {},
    }
