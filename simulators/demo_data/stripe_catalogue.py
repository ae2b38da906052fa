"""Stripe: the products and prices that subscriptions are for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING

from simulators.demo_data.chance import between, stream, token
from simulators.demo_data.clock import epoch
from simulators.demo_data.invoices import PLANS, Price
from simulators.demo_data.money import LIST_PRICE_FACTOR, minor_units

if TYPE_CHECKING:
    from datetime import datetime

    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.records import Row

_INTERVALS = ("month", "year")


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeProduct:
    """Something with prices.

    Attributes:
        plan: Blank for a draft that never had a price: Stripe lets only such a one be deleted.
        renamed_at: When its name changed, if ever.
        deleted_at: When the draft was deleted.
    """

    source_id: str
    plan: str
    created_at: datetime
    renamed_at: datetime | None = None
    deleted_at: datetime | None = None

    def is_deleted(self, at: datetime) -> bool:
        """Whether the deletion is visible at the instant."""
        return self.deleted_at is not None and self.deleted_at < at


@dataclass(frozen=True, slots=True, kw_only=True)
class StripePrice:
    """A price of the list; one that new subscriptions cannot have any more is inactive."""

    price: Price
    product: StripeProduct
    created_at: datetime
    retired_at: datetime | None

    def is_active(self, at: datetime) -> bool:
        """Whether new subscriptions can have it at the instant."""
        return self.retired_at is None or self.retired_at >= at


def invent_stripe_catalogue(
    seed: int, timeline: Timeline
) -> tuple[list[StripeProduct], list[StripePrice]]:
    """A product for each plan, and a draft; a price for each plan, interval and currency."""
    rng = stream(seed, "stripe catalogue")
    created_at = between(rng, timeline.begins, timeline.begins + timedelta(minutes=1))

    def in_batch_2() -> datetime:
        return between(rng, timeline.end_batch_1, timeline.end_batch_2)

    products = [
        StripeProduct(
            source_id=f"prod_{token(rng, 14)}",
            plan=plan,
            created_at=created_at,
            renamed_at=in_batch_2() if plan == PLANS[-1] else None,
            deleted_at=None if plan else in_batch_2(),
        )
        for plan in (*PLANS, "")
    ]
    prices = [
        StripePrice(
            price=Price(owner.plan, interval, currency),
            product=owner,
            created_at=created_at,
            retired_at=in_batch_2() if (interval, currency) == ("year", "CAD") else None,
        )
        for owner, interval, currency in product(products[:-1], _INTERVALS, LIST_PRICE_FACTOR)
    ]
    return products, prices


def stripe_product_row(product_: StripeProduct, at: datetime) -> tuple[datetime, Row] | None:
    """The product as Stripe's API shows it at the instant; None: not yet."""
    if product_.created_at >= at:
        return None
    renamed_at = product_.renamed_at if product_.renamed_at and product_.renamed_at < at else None
    name = product_.plan.title() or "Draft"
    row: Row = {
        "id": product_.source_id,
        "object": "product",
        "active": bool(product_.plan),
        "created": epoch(product_.created_at),
        "default_price": None,
        "description": None,
        "livemode": True,
        "metadata": {"plan": product_.plan} if product_.plan else {},
        "name": f"{name} Plus" if renamed_at else name,
        "type": "service",
        "updated": epoch(renamed_at or product_.created_at),
    }
    if product_.is_deleted(at):
        row["deleted"] = True
    return renamed_at or product_.created_at, row


def price_row(listed: StripePrice, at: datetime) -> tuple[datetime, Row] | None:
    """The price as Stripe's API shows it at the instant; None: not yet."""
    if listed.created_at >= at:
        return None
    price = listed.price
    amount = minor_units(price.unit_amount, price.currency)
    return listed.created_at, {
        "id": price.source_id,
        "object": "price",
        "active": listed.is_active(at),
        "billing_scheme": "per_unit",
        "created": epoch(listed.created_at),
        "currency": price.currency.lower(),
        "livemode": True,
        "metadata": {},
        "nickname": None,
        "product": listed.product.source_id,
        "recurring": {"interval": price.interval, "interval_count": 1},
        "type": "recurring",
        "unit_amount": amount,
        "unit_amount_decimal": str(amount),
    }
