"""Resources: where a stream's objects are in the API, and which events tell of them."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Resource:
    """A list of the API.

    Attributes:
        name: of the stream, and in the path.
        object: what its objects call themselves, and the field of others that refer to one.
        events: types of the events that tell of a change; a single one may end in `*`. Without
            any, changes make no events.
        asked: of the list, beside paging.
        expanded: fields that are objects only where they are asked for; ids else.
        may_come_silently: whether an object may be created without an event.
    """

    name: str
    object: str
    events: tuple[str, ...]
    asked: Mapping[str, str]
    expanded: tuple[str, ...]
    may_come_silently: bool

    @property
    def path(self) -> str:
        """Return the path of the list."""
        return f"v1/{self.name}"

    @property
    def query(self) -> dict[str, Any]:
        """Return the query of the list, beside paging."""
        expand = {"expand[]": [f"data.{name}" for name in self.expanded]} if self.expanded else {}
        return {**self.asked, **expand}

    @property
    def query_of_one(self) -> dict[str, Any]:
        """Return the query of a single object."""
        return {"expand[]": [*self.expanded]} if self.expanded else {}


def _resource(
    name: str,
    *events: str,
    expanded: tuple[str, ...] = (),
    may_come_silently: bool = False,
    **asked: str,
) -> Resource:
    return Resource(name, name.removesuffix("s"), events, asked, expanded, may_come_silently)


def _each(prefix: str, *verbs: str) -> tuple[str, ...]:
    return tuple(f"{prefix}.{verb}" for verb in verbs)


_DISCOUNTS = _each("customer.discount", "created", "updated", "deleted")

# Before version 2024-10-28.acacia there is no event `refund.created` for the refund of a charge.
# A discount that comes or goes changes what shows it; a dispute or a refund changes its charge.
RESOURCES: Mapping[str, Resource] = MappingProxyType(
    {
        resource.name: resource
        for resource in (
            _resource(
                "customers", *_each("customer", "created", "updated", "deleted"), *_DISCOUNTS
            ),
            _resource(
                "subscriptions",
                *_each(
                    "customer.subscription", "created", "updated", "deleted", "paused", "resumed",
                    "pending_update_applied", "pending_update_expired", "trial_will_end",
                ),
                *_DISCOUNTS,
                expanded=("discounts",),
                status="all",
            ),
            _resource("invoices", "invoice.*"),
            _resource("charges", "charge.*"),
            _resource("payment_intents", "payment_intent.*"),
            _resource(
                "refunds",
                *_each("refund", "created", "updated", "failed"),
                "charge.refund.updated",
                may_come_silently=True,
            ),
            _resource("disputes", "charge.dispute.*"),
            _resource("credit_notes", "credit_note.*"),
            _resource("products", "product.*"),
            _resource("prices", "price.*"),
            _resource("coupons", *_each("coupon", "created", "updated", "deleted"), *_DISCOUNTS),
            _resource("balance_transactions"),
            _resource("payouts", "payout.*"),
        )
    }
)  # fmt: skip
