"""Stripe: the refunds that a charge's `amount_refunded` is made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from simulators.demo_data.chance import stream, token
from simulators.demo_data.clock import epoch
from simulators.demo_data.money import minor_units

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from decimal import Decimal

    from simulators.demo_data.records import Row
    from simulators.demo_data.shop import Order
    from simulators.demo_data.stripe import Charge

_SETTLES_AFTER = timedelta(days=5)


@dataclass(frozen=True, slots=True)
class StripeRefund:
    """Money given back; it is pending until it has arrived, and counts from the beginning."""

    source_id: str
    charge: Charge
    order: Order
    created_at: datetime
    amount: Decimal
    reason: str | None

    def status_at(self, at: datetime) -> str:
        """Stripe's status at the instant."""
        return "succeeded" if self.created_at + _SETTLES_AFTER < at else "pending"


def invent_stripe_refunds(seed: int, charges: Sequence[Charge]) -> list[StripeRefund]:
    """A refund for each one of the order that a charge has settled, or for its cancellation."""
    rng = stream(seed, "stripe refunds")
    return [
        StripeRefund(f"re_{token(rng, 16)}", charge, charge.order, at, amount, reason)
        for charge in charges
        if charge.order and charge.succeeded
        for at, amount, reason in _given_back(charge.order)
    ]


def _given_back(order: Order) -> Iterator[tuple[datetime, Decimal, str | None]]:
    if order.cancelled_at:
        yield order.cancelled_at, order.total, None
    for refund in order.refunds:
        yield refund.created_at, refund.amount, "requested_by_customer"


def stripe_refund_row(refund: StripeRefund, at: datetime) -> tuple[datetime, Row] | None:
    """The refund as Stripe's API shows it at the instant; None: not yet."""
    if refund.created_at >= at:
        return None
    currency = refund.order.currency
    return refund.created_at, {
        "id": refund.source_id,
        "object": "refund",
        "amount": minor_units(refund.amount, currency),
        "charge": refund.charge.source_id,
        "created": epoch(refund.created_at),
        "currency": currency.lower(),
        "metadata": {},
        "payment_intent": None,
        "reason": refund.reason,
        "status": refund.status_at(at),
    }
