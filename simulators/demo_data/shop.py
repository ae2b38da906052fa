"""The shop's customers and orders: who bought what, and what was given back later."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from simulators.demo_data.catalogue import fill_basket, invent_catalogue
from simulators.demo_data.chance import after_days, between, happens, pick, stream, weighted
from simulators.demo_data.mess import write_email
from simulators.demo_data.money import LIST_PRICE_FACTOR, rounded
from simulators.demo_data.records import PersonRecord, appearances, share_by_kind, time_in_batch_2

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from random import Random

    from simulators.demo_data.catalogue import OrderLine
    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.people import Person

_FIRST_CUSTOMER_ID = 6_100_000_000_000
FIRST_ORDER_ID = 5_600_000_000_000
_FIRST_LINE_ID = 13_100_000_000_000
_TAGS = ("", "gift club", "newsletter", "trade, newsletter")
TAX_RATE = Decimal("0.07")
_SHIPPING_USD = {Decimal(0): 40, Decimal("4.50"): 25, Decimal("8.90"): 25, Decimal("14.00"): 10}
_DAYS_UNTIL_FIRST_ORDER = 8
_DAYS_BETWEEN_ORDERS = 95
_LAST_ORDER = 0.22


@dataclass(frozen=True, slots=True)
class Refund:
    """Money given back for an order."""

    source_id: int
    created_at: datetime
    amount: Decimal


@dataclass(slots=True, kw_only=True)
class ShopCustomer(PersonRecord):
    """A record about a buyer; an edit adds a tag."""

    number: int
    labels: str
    verified: bool
    postcode: str


@dataclass(slots=True, kw_only=True)
class Order:
    """A purchase, in major units of its currency.

    Attributes:
        customer: None for a guest.
        email: As the order has it; a guest's is written anew.
        arrives_at: When the shop's interface first shows it, later than `created_at` if it is late.
    """

    source_id: int
    person: Person
    customer: ShopCustomer | None
    email: str | None
    created_at: datetime
    arrives_at: datetime
    currency: str
    channel: str
    lines: list[OrderLine]
    shipping: Decimal
    is_test: bool = False
    cancelled_at: datetime | None = None
    refunds: list[Refund] = field(default_factory=list)

    @property
    def subtotal(self) -> Decimal:
        """The lines after discount."""
        return sum((line.price * line.quantity - line.discount for line in self.lines), Decimal(0))

    @property
    def tax(self) -> Decimal:
        """Tax on the lines."""
        return rounded(self.subtotal * TAX_RATE, self.currency)

    @property
    def total(self) -> Decimal:
        """What the buyer pays."""
        return self.subtotal + self.shipping + self.tax

    @property
    def is_late(self) -> bool:
        """Whether it is delivered long after it was placed."""
        return self.arrives_at > self.created_at

    def is_cancelled(self, at: datetime) -> bool:
        """Whether the cancellation is visible at the instant."""
        return self.cancelled_at is not None and self.cancelled_at < at

    def refunds_at(self, at: datetime) -> list[Refund]:
        """The refunds that are visible at the instant."""
        return [refund for refund in self.refunds if refund.created_at < at]

    def refunded_at(self, at: datetime) -> Decimal:
        """The money given back by refunds that are visible at the instant."""
        return sum((refund.amount for refund in self.refunds_at(at)), Decimal(0))

    def returned_at(self, at: datetime) -> Decimal:
        """The money that a payment processor gave back: all of it when the order was cancelled."""
        return self.total if self.is_cancelled(at) else self.refunded_at(at)

    def counts_at(self, at: datetime) -> bool:
        """Whether it is visible at the instant, real and not cancelled."""
        return self.arrives_at < at and not self.is_test and not self.is_cancelled(at)


def invent_shop_customers(
    seed: int, people: Sequence[Person], timeline: Timeline
) -> list[ShopCustomer]:
    """Buyers, some twice; in the second batch a few get a new tag."""
    rng = stream(seed, "shop customers")
    customers = [
        ShopCustomer(
            source_id=str(_FIRST_CUSTOMER_ID + 3 * number),
            number=_FIRST_CUSTOMER_ID + 3 * number,
            person=seen.person,
            created_at=seen.created_at,
            written=seen.written,
            duplicate=seen.duplicate,
            labels=rng.choice(_TAGS),
            verified=happens(rng, 0.8),
            postcode=f"{rng.randrange(100_000):05d}",
        )
        for number, seen in enumerate(
            appearances(rng, people, timeline, share_by_kind(business=0.22, private=0.62))
        )
    ]
    for customer in pick(rng, customers, 0.02):
        customer.edited_at = time_in_batch_2(rng, customer, timeline)
    return customers


def invent_orders(seed: int, customers: Sequence[ShopCustomer], timeline: Timeline) -> list[Order]:
    """All orders: plain ones first, then each kind of special one falls on orders of its own."""
    rng = stream(seed, "orders")
    catalogue = invent_catalogue(seed)
    orders: list[Order] = []
    line_id = _FIRST_LINE_ID
    for customer in customers:
        if not happens(rng, 0.84):
            continue
        for created_at in _order_times(rng, customer, timeline):
            order = _order(rng, customer, len(orders), created_at)
            order.lines = fill_basket(rng, catalogue, order.currency, line_id)
            line_id += len(order.lines)
            orders.append(order)
    _make_some_special(stream(seed, "special orders"), orders, timeline)
    return orders


def _order_times(rng: Random, customer: ShopCustomer, timeline: Timeline) -> Iterator[datetime]:
    """When the buyer buys; after every purchase some never come back."""
    created_at = after_days(rng, customer.created_at, _DAYS_UNTIL_FIRST_ORDER)
    while created_at < timeline.end_batch_2:
        yield created_at
        if happens(rng, _LAST_ORDER):
            return
        created_at = after_days(rng, created_at, _DAYS_BETWEEN_ORDERS)


def _order(rng: Random, customer: ShopCustomer, number: int, created_at: datetime) -> Order:
    currency = customer.person.currency
    guest = happens(rng, 0.054)
    return Order(
        source_id=FIRST_ORDER_ID + 7 * number,
        person=customer.person,
        customer=None if guest else customer,
        email=write_email(rng, customer.person)[0] if guest else customer.written.email,
        created_at=created_at,
        arrives_at=created_at,
        currency=currency,
        channel=weighted(rng, {"web": 2, "mobile": 1, "pos": 1}),
        lines=[],
        shipping=rounded(weighted(rng, _SHIPPING_USD) * LIST_PRICE_FACTOR[currency], currency),
    )


def _make_some_special(rng: Random, orders: Sequence[Order], timeline: Timeline) -> None:
    """Test, cancelled, late and refunded orders; an order is at most one of them.

    Late orders and later refunds belong to orders of the first batch's time and show only in the
    second batch.
    """
    plain = rng.sample(orders, len(orders))
    early = [order for order in plain if order.created_at < timeline.end_batch_1]
    taken: set[int] = set()

    def take(among: Sequence[Order], share: float) -> list[Order]:
        free = [order for order in among if order.source_id not in taken]
        chosen = pick(rng, free, share)
        taken.update(order.source_id for order in chosen)
        return chosen

    for order in take(early, 0.004):
        order.arrives_at = between(rng, timeline.end_batch_1, timeline.end_batch_2)
    for order in take(early, 0.006):
        at = between(rng, timeline.end_batch_1, timeline.end_batch_2)
        part = rounded(order.total / 4, order.currency)
        order.refunds = _refund(order, at, rng.choice((order.total, part)))
    for order in take(plain, 0.007):
        order.is_test = True
    for order in take(plain, 0.027):
        order.cancelled_at = after_days(rng, order.created_at, 2)
    for order in take(plain, 0.01):
        order.refunds = _refund(order, after_days(rng, order.created_at, 15), order.total)
    for order in take(plain, 0.035):
        part = rounded(order.total * rng.randrange(5, 45) / 100, order.currency)
        first_at = after_days(rng, order.created_at, 15)
        order.refunds = _refund(order, first_at, part)
        if happens(rng, 0.15):
            order.refunds += _refund(order, after_days(rng, first_at, 20), part)


def _refund(order: Order, at: datetime, amount: Decimal) -> list[Refund]:
    return [Refund(order.source_id * 10 + len(order.refunds), at, amount)]
