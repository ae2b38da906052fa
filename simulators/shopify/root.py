"""The entry points of queries: what a shop is, and its records in pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError

from simulators.shopify.paging import cursor_of, page, place_of, size_of
from simulators.shopify.records import customer, event, order, product, refunds, utc, variant
from simulators.shopify.search import sql_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulators.faults import Faults
    from simulators.store import Body, Store, Stored

SYSTEM = "shopify"
_ORDER_DAYS = 60
_ALL_ORDERS = "read_all_orders"
_GID = re.compile(r"gid://shopify/(\w+)/(\d+)")
_ID = "cast(id as integer)"
_NEWEST = "select max(modified) from records where system = ? and object = ?"
_LATE = f"{_ID} % 2 = 1 and modified > ({_NEWEST}) - 30 * 86400000"
_SORTS: Mapping[str, tuple[str, Callable[[Stored], int]]] = {
    "UPDATED_AT": ("modified", lambda record: record.modified),
    "CREATED_AT": ("created", lambda record: record.created),
    "PROCESSED_AT": ("created", lambda record: record.created),
    "ID": (_ID, lambda record: int(record.id)),
}


@dataclass(frozen=True)
class Kind:
    """Records that queries can begin with.

    Attributes:
        object: as the store calls them.
        shown: makes an object of the API of a record.
        scope: what a token needs to see them.
    """

    object: str
    shown: Callable[[Body], Body]
    scope: str


KINDS: Mapping[str, Kind] = {
    "Order": Kind("orders", order, "read_orders"),
    "Customer": Kind("customers", customer, "read_customers"),
    "Product": Kind("products", product, "read_products"),
    "ProductVariant": Kind("variants", variant, "read_products"),
    "BasicEvent": Kind("events", event, "read_products"),
}
_ENTRIES = {
    "orders": "Order", "customers": "Customer", "products": "Product",
    "productVariants": "ProductVariant", "events": "BasicEvent",
}  # fmt: skip


@dataclass
class Asking:
    """What the resolvers of one query know of it.

    Attributes:
        scopes: of the token.
        path: of the request, for faults.
        is_bulk: whether it is a bulk operation, whose pages are its own affair.
        after: cursor from which a bulk operation goes on.
        following: cursor from which it is to go on next; None when it is through.
        first: records of a page of a bulk operation.
    """

    scopes: frozenset[str]
    path: str = ""
    is_bulk: bool = False
    after: str | None = None
    following: str | None = None
    first: int = 500

    def require(self, field_: str, scope: str) -> None:
        """Refuse a field that the token has no scope for."""
        if scope not in self.scopes:
            raise GraphQLError(
                f"Access denied for {field_} field. Required access: `{scope}` access scope.",
                extensions={
                    "code": "ACCESS_DENIED",
                    "documentation": "https://shopify.dev/api/usage/access-scopes",
                    "requiredAccess": f"`{scope}` access scope.",
                },
            )


@dataclass(frozen=True)
class Root:
    """Resolves the fields of the schema's root.

    Attributes:
        store: the records.
        faults: what is to fail.
        shop: the shop itself.
    """

    store: Store
    faults: Faults
    shop: Body

    def fields(self) -> dict[str, Any]:
        """Return a resolver for each entry."""
        found: dict[str, Any] = {
            "shop": lambda info: self.shop,  # noqa: ARG005
            "node": self._node,
            "nodes": lambda info, ids: [self._node(info, id_) for id_ in ids],
            "currentAppInstallation": _installation,
        }
        for name, kind in _ENTRIES.items():
            found[name] = self._connection(name, KINDS[kind])
            found[f"{name}Count"] = self._count(name, KINDS[kind])
        for name in ("Order", "Customer", "Product"):
            found[name.lower()] = self._node
        return found

    def _node(self, info: Any, id: str) -> Body | None:  # noqa: A002, ANN401  # GraphQL's name
        match = _GID.match(id)
        kind, number = match.groups() if match else ("", "")
        if kind == "Refund":
            return self._refund(info, number)
        if kind not in KINDS:
            return None
        info.context.require(info.field_name, KINDS[kind].scope)
        record = self.store.get(SYSTEM, KINDS[kind].object, number)
        return None if record is None or record.deleted else self._shown(KINDS[kind], record)

    def _refund(self, info: Any, number: str) -> Body | None:  # noqa: ANN401
        info.context.require(info.field_name, KINDS["Order"].scope)
        has_it = "exists (select 1 from json_each(body, '$.refunds') where value ->> '$.id' = ?)"
        found = self.store.select(SYSTEM, "orders", f"not deleted and {has_it}", [int(number)])
        made = [refund for one in found for refund in refunds(one.body)]
        return next((one for one in made if one["legacyResourceId"] == number), None)

    def _shown(self, kind: Kind, record: Stored) -> Body:
        shown = kind.shown(record.body)
        if kind.object == "products":
            of_it = ("body ->> '$.product_id' = ?", [record.body["id"]])
            shown["variants"] = self._connection("variants", KINDS["ProductVariant"], of_it)
        return shown

    def _connection(
        self, name: str, kind: Kind, within: tuple[str, list[Any]] = ("true", [])
    ) -> Callable[..., Body]:
        def resolve(info: Any, **args: Any) -> Body:  # noqa: ANN401
            asking = info.context
            asking.require(name, kind.scope)
            is_outer = asking.is_bulk and name in _ENTRIES
            after = asking.after if is_outer else args.get("after")
            size = asking.first if asking.is_bulk else size_of(args.get("first"))
            where, values = self._where(kind, asking, args, within)
            column, place = _SORTS[args.get("sortKey") or "ID"]
            way, sign = ("desc", "<") if args.get("reverse") else ("asc", ">")
            if after:
                where += f" and ({column}, {_ID}) {sign} (?, ?)"
                values = [*values, *place_of(after)]
            rows = self.store.select(
                SYSTEM, kind.object, where, values,
                order=f"{column} {way}, {_ID} {way}", limit=size + 1,
            )  # fmt: skip
            nodes = [
                (cursor_of(place(record), int(record.id)), self._shown(kind, record))
                for record in rows[:size]
            ]
            has_more = len(rows) > size
            if is_outer:
                asking.following = nodes[-1][0] if has_more else None
            shown = page(nodes, has_more=has_more, is_first=not after)
            if has_more and self.faults.take(SYSTEM, asking.path, "duplicate_page"):
                shown["pageInfo"]["endCursor"] = after
            return shown

        return resolve

    def _count(self, name: str, kind: Kind) -> Callable[..., Body]:
        def resolve(info: Any, **args: Any) -> Body:  # noqa: ANN401
            info.context.require(f"{name}Count", kind.scope)
            where, values = self._where(kind, info.context, args, ("true", []))
            count, limit = self.store.count(SYSTEM, kind.object, where, values), args.get("limit")
            is_cut = limit is not None and count > limit
            return {
                "count": limit if is_cut else count,
                "precision": "AT_LEAST" if is_cut else "EXACT",
            }

        return resolve

    def _where(
        self, kind: Kind, asking: Asking, args: dict[str, Any], within: tuple[str, list[Any]]
    ) -> tuple[str, list[Any]]:
        where, values = sql_of(args.get("query"))
        where, values = f"not deleted and {within[0]} and {where}", [*within[1], *values]
        if kind.object == "orders" and _ALL_ORDERS not in asking.scopes:
            oldest = datetime.now(UTC) - timedelta(days=_ORDER_DAYS)
            where, values = f"{where} and created >= ?", [*values, oldest.timestamp() * 1000]
        if self.faults.take(SYSTEM, asking.path, "late_rows"):
            where, values = f"{where} and not ({_LATE})", [*values, SYSTEM, kind.object]
        return where, values


def _installation(info: Any) -> Body:  # noqa: ANN401
    return {
        "id": "gid://shopify/AppInstallation/1",
        "accessScopes": [{"handle": scope} for scope in sorted(info.context.scopes)],
    }


def destroyed(kind: str, record: Stored, number: int) -> Body:
    """Return the event that tells of a deleted record."""
    return {
        "id": number,
        "action": "destroy",
        "created_at": utc(datetime.now(UTC).isoformat()),
        "subject_id": f"gid://shopify/{kind}/{record.id}",
        "subject_type": kind.upper(),
    }
