"""Prices and the invoices of a subscription, and Stripe's view of an invoice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from simulators.demo_data.chance import token, weighted
from simulators.demo_data.clock import add_months, epoch, epoch_or_none
from simulators.demo_data.money import LIST_PRICE_FACTOR, minor_units, rounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from random import Random

    from simulators.demo_data.billing import Subscription
    from simulators.demo_data.records import Row

_MONTHLY_USD: Mapping[str, Decimal] = {
    "solo": Decimal(19),
    "crew": Decimal(79),
    "fleet": Decimal(329),
}
PLANS = tuple(_MONTHLY_USD)
_MONTHS_PAID_PER_YEAR = 10
_UNCOLLECTIBLE_AFTER = timedelta(days=30)
_OUTCOMES = {"paid": 93, "late": 2, "void": 1.7, "uncollectible": 1.3, "open": 2}


@dataclass(frozen=True, slots=True)
class Price:
    """What one unit costs for one interval, in major units of the currency."""

    plan: str
    interval: str
    currency: str

    @property
    def source_id(self) -> str:
        """Stripe's id of the price."""
        return f"price_{self.plan}_{self.interval[0]}_{self.currency.lower()}"

    @property
    def unit_amount(self) -> Decimal:
        """The list price; a year costs ten months."""
        months = 1 if self.interval == "month" else _MONTHS_PAID_PER_YEAR
        return rounded(
            _MONTHLY_USD[self.plan] * months * LIST_PRICE_FACTOR[self.currency], self.currency
        )


@dataclass(frozen=True, slots=True)
class Invoice:
    """A bill for one interval of a subscription.

    Attributes:
        outcome: `paid` and `late` are paid at `paid_at`; `void` is void from the start;
            `uncollectible` is given up after 30 days; `open` stays open.
    """

    source_id: str
    created_at: datetime
    total: Decimal
    outcome: str
    paid_at: datetime | None

    def is_paid(self, at: datetime) -> bool:
        """Whether the payment is visible at the instant."""
        return self.paid_at is not None and self.paid_at < at

    def status_at(self, at: datetime) -> str:
        """Stripe's status at the instant."""
        if self.is_paid(at):
            return "paid"
        if self.outcome == "void":
            return "void"
        given_up = self.created_at + _UNCOLLECTIBLE_AFTER < at
        return "uncollectible" if self.outcome == "uncollectible" and given_up else "open"


def issue_invoices(
    rng: Random, price: Price, quantity: int, first: datetime, until: datetime
) -> Iterator[Invoice]:
    """The bills for every interval that begins at `first` or later and before `until`."""
    step = 1 if price.interval == "month" else 12
    count = 0
    while (created_at := add_months(first, count * step)) < until:
        outcome = weighted(rng, _OUTCOMES)
        paid_at = None
        if outcome == "paid":
            paid_at = created_at + timedelta(hours=1)
        elif outcome == "late":
            paid_at = created_at + timedelta(days=rng.randrange(2, 45))
        yield Invoice(
            f"in_{token(rng, 14)}", created_at, price.unit_amount * quantity, outcome, paid_at
        )
        count += 1


def bills(
    subscriptions: Sequence[Subscription],
) -> Iterator[tuple[Subscription, Invoice]]:
    """Every invoice with its subscription."""
    return ((owner, invoice) for owner in subscriptions for invoice in owner.invoices)


def invoice_row(bill: tuple[Subscription, Invoice], at: datetime) -> tuple[datetime, Row] | None:
    """The invoice as Stripe's API shows it at the instant; None: not yet."""
    subscription, invoice = bill
    if invoice.created_at >= at:
        return None
    currency = subscription.price.currency
    total = minor_units(invoice.total, currency)
    paid_at = invoice.paid_at if invoice.is_paid(at) else None
    return paid_at or invoice.created_at, {
        "id": invoice.source_id,
        "object": "invoice",
        "customer": subscription.customer.source_id,
        "subscription": subscription.source_id,
        "created": epoch(invoice.created_at),
        "currency": currency.lower(),
        "total": total,
        "amount_paid": total if paid_at else 0,
        "status": invoice.status_at(at),
        "status_transitions": {"paid_at": epoch_or_none(paid_at)},
        "livemode": True,
    }
