"""The check says what is wrong: each cause has its own message, and none holds the token."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from shopify_shop import TOKEN

from crmhouse.errors import ConfigurationError, SourceRefusedError, SyncFailedError
from ingestion.sources.shopify.bulk import begin, wait
from ingestion.sources.shopify.queries import OBJECTS
from simulators.shopify.system import SCOPES

if TYPE_CHECKING:
    from shopify_shop import Shop


@pytest.mark.parametrize("scope", ["read_products", "read_orders"])
def test_a_missing_scope_is_named(shop: Shop, scope: str) -> None:
    shop.system.tokens[TOKEN] = SCOPES - {scope}
    (said,) = shop.connector().check()
    assert f"lacks the scope {scope}. Add it" in said


def test_a_scope_to_write_includes_that_to_read(shop: Shop) -> None:
    shop.system.tokens[TOKEN] = SCOPES - {"read_orders"} | {"write_orders"}
    assert shop.connector().check() == []


def test_a_missing_scope_fails_its_streams_and_is_named(shop: Shop) -> None:
    shop.system.tokens[TOKEN] = SCOPES - {"read_customers"}
    with pytest.raises(SyncFailedError) as caught:
        shop.sync()
    assert "lacks the scope read_customers: add it" in str(caught.value)


@pytest.mark.parametrize("scope", ["read_customers", "read_products"])
def test_a_scope_that_a_field_of_an_order_needs_is_named(shop: Shop, scope: str) -> None:
    shop.system.tokens[TOKEN] = SCOPES - {scope}
    with pytest.raises(SyncFailedError, match=f"lacks the scope {scope}"):
        shop.sync(objects=["orders"])
    with (
        closing(shop.connector().client) as client,
        pytest.raises(SourceRefusedError, match="`crmhouse check` says which"),
    ):
        wait(client, begin(client, OBJECTS["orders"].bulk))


def test_a_token_that_sees_60_days_of_orders_only_is_told_of(shop: Shop) -> None:
    shop.system.tokens[TOKEN] = SCOPES - {"read_all_orders"}
    (said,) = shop.connector().check()
    assert "orders of the last 60 days only" in said


def test_a_shop_that_does_not_exist_and_a_closed_port_differ(shop: Shop) -> None:
    said = [
        shop.connector(url=url).check()[0]
        for url in ("http://no-such-shop.invalid", "http://127.0.0.1:1")
    ]
    assert "host" in said[0]
    assert "nothing listens there" in said[1]


def test_shop_and_url_exclude_each_other(shop: Shop) -> None:
    with pytest.raises(ConfigurationError, match="either shop or url"):
        shop.connector(shop="demo")
