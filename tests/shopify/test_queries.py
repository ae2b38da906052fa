"""What is sent is valid GraphQL of Shopify's schema, and a client that is not ours agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from gql import Client, gql
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXTransport
from graphql import build_schema, parse, validate
from shopify_shop import TOKEN, order

from ingestion.sources.shopify.queries import LINES, OBJECTS, SHOP, START, documents
from simulators.shopify.system import SCHEMA_FILE

if TYPE_CHECKING:
    from shopify_shop import Shop

SCHEMA = build_schema(SCHEMA_FILE.read_text(encoding="utf-8"))
CANCEL = """
mutation Cancel($id: ID!) {
  bulkOperationCancel(id: $id) { bulkOperation { status } userErrors { message } }
}
"""


def client(shop: Shop, token: str = TOKEN) -> Client:
    url = f"{shop.url}/admin/api/2026-07/graphql.json"
    headers = {"X-Shopify-Access-Token": token}
    return Client(transport=HTTPXTransport(url=url, headers=headers), schema=SCHEMA)


def ask(shop: Shop, text: str, token: str = TOKEN, **variables: Any) -> dict[str, Any]:
    query = gql(text)
    query.variable_values = variables
    with client(shop, token) as session:
        return dict(session.execute(query))


@pytest.mark.parametrize("text", [*documents()])
def test_every_query_is_valid(text: str) -> None:
    assert validate(SCHEMA, parse(text)) == []


def test_a_bulk_operation_has_no_connection_in_a_list_and_at_most_five_of_them() -> None:
    for asked in OBJECTS.values():
        assert asked.bulk.count("edges") <= 5
        assert "pageInfo" not in asked.bulk
        assert "refunds { legacyResourceId createdAt totalRefundedSet" in OBJECTS["orders"].bulk


@pytest.mark.parametrize("name", ["customers", "orders", "products", "variants"])
def test_a_foreign_client_reads_pages_with_our_queries(shop: Shop, name: str) -> None:
    asked = OBJECTS[name]
    told = ask(shop, asked.page, first=2)
    page = told[asked.field]
    assert len(page["nodes"]) == (2 if name == "orders" else 0)
    assert page["pageInfo"]["hasNextPage"] is (name == "orders")
    assert told[f"{asked.field}Count"] == {"count": 3 if name == "orders" else 0}


def test_a_foreign_client_reads_the_shop_and_the_lines_of_an_order(shop: Shop) -> None:
    assert ask(shop, SHOP)["shop"] == {"ianaTimezone": "America/New_York", "currencyCode": "USD"}
    lines = ask(shop, LINES, id="gid://shopify/Order/1", first=5)["node"]["lineItems"]["nodes"]
    assert [one["id"] for one in lines] == ["gid://shopify/LineItem/100"]


def test_a_filter_bounds_the_time_of_change_and_a_cursor_goes_on(shop: Shop) -> None:
    shop.put("orders", order(4, "2026-03-01T00:00:00Z"))
    wanted = "updated_at:>='2026-02-01T17:02:00Z' AND updated_at:<'2026-03-01T00:00:00Z'"
    query = OBJECTS["orders"].page
    first = ask(shop, query, first=1, query=wanted)["orders"]
    rest = ask(shop, query, first=5, query=wanted, after=first["pageInfo"]["endCursor"])["orders"]
    assert [node["name"] for node in (*first["nodes"], *rest["nodes"])] == ["#2", "#3"]
    assert not rest["pageInfo"]["hasNextPage"]


def test_a_page_of_more_than_250_is_refused(shop: Shop) -> None:
    with pytest.raises(TransportQueryError, match="between 1 and 250"):
        ask(shop, OBJECTS["customers"].keys, first=251)


def test_a_wrong_token_is_answered_with_401(shop: Shop) -> None:
    url = f"{shop.url}/admin/api/2026-07/graphql.json"
    answer = httpx.post(url, json={"query": SHOP}, headers={"X-Shopify-Access-Token": "other"})
    assert answer.status_code == 401
    assert "Invalid API key or access token" in answer.json()["errors"]


def test_a_bulk_operation_with_a_connection_in_a_list_is_refused(shop: Shop) -> None:
    nested = "refunds { refundLineItems(first: 1) { nodes { quantity } } }"
    query = f"{{ orders {{ edges {{ node {{ id {nested} }} }} }} }}"
    told = ask(shop, START, query=query)["bulkOperationRunQuery"]
    assert told["bulkOperation"] is None
    assert "within a list" in told["userErrors"][0]["message"]


def test_a_bulk_operation_is_refused_while_one_is_under_way(shop: Shop) -> None:
    shop.stand_in.fault("bulk_slow", seconds=1)
    first, second = (
        ask(shop, START, query=OBJECTS["orders"].bulk)["bulkOperationRunQuery"] for _ in range(2)
    )
    assert first["userErrors"] == []
    assert second["bulkOperation"] is None
    assert second["userErrors"][0]["code"] == "OPERATION_IN_PROGRESS"
    cancelled = ask(shop, CANCEL, id=first["bulkOperation"]["id"])["bulkOperationCancel"]
    assert cancelled["bulkOperation"]["status"] == "CANCELING"
