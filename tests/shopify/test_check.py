"""The check says what is wrong: each cause has its own message, and none holds the token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from shopify_shop import TOKEN

from crmhouse.errors import ConfigurationError, SyncFailedError
from ingestion.http import Patience
from ingestion.sources.shopify import client
from simulators.shopify.system import SCOPES

if TYPE_CHECKING:
    from shopify_shop import Shop


def test_nothing_is_said_when_all_is_well(shop: Shop) -> None:
    assert shop.connector().check() == []


def test_a_wrong_token_is_named_as_such(shop: Shop) -> None:
    (said,) = shop.connector(access_token="shpat_wrong").check()  # noqa: S106
    assert "401" in said
    assert "access token is not one of this shop" in said
    assert "shpat_wrong" not in said


@pytest.mark.parametrize("scope", ["read_customers", "read_products", "read_orders"])
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
    with pytest.raises(SyncFailedError, match="`crmhouse check` says which"):
        shop.sync(objects=["orders"], bulk_from_rows=1)
    assert shop.raw("id") == []


def test_a_token_that_sees_60_days_of_orders_only_is_told_of(shop: Shop) -> None:
    shop.system.tokens[TOKEN] = SCOPES - {"read_all_orders"}
    (said,) = shop.connector().check()
    assert "orders of the last 60 days only" in said


def test_a_wrong_host_a_closed_port_and_a_wrong_version_differ(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PATIENCE", Patience(5, 5, 1))
    said = [
        shop.connector(url=url).check()[0]
        for url in (
            "http://no-such-shop.invalid",
            "http://127.0.0.1:1",
            shop.url.removesuffix("/shopify") + "/other",
        )
    ]
    assert "host" in said[0]
    assert "nothing listens there" in said[1]
    assert "There is no such shop" in said[2]
    assert len(set(said)) == 3


def test_shop_and_url_exclude_each_other(shop: Shop) -> None:
    with pytest.raises(ConfigurationError, match="either shop or url"):
        shop.connector(shop="demo")
