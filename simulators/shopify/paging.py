"""Connections: lists in pages, whose cursors say after which record the next one begins."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simulators.store import Body

MOST = 250
"""Records that a page may have."""


def cursor_of(*place: Any) -> str:  # noqa: ANN401
    """Write a cursor."""
    return base64.b64encode(json.dumps(place).encode()).decode()


def place_of(cursor: str) -> list[Any]:
    """Read a cursor.

    Raises:
        GraphQLError: it is none.
    """
    try:
        place: list[Any] = json.loads(base64.b64decode(cursor, validate=True))
    except (binascii.Error, ValueError):
        raise GraphQLError(f"Invalid cursor for current pagination sort: {cursor}.") from None
    return place


def size_of(first: int | None) -> int:
    """Return how many records a page has.

    Raises:
        GraphQLError: there is no number, or it is above what is allowed.
    """
    if first is None:
        raise GraphQLError("you must provide one of first or last")
    if not 0 < first <= MOST:
        raise GraphQLError(f"first must be between 1 and {MOST}")
    return first


def page(nodes: Sequence[tuple[str, Body]], *, has_more: bool, is_first: bool) -> Body:
    """Return a connection of records with their cursors."""
    edges = [{"cursor": cursor, "node": node} for cursor, node in nodes]
    return {
        "edges": edges,
        "nodes": [node for _, node in nodes],
        "pageInfo": {
            "startCursor": nodes[0][0] if nodes else None,
            "endCursor": nodes[-1][0] if nodes else None,
            "hasNextPage": has_more,
            "hasPreviousPage": not is_first,
        },
    }


def listed(items: Sequence[Body]) -> Callable[..., Body]:
    """Return the resolver of a connection over a list that is in memory."""

    def resolve(info: Any, **args: Any) -> Body:  # noqa: ANN401
        is_bulk = info.context.is_bulk
        ordered = list(items)[::-1] if args.get("reverse") else list(items)
        size = len(ordered) if is_bulk else size_of(args.get("first"))
        start = int(place_of(args["after"])[0]) + 1 if args.get("after") else 0
        some = ordered[start : start + size]
        nodes = [(cursor_of(start + number), node) for number, node in enumerate(some)]
        return page(nodes, has_more=start + size < len(ordered), is_first=start == 0)

    return resolve
