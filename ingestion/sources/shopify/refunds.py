"""The lines that refunds are for: they are asked for afterwards, of refunded orders alone.

A bulk operation may have no connection in a list, and refunds are a list.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from ingestion.sources.shopify.queries import LINES_AT_ONCE, REFUND_LINES, REFUNDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ingestion.sources.shopify.client import Client
    from ingestion.sources.shopify.mapping import Record

_ORDERS_HELD = 250
_ORDERS_AT_ONCE = 20  # of two refunds each, a query stays below what one may cost


def with_lines(client: Client, orders: Iterable[Record]) -> Iterator[Record]:
    """Yield the orders, their refunds with `refundLineItems`; some hundred are held at once."""
    rest = iter(orders)
    while some := list(islice(rest, _ORDERS_HELD)):
        refunded = [order for order in some if order["refunds"]]
        for start in range(0, len(refunded), _ORDERS_AT_ONCE):
            _complete(client, refunded[start : start + _ORDERS_AT_ONCE])
        yield from some


def _complete(client: Client, orders: Sequence[Record]) -> None:
    """Give the refunds their lines; an order that was deleted meanwhile stays without."""
    answer = client.ask(REFUNDS, {"ids": [order["id"] for order in orders]})
    lines = {
        refund["legacyResourceId"]: _all_of(client, refund)
        for order in answer["nodes"]
        if order
        for refund in order["refunds"]
    }
    for order in orders:
        for refund in order["refunds"]:
            refund["refundLineItems"] = lines.get(refund["legacyResourceId"], [])


def _all_of(client: Client, refund: Record) -> list[Record]:
    found: list[Record] = refund["refundLineItems"]["nodes"]
    following = refund["refundLineItems"]["pageInfo"]
    while following["hasNextPage"]:
        after = {"id": refund["id"], "first": LINES_AT_ONCE, "after": following["endCursor"]}
        node = client.ask(REFUND_LINES, after)["node"]
        if node is None:
            break
        found += node["refundLineItems"]["nodes"]
        following = node["refundLineItems"]["pageInfo"]
    return found
