"""Shopify's view of the shop: customers and orders, with the shop's local times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators.demo_data.clock import shopify_time
from simulators.demo_data.shop import FIRST_ORDER_ID
from simulators.demo_data.shop_payments import attempts_of, transactions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from simulators.demo_data.catalogue import OrderLine, Product
    from simulators.demo_data.records import Row
    from simulators.demo_data.shop import Order, Refund, ShopCustomer
    from simulators.demo_data.shop_payments import ReturnLine, Transaction
    from simulators.demo_data.stripe import Charge

_PRODUCT_IDS = 7_100_000_000_000
_VARIANT_IDS = 44_100_000_000_000
_FIRST_ORDER_NUMBER = 1001
_EDIT_LABEL = "returning"


def product_id(article: Product) -> int:
    """Shopify's id of an article's product."""
    return _PRODUCT_IDS + article.number


def variant_id(article: Product) -> int:
    """Shopify's id of an article's only variant."""
    return _VARIANT_IDS + article.number


def sku(article: Product) -> str:
    """The shop's own number of an article."""
    return f"DEMO-{article.number:03d}"


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


class OrderView:
    """Orders as Shopify's API shows them, with their transactions and what came back."""

    def __init__(
        self, charges: Sequence[Charge], returns: Mapping[int, Sequence[ReturnLine]]
    ) -> None:
        self._attempts = attempts_of(charges)
        self._returns = returns

    def __call__(self, order: Order, at: datetime) -> tuple[datetime, Row] | None:
        """The order at the instant, with its version; None: not yet."""
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
            "refunds": [self._refund(refund) for refund in refunds],
            "source_name": order.channel,
            "transactions": [
                _transaction(one, order.currency)
                for one in transactions(order, self._attempts.get(order.source_id, ()))
                if one.created_at < at
            ],
        }

    def _refund(self, refund: Refund) -> Row:
        """A refund, with the lines that it is for: those for no goods have none."""
        row: Row = {
            "id": refund.source_id,
            "created_at": shopify_time(refund.created_at),
            "amount": str(refund.amount),
        }
        lines = self._returns.get(refund.source_id)
        return row | {"refund_line_items": [_return_line(one) for one in lines]} if lines else row


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
        "product_id": product_id(line.product),
        "variant_id": variant_id(line.product),
        "sku": sku(line.product),
        "title": line.product.title,
        "quantity": line.quantity,
        "price": str(line.price),
        "total_discount": str(line.discount),
    }


def _return_line(returned: ReturnLine) -> Row:
    return {
        "id": returned.source_id,
        "line_item_id": returned.line.source_id,
        "quantity": returned.quantity,
        "restock_type": returned.restock,
        "subtotal": str(returned.subtotal),
        "total_tax": str(returned.tax),
    }


def _transaction(one: Transaction, currency: str) -> Row:
    at = shopify_time(one.created_at)
    return {
        "id": one.source_id,
        "kind": one.kind,
        "status": "success" if one.succeeded else "failure",
        "gateway": one.gateway,
        "created_at": at,
        "processed_at": at,
        "amount": str(one.amount),
        "currency": currency,
    }
