"""Records in the shape of the REST API, as the objects that the GraphQL API has for them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from simulators.shopify.paging import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulators.store import Body

_NO_PRICE = "0.00"


def gid(kind: str, id_: object) -> str:
    """Return the global id of an object."""
    return f"gid://shopify/{kind}/{id_}"


def utc(value: object) -> str | None:
    """Return a time of a record as the API writes times."""
    if not value:
        return None
    when = datetime.fromisoformat(str(value)).astimezone(UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def order(body: Body) -> Body:
    """Return an order."""
    money = _money(body)
    lines = [_line(line, money) for line in body.get("line_items") or ()]
    fulfillments = body.get("fulfillments") or ()
    buyer = body.get("customer")
    return {
        **_base("Order", body),
        **{name: body.get(field) for name, field in _ORDER.items()},
        "cancelledAt": utc(body.get("cancelled_at")),
        "closedAt": utc(body.get("closed_at")),
        "processedAt": utc(body.get("processed_at") or body["created_at"]),
        "presentmentCurrencyCode": body.get("presentment_currency") or body["currency"],
        "customer": _guarded("read_customers", _ids("Customer", buyer["id"]) if buyer else None),
        "displayFinancialStatus": _upper(body.get("financial_status")),
        "displayFulfillmentStatus": _upper(body.get("fulfillment_status")) or "UNFULFILLED",
        "tags": _tags(body),
        "test": bool(body.get("test")),
        "lineItems": listed(lines),
        "refunds": _some(refunds(body)),
        "transactions": _some([_transaction(t, money) for t in body.get("transactions") or ()]),
        "fulfillments": _some([_fulfillment(one) for one in fulfillments]),
        "subtotalPriceSet": money(body.get("subtotal_price")),
        "totalDiscountsSet": money(body.get("total_discounts")),
        "totalPriceSet": money(body.get("total_price") or _NO_PRICE),
        "totalShippingPriceSet": money(body.get("total_shipping") or _NO_PRICE),
        "totalTaxSet": money(body.get("total_tax")),
    }


_ORDER = {
    "name": "name", "email": "email", "note": "note", "sourceName": "source_name",
    "currencyCode": "currency", "cancelReason": "cancel_reason",
}  # fmt: skip


def customer(body: Body) -> Body:
    """Return a customer."""
    address, email, phone = body.get("default_address"), body.get("email"), body.get("phone")
    return {
        **_base("Customer", body),
        "firstName": body.get("first_name"),
        "lastName": body.get("last_name"),
        "note": body.get("note"),
        "numberOfOrders": str(body.get("orders_count") or 0),
        "tags": _tags(body),
        "verifiedEmail": bool(body.get("verified_email")),
        "defaultEmailAddress": {"emailAddress": email} if email is not None else None,
        "defaultPhoneNumber": {"phoneNumber": phone} if phone is not None else None,
        "defaultAddress": _address(address, body["id"]) if address else None,
    }


def product(body: Body) -> Body:
    """Return a product, without its variants."""
    return {
        **_base("Product", body),
        "title": body.get("title") or "",
        "handle": body.get("handle") or str(body["id"]),
        "productType": body.get("product_type") or "",
        "status": _upper(body.get("status")) or "ACTIVE",
        "tags": _tags(body),
        "vendor": body.get("vendor") or "",
    }


def variant(body: Body) -> Body:
    """Return a variant."""
    return {
        **_base("ProductVariant", body),
        "title": body.get("title") or "",
        "barcode": body.get("barcode"),
        "price": body.get("price") or _NO_PRICE,
        "sku": body.get("sku"),
        "product": _ids("Product", body["product_id"]),
    }


def event(body: Body) -> Body:
    """Return an event."""
    return {
        "__typename": "BasicEvent",
        "id": gid("BasicEvent", body["id"]),
        "action": body["action"],
        "createdAt": utc(body["created_at"]),
        "subjectId": body["subject_id"],
        "subjectType": body["subject_type"],
    }


def _ids(kind: str, id_: object) -> Body:
    return {"__typename": kind, "id": gid(kind, id_), "legacyResourceId": str(id_)}


def _base(kind: str, body: Body) -> Body:
    created = utc(body["created_at"])
    return {
        **_ids(kind, body["id"]),
        "createdAt": created,
        "updatedAt": utc(body.get("updated_at")) or created,
    }


def _money(order_: Body) -> Callable[..., Body | None]:
    """Return what makes a bag of money of an amount, at the rate of the order."""
    own, theirs = order_["currency"], order_.get("presentment_currency") or order_["currency"]
    rate = Decimal(str(order_.get("presentment_rate") or 1))

    def bag(amount: object) -> Body | None:
        if amount is None:
            return None
        shown = str(amount) if theirs == own else str((Decimal(str(amount)) * rate).normalize())
        return {
            "shopMoney": {"amount": str(amount), "currencyCode": own},
            "presentmentMoney": {"amount": shown, "currencyCode": theirs},
        }

    return bag


def _line(line: Body, money: Callable[..., Body | None]) -> Body:
    bought, kind = line.get("product_id"), line.get("variant_id")
    return {
        "__typename": "LineItem",
        "id": gid("LineItem", line["id"]),
        "product": _guarded(
            "read_products", _ids("Product", bought) if bought is not None else None
        ),
        "variant": _guarded(
            "read_products", _ids("ProductVariant", kind) if kind is not None else None
        ),
        "sku": line.get("sku"),
        "title": line.get("title") or "",
        "quantity": line["quantity"],
        "originalUnitPriceSet": money(line["price"]),
        "totalDiscountSet": money(line.get("total_discount") or _NO_PRICE),
    }


def refunds(order_: Body) -> list[Body]:
    """Return the refunds of an order."""
    money = _money(order_)
    lines = {str(line["id"]): _line(line, money) for line in order_.get("line_items") or ()}
    return [_refund(refund, money, lines) for refund in order_.get("refunds") or ()]


def _refund(refund: Body, money: Callable[..., Body | None], lines: Mapping[str, Body]) -> Body:
    given_back = [
        {
            "__typename": "RefundLineItem",
            "id": gid("RefundLineItem", line["id"]),
            "lineItem": lines[str(line["line_item_id"])],
            "quantity": line["quantity"],
            "restockType": _upper(line.get("restock_type")) or "NO_RESTOCK",
            "subtotalSet": money(line.get("subtotal") or _NO_PRICE),
            "totalTaxSet": money(line.get("total_tax") or _NO_PRICE),
        }
        for line in refund.get("refund_line_items") or ()
    ]
    return {
        **_ids("Refund", refund["id"]),
        "refundLineItems": listed(given_back),
        "createdAt": utc(refund.get("created_at")),
        "note": refund.get("note"),
        "totalRefundedSet": money(refund.get("amount") or _NO_PRICE),
    }


def _transaction(paid: Body, money: Callable[..., Body | None]) -> Body:
    return {
        "__typename": "OrderTransaction",
        "id": gid("OrderTransaction", paid["id"]),
        "kind": _upper(paid["kind"]),
        "status": _upper(paid["status"]),
        "gateway": paid.get("gateway"),
        "createdAt": utc(paid["created_at"]),
        "processedAt": utc(paid.get("processed_at")),
        "amountSet": money(paid["amount"]),
    }


def _fulfillment(sent: Body) -> Body:
    return {**_base("Fulfillment", sent), "status": _upper(sent["status"])}


def _address(address: Body, customer_id: object) -> Body:
    plain = ("address1", "address2", "city", "company", "zip")
    return {
        "id": gid("MailingAddress", address.get("id") or customer_id),
        "countryCodeV2": address.get("country_code"),
        "provinceCode": address.get("province_code"),
        **{name: address.get(name) for name in plain},
    }


def _guarded(scope: str, value: Body | None) -> Callable[..., Body | None]:
    """Return the resolver of a field that the token needs a further scope for."""

    def resolve(info: Any) -> Body | None:  # noqa: ANN401
        info.context.require(info.field_name, scope)
        return value

    return resolve


def _some(items: list[Body]) -> Callable[..., list[Body]]:
    def resolve(info: Any, first: int | None = None) -> list[Body]:  # noqa: ANN401, ARG001
        return items[:first]

    return resolve


def _tags(body: Body) -> list[str]:
    return [tag for tag in str(body.get("tags") or "").split(", ") if tag]


def _upper(value: object) -> str | None:
    return str(value).upper() if value else None
