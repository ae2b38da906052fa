"""The mapping: what the GraphQL API delivers, as the REST API and the exports name it.

Amounts stay the text that Shopify sends: those of the shop's currency in the usual columns, those
that the buyer saw in `presentment`. Times within JSON are in the shop's zone, as in exports.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from zoneinfo import ZoneInfo

Record = dict[str, Any]

_TOTALS = {
    "subtotal_price": "subtotalPriceSet",
    "total_shipping": "totalShippingPriceSet",
    "total_tax": "totalTaxSet",
    "total_price": "totalPriceSet",
    "total_discounts": "totalDiscountsSet",
}
_ADDRESS = {
    "address1": "address1", "address2": "address2", "city": "city", "company": "company",
    "province_code": "provinceCode",
}  # fmt: skip


@dataclass(frozen=True)
class Shop:
    """What records need to know of their shop.

    Attributes:
        zone: of its local time.
        currency: code of its currency now.
    """

    zone: ZoneInfo
    currency: str

    def local(self, text: str | None) -> str | None:
        """Return a time in the shop's zone."""
        if text is None:
            return None
        return datetime.fromisoformat(text).astimezone(self.zone).isoformat()


def number(gid: str) -> int:
    """Return the number in a global id: `gid://shopify/Order/7` is 7."""
    return int(gid.rpartition("/")[2].partition("?")[0])


def gid_of_refund(refund: Record) -> str:
    """Return the global id of a refund."""
    return f"gid://shopify/Refund/{refund['legacyResourceId']}"


def record_of(name: str, node: Record, shop: Shop) -> Record:
    """Return the record of a node of this object."""
    return _MAPPINGS[name](node, shop)


def _order(node: Record, shop: Shop) -> Record:
    lines, refunds = node["lineItems"]["nodes"], node["refunds"]
    return {
        "id": int(node["legacyResourceId"]),
        "name": node["name"],
        "email": node["email"],
        "customer": _reference(node["customer"]),
        **_times(node, shop),
        "cancelled_at": shop.local(node["cancelledAt"]),
        "test": node["test"],
        "currency": node["currencyCode"],
        **{column: _amount(node[field]) for column, field in _TOTALS.items()},
        "financial_status": _lower(node["displayFinancialStatus"]),
        "line_items": [_line(line) for line in lines],
        "refunds": [
            {
                "id": int(refund["legacyResourceId"]),
                "created_at": shop.local(refund["createdAt"]),
                "amount": _amount(refund["totalRefundedSet"]),
                **_lines_of(refund, _line_of_refund),
            }
            for refund in refunds
        ],
        "source_name": node["sourceName"],
        "note": node["note"],
        "tags": ", ".join(node["tags"]),
        "processed_at": shop.local(node["processedAt"]),
        "closed_at": shop.local(node["closedAt"]),
        "cancel_reason": _lower(node["cancelReason"]),
        "fulfillment_status": _lower(node["displayFulfillmentStatus"]),
        "transactions": [_transaction(paid, shop) for paid in node["transactions"]],
        "fulfillments": [_fulfillment(sent, shop) for sent in node["fulfillments"]],
        "presentment": _presentment(node, lines, refunds),
        **_of_shop(shop),
    }


def _presentment(node: Record, lines: list[Record], refunds: list[Record]) -> Record:
    """Return the amounts in the currency that the buyer saw."""
    return {
        "currency": node["presentmentCurrencyCode"],
        **{column: _shown(node[field]) for column, field in _TOTALS.items()},
        "line_items": [
            {
                "id": number(line["id"]),
                "price": _shown(line["originalUnitPriceSet"]),
                "total_discount": _shown(line["totalDiscountSet"]),
            }
            for line in lines
        ],
        "refunds": [
            {
                "id": int(refund["legacyResourceId"]),
                "amount": _shown(refund["totalRefundedSet"]),
                **_lines_of(refund, _shown_line_of_refund),
            }
            for refund in refunds
        ],
    }


def _line(line: Record) -> Record:
    return {
        "id": number(line["id"]),
        "product_id": _number(line["product"]),
        "variant_id": _number(line["variant"]),
        "sku": line["sku"],
        "title": line["title"],
        "quantity": line["quantity"],
        "price": _amount(line["originalUnitPriceSet"]),
        "total_discount": _amount(line["totalDiscountSet"]),
    }


def _lines_of(refund: Record, made: Callable[[Record], Record]) -> Record:
    """Return what a refund gave back; nothing where that was money only."""
    lines = [made(line) for line in refund["lines"]]
    return {"refund_line_items": lines} if lines else {}


def _line_of_refund(line: Record) -> Record:
    return {
        "id": _number(line),
        "line_item_id": number(line["lineItem"]["id"]),
        "quantity": line["quantity"],
        "restock_type": _lower(line["restockType"]),
        "subtotal": _amount(line["subtotalSet"]),
        "total_tax": _amount(line["totalTaxSet"]),
    }


def _shown_line_of_refund(line: Record) -> Record:
    return {
        "line_item_id": number(line["lineItem"]["id"]),
        "subtotal": _shown(line["subtotalSet"]),
        "total_tax": _shown(line["totalTaxSet"]),
    }


def _transaction(paid: Record, shop: Shop) -> Record:
    return {
        "id": number(paid["id"]),
        "kind": _lower(paid["kind"]),
        "status": _lower(paid["status"]),
        "gateway": paid["gateway"],
        "created_at": shop.local(paid["createdAt"]),
        "processed_at": shop.local(paid["processedAt"]),
        "amount": _amount(paid["amountSet"]),
        "currency": paid["amountSet"]["shopMoney"]["currencyCode"],
    }


def _fulfillment(sent: Record, shop: Shop) -> Record:
    own = {"id": int(sent["legacyResourceId"]), "status": _lower(sent["status"])}
    return {**own, **_times(sent, shop)}


def _customer(node: Record, shop: Shop) -> Record:
    address = node["defaultAddress"]
    return {
        "id": int(node["legacyResourceId"]),
        "email": (node["defaultEmailAddress"] or {}).get("emailAddress"),
        "first_name": node["firstName"],
        "last_name": node["lastName"],
        "phone": (node["defaultPhoneNumber"] or {}).get("phoneNumber"),
        "verified_email": node["verifiedEmail"],
        **_times(node, shop),
        "tags": ", ".join(node["tags"]),
        "default_address": _address(address) if address else None,
        "note": node["note"],
        "orders_count": int(node["numberOfOrders"]),
        **_of_shop(shop),
    }


def _address(address: Record) -> Record:
    further = {name: address[field] for name, field in _ADDRESS.items()}
    return {
        "country_code": address["countryCodeV2"],
        "zip": address["zip"],
        **{name: value for name, value in further.items() if value is not None},
    }


def _product(node: Record, shop: Shop) -> Record:
    return {
        "id": int(node["legacyResourceId"]),
        **{name: node[name] for name in ("title", "handle", "vendor")},
        "product_type": node["productType"],
        "status": _lower(node["status"]),
        "tags": ", ".join(node["tags"]),
        **_times(node, shop),
    }


def _variant(node: Record, shop: Shop) -> Record:
    return {
        "id": int(node["legacyResourceId"]),
        "product_id": _number(node["product"]),
        **{name: node[name] for name in ("title", "sku", "barcode", "price")},
        **_times(node, shop),
        "currency": shop.currency,
    }


def _times(node: Record, shop: Shop) -> Record:
    return {
        "created_at": shop.local(node["createdAt"]),
        "updated_at": shop.local(node["updatedAt"]),
    }


def _of_shop(shop: Shop) -> Record:
    return {"shop_currency": shop.currency, "shop_timezone": shop.zone.key}


def _reference(node: Record | None) -> Record | None:
    return {"id": number(node["id"])} if node else None


def _number(node: Record | None) -> int | None:
    return number(node["id"]) if node and node["id"] else None


def _amount(bag: Record | None) -> str | None:
    return bag["shopMoney"]["amount"] if bag else None


def _shown(bag: Record | None) -> str | None:
    return bag["presentmentMoney"]["amount"] if bag else None


def _lower(value: str | None) -> str | None:
    return value.lower() if value else None


_MAPPINGS: Mapping[str, Callable[[Record, Shop], Record]] = {
    "customers": _customer,
    "orders": _order,
    "products": _product,
    "variants": _variant,
}
