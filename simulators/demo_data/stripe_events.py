"""Stripe: the events of the last 30 days, which is as long as Stripe keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from simulators.demo_data.billing import subscription_row
from simulators.demo_data.chance import stream, token
from simulators.demo_data.clock import epoch
from simulators.demo_data.stripe import charge_row
from simulators.demo_data.stripe_refunds import stripe_refund_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from simulators.demo_data.billing import Subscription
    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.records import Row
    from simulators.demo_data.stripe import Charge
    from simulators.demo_data.stripe_refunds import StripeRefund

    # An object at an instant; what happened to it, and when.
    Happening = tuple[datetime, str, Callable[[datetime], tuple[datetime, Row] | None]]

KEPT = timedelta(days=30)
_API_VERSION = "2025-02-24.acacia"
_A_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """Something that happened to an object, and the object as it was just after."""

    source_id: str
    kind: str
    created_at: datetime
    shown: Row

    def is_kept(self, at: datetime) -> bool:
        """Whether it has happened, and is not yet forgotten at the instant."""
        return at - KEPT <= self.created_at < at


def invent_stripe_events(
    seed: int,
    charges: Sequence[Charge],
    refunds: Sequence[StripeRefund],
    subscriptions: Sequence[Subscription],
    timeline: Timeline,
) -> list[StripeEvent]:
    """The events of charges, refunds and subscriptions that are kept at one of the deliveries."""
    rng = stream(seed, "stripe events")
    happened = [*_of_charges(charges), *_of_refunds(refunds), *_of_subscriptions(subscriptions)]
    events = []
    for created_at, kind, view in sorted(happened, key=lambda one: one[:2]):
        if any(end - KEPT <= created_at < end for end in timeline.batches.values()):
            seen = view(created_at + _A_SECOND)
            if seen:
                events.append(StripeEvent(f"evt_{token(rng, 24)}", kind, created_at, seen[1]))
    return events


def _of_charges(charges: Sequence[Charge]) -> Iterator[Happening]:
    for charge in charges:
        kind = "charge.succeeded" if charge.succeeded else "charge.failed"
        yield charge.created_at, kind, partial(charge_row, charge)


def _of_refunds(refunds: Sequence[StripeRefund]) -> Iterator[Happening]:
    for refund in refunds:
        yield refund.created_at, "charge.refunded", partial(charge_row, refund.charge)
        yield refund.created_at, "refund.created", partial(stripe_refund_row, refund)


def _of_subscriptions(subscriptions: Sequence[Subscription]) -> Iterator[Happening]:
    for owned in subscriptions:
        view = partial(subscription_row, owned)
        yield owned.started_at, "customer.subscription.created", view
        if owned.ended_at:
            yield owned.ended_at, "customer.subscription.deleted", view


def stripe_event_row(event: StripeEvent, at: datetime) -> tuple[datetime, Row] | None:
    """The event as Stripe's API shows it at the instant; None: not yet, or no longer."""
    if not event.is_kept(at):
        return None
    return event.created_at, {
        "id": event.source_id,
        "object": "event",
        "api_version": _API_VERSION,
        "created": epoch(event.created_at),
        "data": {"object": event.shown},
        "livemode": event.shown.get("livemode", True),
        "pending_webhooks": 0,
        "request": {"id": None, "idempotency_key": None},
        "type": event.kind,
    }
