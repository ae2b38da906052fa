"""The resources that are served, and how a stored record is shown as one."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from simulators.store import Body

DISCOUNTS = "discounts"
NESTED_ITEMS = 10
"""How many items of a nested list an object carries."""


@dataclass(frozen=True)
class Resource:
    """One list of the API.

    Attributes:
        name: in the path, and of the file in a batch.
        object: what its records call themselves.
        prefix: of the types of its events.
        permission: without which a restricted key may not read it.
        filters: query parameters that ask for equality with a field.
        nested: fields that are lists of their own, with where they are served.
        tells: whether changes of it make events.
    """

    name: str
    object: str
    prefix: str
    permission: str
    filters: frozenset[str]
    nested: Mapping[str, str]
    tells: bool


def _resource(
    name: str,
    prefix: str = "",
    *filters: str,
    permission: str = "",
    tells: bool = True,
    **nested: str,
) -> Resource:
    singular = name.removesuffix("s")
    return Resource(
        name,
        singular,
        prefix or singular,
        f"rak_{permission or singular}_read",
        frozenset(filters),
        MappingProxyType(nested),
        tells,
    )


RESOURCES: Mapping[str, Resource] = MappingProxyType(
    {
        resource.name: resource
        for resource in (
            _resource("customers", "", "email"),
            _resource(
                "subscriptions", "customer.subscription", "customer", "collection_method",
                items="/v1/subscription_items?subscription={id}",
            ),
            _resource(
                "invoices", "", "customer", "subscription", "status", "collection_method",
                lines="/v1/invoices/{id}/lines",
            ),
            _resource(
                "charges", "", "customer", "payment_intent", "transfer_group",
                refunds="/v1/charges/{id}/refunds",
            ),
            _resource("payment_intents", "", "customer"),
            _resource("refunds", "", "charge", "payment_intent", permission="charge"),
            _resource("disputes", "charge.dispute", "charge", "payment_intent"),
            _resource(
                "credit_notes", "", "customer", "invoice",
                lines="/v1/credit_notes/{id}/lines",
            ),
            _resource("products", "", "active", "shippable", "url", permission="product"),
            _resource("prices", "", "active", "currency", "product", "type", permission="plan"),
            _resource("coupons"),
            _resource(
                "balance_transactions", "", "currency", "payout", "source", "type",
                permission="balance_transaction_source", tells=False,
            ),
            _resource("payouts", "", "status", "destination"),
            _resource("events", tells=False),
        )
    }
)  # fmt: skip

_FIELDS = {
    "latest_invoice": "invoices",
    "latest_charge": "charges",
    "default_price": "prices",
    "source": "charges",
    **{resource.object: resource.name for resource in RESOURCES.values()},
}


def refers_to(field: str) -> str | None:
    """Return the resource whose ids a field holds, if it can be expanded."""
    return _FIELDS.get(field)


def deleted(resource: Resource, id_: str) -> Body:
    """Return what is served of a deleted object."""
    return {"id": id_, "object": resource.object, "deleted": True}


def shown(resource: Resource, body: Body, expanded: Iterable[str] = ()) -> Body:
    """Return a record as the API shows it: nested lists with their envelope, and cut.

    Args:
        resource: what it is.
        body: the record.
        expanded: first names of what is to be expanded. Discounts are ids else.
    """
    result = {"id": body["id"], "object": resource.object, **body}
    if DISCOUNTS in body and DISCOUNTS not in expanded:
        result[DISCOUNTS] = [
            one.get("id") if isinstance(one, dict) else one for one in body[DISCOUNTS] or ()
        ]
    for field, url in resource.nested.items():
        if field in body:
            items = nested_items(body, field)
            result[field] = envelope(
                url.format(id=body["id"]), items[:NESTED_ITEMS], has_more=len(items) > NESTED_ITEMS
            )
    return result


def nested_items(body: Body, field: str) -> list[Body]:
    """Return all items of a nested list. Where it is cut, each must have an id to go on from."""
    value = body.get(field) or {}
    items = list(value.get("data", ())) if isinstance(value, dict) else list(value)
    if len(items) <= NESTED_ITEMS:
        return items
    return [
        item if "id" in item else {"id": f"{body['id']}_{field}_{number}", **item}
        for number, item in enumerate(items, start=1)
    ]


def envelope(url: str, data: Iterable[Body], *, has_more: bool) -> dict[str, Any]:
    """Return a list as the API writes it."""
    return {"object": "list", "data": list(data), "has_more": has_more, "url": url}
