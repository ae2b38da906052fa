"""Salesforce: products, and the line items of opportunities, which add up to their amount.

All amounts are whole units of their currency, so that a price is none of cents that do not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from simulators.demo_data.chance import between, pick, stream, weighted
from simulators.demo_data.clock import salesforce_time
from simulators.demo_data.salesforce import salesforce_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from decimal import Decimal

    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.opportunities import Opportunity
    from simulators.demo_data.records import Row

_PRODUCTS = {
    "Solo licence": "Licences", "Crew licence": "Licences", "Fleet licence": "Licences",
    "Onboarding": "Services", "Training day": "Services", "Support contract": "Services",
}  # fmt: skip
_WITH_LINES = 0.6


@dataclass(frozen=True, slots=True)
class CrmProduct:
    """What opportunities are about; one that is no longer sold is made inactive."""

    source_id: str
    code: str
    name: str
    family: str
    created_at: datetime
    retired_at: datetime | None

    def is_active(self, at: datetime) -> bool:
        """Whether it is sold at the instant."""
        return self.retired_at is None or self.retired_at >= at


@dataclass(frozen=True, slots=True)
class LineItem:
    """A place among the line items of an opportunity; its price follows from the amount."""

    source_id: str
    opportunity: Opportunity
    product: CrmProduct
    quantity: int
    place: int


@dataclass(frozen=True, slots=True)
class LineItems:
    """All line items of one opportunity; the last one, a single piece, takes what is left over."""

    opportunity: Opportunity
    items: tuple[LineItem, ...]

    def unit_prices(self, amount: Decimal) -> list[Decimal]:
        """The prices with which the items add up to the amount."""
        prices, left = [], amount
        for item in self.items[:-1]:
            prices.append(amount // (len(self.items) * item.quantity))
            left -= prices[-1] * item.quantity
        return [*prices, left]

    def changed_at(self, at: datetime) -> datetime:
        """The last change that is visible at the instant: of the amount, or the deletion."""
        deleted_at, visits = self.opportunity.deleted_at, self.opportunity.visits
        if deleted_at is not None and deleted_at < at:
            return deleted_at
        changes = [b.entered_at for a, b in pairwise(visits) if a.amount != b.amount]
        return max(change for change in (visits[0].entered_at, *changes) if change < at)


def invent_products(seed: int, timeline: Timeline) -> list[CrmProduct]:
    """The price list; one of its products is retired after the first delivery."""
    rng = stream(seed, "salesforce products")
    retired = rng.choice(list(_PRODUCTS))
    retired_at = between(rng, timeline.end_batch_1, timeline.end_batch_2)
    return [
        CrmProduct(
            source_id=salesforce_id(rng, "01t"),
            code=f"CRM-{number:02d}",
            name=name,
            family=family,
            created_at=timeline.begins,
            retired_at=retired_at if name == retired else None,
        )
        for number, (name, family) in enumerate(_PRODUCTS.items(), start=1)
    ]


def invent_line_items(
    seed: int, opportunities: Sequence[Opportunity], products: Sequence[CrmProduct]
) -> list[LineItems]:
    """Line items of about 60 % of the opportunities that have an amount: one to three each."""
    rng = stream(seed, "salesforce line items")
    priced = [
        opportunity
        for opportunity in opportunities
        if not opportunity.amount_lost and opportunity.visits[0].amount is not None
    ]
    found = []
    for opportunity in pick(rng, priced, _WITH_LINES):
        count = weighted(rng, {1: 40, 2: 40, 3: 20})
        items = [
            LineItem(
                source_id=salesforce_id(rng, "00k"),
                opportunity=opportunity,
                product=product,
                quantity=1 if place == count - 1 else rng.choice((1, 2, 5)),
                place=place,
            )
            for place, product in enumerate(rng.sample(products, count))
        ]
        found.append(LineItems(opportunity, tuple(items)))
    return found


def single_items(line_items: Sequence[LineItems]) -> Iterator[tuple[LineItems, LineItem]]:
    """Every item with the others of its opportunity."""
    return ((together, item) for together in line_items for item in together.items)


def product_row(product: CrmProduct, at: datetime) -> tuple[datetime, Row]:
    """The product as `Product2.csv` shows it at the instant, with its version."""
    is_active = product.is_active(at)
    changed_at = product.created_at if is_active or not product.retired_at else product.retired_at
    return changed_at, {
        "Id": product.source_id,
        "Name": product.name,
        "ProductCode": product.code,
        "Family": product.family,
        "IsActive": "true" if is_active else "false",
        "CreatedDate": salesforce_time(product.created_at),
        "SystemModstamp": salesforce_time(changed_at),
        "IsDeleted": "false",
    }


def line_item_row(one: tuple[LineItems, LineItem], at: datetime) -> tuple[datetime, Row] | None:
    """The item as `OpportunityLineItem.csv` shows it at the instant; None: not yet."""
    together, item = one
    visit = item.opportunity.visit_at(at)
    if visit is None or visit.amount is None:
        return None
    unit_price = together.unit_prices(visit.amount)[item.place]
    changed_at = together.changed_at(at)
    return changed_at, {
        "Id": item.source_id,
        "OpportunityId": item.opportunity.source_id,
        "Product2Id": item.product.source_id,
        "Quantity": f"{item.quantity}.00",
        "UnitPrice": f"{unit_price:.2f}",
        "TotalPrice": f"{unit_price * item.quantity:.2f}",
        "CreatedDate": salesforce_time(item.opportunity.visits[0].entered_at),
        "SystemModstamp": salesforce_time(changed_at),
        "IsDeleted": "true" if item.opportunity.is_deleted(at) else "false",
    }
