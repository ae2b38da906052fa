"""Shopify's view of the shop: customers and orders, with the shop's local times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators.demo_data.clock import shopify_time
from simulators.demo_data.shop import FIRST_ORDER_ID

if TYPE_CHECKING:
    from datetime import datetime

    from simulators.demo_data.catalogue import OrderLine
    from simulators.demo_data.records import Row
    from simulators.demo_data.shop import Order, ShopCustomer

_PRODUCT_IDS = 7_100_000_000_000
_VARIANT_IDS = 44_100_000_000_000
_FIRST_ORDER_NUMBER = 1001
_EDIT_LABEL = "returning"


def shop_customer_row(customer: ShopCustomer, at: datetime) -> tuple[datetime, Row] | None:
    """The customer as Shopify's API shows it at the instant, with its version; None: not yet."""
    if customer.created_at >= at:
        return None
    changed_at = customer.changed_at(at)
    labels = [customer.labels] if customer.labels else []
    if customer.is_edited(at):
        labels.append(_EDIT_LABEL)
    return changed_at, {
        "id": customer.number,
        "email": customer.written.email,
        "first_name": customer.written.first,
        "last_name": customer.written.last,
        "phone": customer.written.phone,
        "verified_email": customer.verified,
        "created_at": shopify_time(customer.created_at),
        "updated_at": shopify_time(changed_at),
        "tags": ", ".join(labels),
        "default_address": {
            "country_code": customer.person.country,
            "zip": customer.postcode,
        },
    }


def order_row(order: Order, at: datetime) -> tuple[datetime, Row] | None:
    """The order as Shopify's API shows it at the instant, with its version; None: not yet."""
    if order.arrives_at >= at:
        return None
    refunds = order.refunds_at(at)
    cancelled_at = order.cancelled_at if order.is_cancelled(at) else None
    changes = [order.arrives_at, *(refund.created_at for refund in refunds)]
    changed_at = max([*changes, cancelled_at] if cancelled_at else changes)
    return changed_at, {
        "id": order.source_id,
        "name": f"#{order.source_id - FIRST_ORDER_ID + _FIRST_ORDER_NUMBER}",
        "email": order.email,
        "customer": {"id": order.customer.number} if order.customer else None,
        "created_at": shopify_time(order.created_at),
        "updated_at": shopify_time(changed_at),
        "cancelled_at": shopify_time(cancelled_at) if cancelled_at else None,
        "test": order.is_test,
        "currency": order.currency,
        "subtotal_price": str(order.subtotal),
        "total_shipping": str(order.shipping),
        "total_tax": str(order.tax),
        "total_price": str(order.total),
        "financial_status": _financial_status(order, at),
        "line_items": [_line_item(line) for line in order.lines],
        "refunds": [
            {
                "id": refund.source_id,
                "created_at": shopify_time(refund.created_at),
                "amount": str(refund.amount),
            }
            for refund in refunds
        ],
        "source_name": order.channel,
    }


def _financial_status(order: Order, at: datetime) -> str:
    if order.is_cancelled(at):
        return "voided"
    refunded = order.refunded_at(at)
    if not refunded:
        return "paid"
    return "refunded" if refunded == order.total else "partially_refunded"


def _line_item(line: OrderLine) -> Row:
    return {
        "id": line.source_id,
        "product_id": _PRODUCT_IDS + line.product.number,
        "variant_id": _VARIANT_IDS + line.product.number,
        "sku": f"DEMO-{line.product.number:03d}",
        "title": line.product.title,
        "quantity": line.quantity,
        "price": str(line.price),
        "total_discount": str(line.discount),
    }
