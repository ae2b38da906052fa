"""Shopify's own library for Python takes the stand-in for the service."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
import shopify
from shopify_shop import TOKEN

from ingestion.sources.shopify.queries import OBJECTS, OPERATION, SHOP, START

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shopify_shop import Shop

DEADLINE_SECONDS = 30


@pytest.fixture
def session(shop: Shop) -> Iterator[Shop]:
    """The library, pointed to the stand-in."""
    shopify.ShopifyResource.set_site(f"{shop.url}/admin/api/2026-07")
    shopify.ShopifyResource.headers["X-Shopify-Access-Token"] = TOKEN
    yield shop
    shopify.ShopifyResource.clear_session()


def execute(text: str, **variables: Any) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(shopify.GraphQL().execute(text, variables))
    assert "errors" not in answer
    assert answer["extensions"]["cost"]["throttleStatus"]["restoreRate"] > 0
    return dict(answer["data"])


@pytest.mark.usefixtures("session")
def test_the_library_reads_the_shop_and_a_page_of_orders() -> None:
    assert execute(SHOP)["shop"]["currencyCode"] == "USD"
    page = execute(OBJECTS["orders"].page, first=2)["orders"]
    assert [node["name"] for node in page["nodes"]] == ["#1", "#2"]
    following = page["pageInfo"]["endCursor"]
    rest = execute(OBJECTS["orders"].page, first=2, after=following)["orders"]
    assert [node["name"] for node in rest["nodes"]] == ["#3"]


@pytest.mark.usefixtures("session")
def test_the_library_runs_a_bulk_operation() -> None:
    begun = execute(START, query=OBJECTS["orders"].bulk)["bulkOperationRunQuery"]
    assert begun["userErrors"] == []
    until = time.monotonic() + DEADLINE_SECONDS
    while True:
        operation = execute(OPERATION, id=begun["bulkOperation"]["id"])["node"]
        if operation["status"] == "COMPLETED" or time.monotonic() > until:
            break
        time.sleep(0.02)
    assert (operation["objectCount"], operation["rootObjectCount"]) == ("6", "3")
    with urllib.request.urlopen(operation["url"]) as file:  # noqa: S310  # our own loopback
        rows = [json.loads(line) for line in file]
    parents = [row.get("__parentId") for row in rows]
    assert parents[:3] == [None] * 3
    assert parents[3:] == [f"gid://shopify/Order/{n}" for n in (1, 2, 3)]
