"""Subscriptions: what is sold by the month and by the year, and Stripe's view of it.

A change of plan ends one subscription and begins the next at the same second, so that the months
before it stay as they were: Stripe keeps no history of a subscription's price.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from simulators.demo_data.chance import after_days, between, happens, stream, token, weighted
from simulators.demo_data.clock import epoch, epoch_or_none
from simulators.demo_data.invoices import Price, issue_invoices
from simulators.demo_data.money import minor_units

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from decimal import Decimal
    from random import Random

    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.invoices import Invoice
    from simulators.demo_data.records import PersonRecord, Row

_TRIAL = timedelta(days=14)
_MEAN_LIFE_DAYS = 540


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A number of units of one price, from `started_at` until `ended_at` if it has ended."""

    source_id: str
    customer: PersonRecord
    price: Price
    quantity: int
    started_at: datetime
    trial_end: datetime | None
    ended_at: datetime | None
    invoices: list[Invoice]

    @property
    def monthly_amount(self) -> Decimal:
        """The value of a month, not rounded: a year's price divided by twelve."""
        amount = self.price.unit_amount * self.quantity
        return amount if self.price.interval == "month" else amount / 12

    def end_known_at(self, at: datetime) -> datetime | None:
        """The end of the subscription, if it is visible at the instant."""
        return self.ended_at if self.ended_at and self.ended_at < at else None

    def is_paying_at_end(self, month_end: datetime) -> bool:
        """Whether it counts at the last instant before `month_end`: trial over, not ended."""
        begun = max(self.started_at, self.trial_end or self.started_at) < month_end
        return begun and not (self.ended_at and self.ended_at < month_end)

    def status_at(self, at: datetime) -> str:
        """Stripe's status at the instant."""
        if self.end_known_at(at):
            return "canceled"
        if self.trial_end and self.trial_end >= at:
            return "trialing"
        known = [invoice for invoice in self.invoices if invoice.created_at < at]
        owed = known and known[-1].status_at(at) in {"open", "uncollectible"}
        return "past_due" if owed else "active"


def invent_subscriptions(
    seed: int, customers: Sequence[PersonRecord], timeline: Timeline
) -> list[Subscription]:
    """Subscriptions of a good half of the customers, with changes of plan, pauses and ends."""
    rng = stream(seed, "subscriptions")
    subscriptions: list[Subscription] = []
    for customer in customers:
        share = 0.62 if customer.person.organisation else 0.44
        # A second draw: some pay for two things at once.
        for chance in (share, 0.06):
            if happens(rng, chance):
                latest = min(after_days(rng, customer.created_at, 40), timeline.end_batch_2)
                first = between(rng, customer.created_at, latest)
                subscriptions.extend(_life(rng, customer, first, timeline))
    return subscriptions


def _life(
    rng: Random, customer: PersonRecord, first: datetime, timeline: Timeline
) -> Iterator[Subscription]:
    """One after the other: the first, those it changes into, and after a pause another one."""
    starts, on_trial = first, happens(rng, 0.23)
    while starts < timeline.end_batch_2:
        trial_end = starts + _TRIAL if on_trial else None
        ends = after_days(rng, trial_end or starts, _MEAN_LIFE_DAYS)
        if on_trial and happens(rng, 0.07):
            ends = between(rng, starts + timedelta(days=1), starts + _TRIAL)
        yield _subscription(
            rng,
            customer,
            starts=starts,
            trial_end=trial_end,
            ends=ends,
            data_end=timeline.end_batch_2,
        )
        on_trial = False
        follow_up = weighted(rng, {"change": 35, "pause": 10, "end": 55})
        if follow_up == "end" or (trial_end and ends < trial_end):
            return
        starts = ends if follow_up == "change" else after_days(rng, ends, 90)


def _subscription(
    rng: Random,
    customer: PersonRecord,
    *,
    starts: datetime,
    trial_end: datetime | None,
    ends: datetime,
    data_end: datetime,
) -> Subscription:
    interval = "year" if happens(rng, 0.28) else "month"
    price = Price(
        weighted(rng, {"solo": 4, "crew": 4, "fleet": 3}), interval, customer.person.currency
    )
    quantity = weighted(rng, {1: 55, 2: 14, 3: 11, 6: 12, 12: 6, 24: 2})
    source_id = f"sub_{token(rng, 14)}"
    billed_until = min(ends, data_end)
    return Subscription(
        source_id=source_id,
        customer=customer,
        price=price,
        quantity=quantity,
        started_at=starts,
        trial_end=trial_end,
        ended_at=ends if ends < data_end else None,
        invoices=list(issue_invoices(rng, price, quantity, trial_end or starts, billed_until)),
    )


def subscription_row(subscription: Subscription, at: datetime) -> tuple[datetime, Row] | None:
    """The subscription as Stripe's API shows it at the instant; None: not yet."""
    if subscription.started_at >= at:
        return None
    price, started = subscription.price, epoch(subscription.started_at)
    ended = subscription.end_known_at(at)
    currency = price.currency.lower()
    listed_price: Row = {
        "id": price.source_id,
        "unit_amount": minor_units(price.unit_amount, price.currency),
        "currency": currency,
        "recurring": {"interval": price.interval, "interval_count": 1},
    }
    return ended or subscription.started_at, {
        "id": subscription.source_id,
        "object": "subscription",
        "customer": subscription.customer.source_id,
        "status": subscription.status_at(at),
        "created": started,
        "start_date": started,
        "trial_end": epoch_or_none(subscription.trial_end),
        "canceled_at": epoch_or_none(ended),
        "ended_at": epoch_or_none(ended),
        "currency": currency,
        "livemode": True,
        "items": {"data": [{"price": listed_price, "quantity": subscription.quantity}]},
    }
