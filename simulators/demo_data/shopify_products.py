"""Shopify's view of the articles: a product and its only variant, in the shop's currency."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from simulators.demo_data.catalogue import Product, invent_catalogue
from simulators.demo_data.chance import between, pick, stream
from simulators.demo_data.clock import shopify_time
from simulators.demo_data.shopify import product_id, sku, variant_id

if TYPE_CHECKING:
    from datetime import datetime

    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.records import Row

_NEVER_SOLD = 3


@dataclass(slots=True, kw_only=True)
class ShopProduct:
    """An article with its life: one that is no longer sold is archived, a draft may be deleted.

    Attributes:
        barcode: It has one from the edit on, which also adds a tag.
    """

    article: Product
    barcode: str
    is_draft: bool
    created_at: datetime
    edited_at: datetime | None = None
    archived_at: datetime | None = None
    deleted_at: datetime | None = None

    def changed_at(self, at: datetime) -> datetime:
        """The last change that is visible at the instant."""
        changes = (self.created_at, self.edited_at, self.archived_at, self.deleted_at)
        return max(change for change in changes if change is not None and change < at)

    def is_deleted(self, at: datetime) -> bool:
        """Whether the deletion is visible at the instant."""
        return self.deleted_at is not None and self.deleted_at < at

    def status_at(self, at: datetime) -> str:
        """Shopify's status at the instant."""
        if self.is_draft:
            return "draft"
        return "archived" if self.archived_at and self.archived_at < at else "active"

    def is_edited(self, at: datetime) -> bool:
        """Whether the edit is visible at the instant."""
        return self.edited_at is not None and self.edited_at < at


def invent_shop_products(seed: int, timeline: Timeline) -> list[ShopProduct]:
    """All that is sold, and a few drafts; one of these is deleted after the first delivery."""
    rng = stream(seed, "shop products")
    sold = invent_catalogue(seed)
    drafts = [
        Product(len(sold) + number, f"Draft {number + 1}", sold[number].usd)
        for number in range(_NEVER_SOLD)
    ]
    opened = timeline.begins + timedelta(minutes=1)
    products = [
        ShopProduct(
            article=article,
            barcode=f"{rng.randrange(10**12, 10**13)}",
            is_draft=article in drafts,
            created_at=between(rng, timeline.begins, opened),
        )
        for article in (*sold, *drafts)
    ]

    def in_batch_2() -> datetime:
        return between(rng, timeline.end_batch_1, timeline.end_batch_2)

    for product in pick(rng, products, 0.1):
        product.edited_at = in_batch_2()
    for product in pick(rng, products[:-_NEVER_SOLD], 0.05):
        product.archived_at = in_batch_2()
    products[-1].deleted_at = in_batch_2()
    return products


def shop_product_row(product: ShopProduct, at: datetime) -> tuple[datetime, Row] | None:
    """The product as Shopify's API shows it at the instant, with its version; None: not yet."""
    if product.created_at >= at:
        return None
    material, _, thing = product.article.title.partition(" ")
    labels = [material.lower(), "new barcode"] if product.is_edited(at) else [material.lower()]
    row: Row = {
        "id": product_id(product.article),
        "title": product.article.title,
        "handle": product.article.title.lower().replace(" ", "-"),
        "vendor": "Demo",
        "product_type": thing,
        "status": product.status_at(at),
        "tags": ", ".join(labels),
        **_times(product, at),
    }
    return product.changed_at(at), row


def variant_row(product: ShopProduct, at: datetime) -> tuple[datetime, Row] | None:
    """The product's variant as Shopify's API shows it at the instant; None: not yet."""
    if product.created_at >= at:
        return None
    row: Row = {
        "id": variant_id(product.article),
        "product_id": product_id(product.article),
        "title": "Default Title",
        "sku": sku(product.article),
        "barcode": product.barcode if product.is_edited(at) else None,
        "price": str(product.article.usd),
        **_times(product, at),
    }
    return product.changed_at(at), row


def _times(product: ShopProduct, at: datetime) -> Row:
    row: Row = {
        "created_at": shopify_time(product.created_at),
        "updated_at": shopify_time(product.changed_at(at)),
    }
    return row | {"deleted": True} if product.is_deleted(at) else row
