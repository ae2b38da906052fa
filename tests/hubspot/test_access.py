"""What keeps an account from being read: keys, scopes, hosts, limits."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from hubspot_account import UNLIMITED, record

from crmhouse.errors import QuotaExhaustedError, SyncFailedError
from simulators.hubspot import (
    CLIENT_ID,
    CLIENT_SECRET,
    CONTACTS_ONLY_TOKEN,
    REFRESH_TOKEN,
    Limits,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hubspot_account import Account

    Of = Callable[..., Account]

OAUTH = {
    "token": None, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
    "refresh_token": REFRESH_TOKEN,
}  # fmt: skip
MANY = [record(n) for n in range(1, 1001)]


def test_an_account_that_can_be_read_has_no_problems(of: Of) -> None:
    assert of({"contacts": MANY[:1]}).check(**OAUTH) == []


def test_each_scope_that_is_missing_is_told_and_what_else_may_be_wrong(of: Of) -> None:
    made = of({"contacts": MANY[:1]})
    scopes = made.check(token=CONTACTS_ONLY_TOKEN, objects=["contacts", "deals"], associations=[])
    assert [("owners" in one, "deals" in one) for one in scopes] == [
        (False, True), (True, False), (False, True),
    ]  # fmt: skip
    assert "crm.objects.deals.read" in scopes[0]
    [secret] = made.check(**{**OAUTH, "client_secret": "wrong"})
    assert "client_secret" in secret
    [nobody] = made.check(url="http://crm.acme.invalid")
    assert "host" in nobody
    [unknown] = made.check(objects=["p1_cars"])[:1]
    assert "answered 400" in unknown
    for one in [*scopes, secret, nobody, unknown]:
        assert "pat-na1" not in one
        assert REFRESH_TOKEN not in one


def test_a_token_that_expires_is_fetched_anew_in_the_middle(of: Of) -> None:
    made = of({"contacts": MANY})
    made.running.fault("token_expired", path="objects", times=1)
    made.sync(**OAUTH)
    assert len(made.alive()) == 1000
    assert made.running.requests()["POST /hubspot/oauth/v1/token"] == 2


def test_a_quota_that_is_hit_is_not_reported_as_success(of: Of) -> None:
    # https://github.com/airbytehq/airbyte/issues/8690
    made = of({"contacts": MANY})
    made.service.access.limits = Limits(1_000_000, 1_000_000, daily=6)
    with pytest.raises(SyncFailedError, match="429 RATE_LIMITS DAILY") as ended:
        made.sync(slice_rows=200)
    assert [type(cause) for cause in ended.value.causes] == [QuotaExhaustedError]
    assert len(made.alive()) == 400
    made.service.access.limits = UNLIMITED
    made.running.requests()
    made.sync(slice_rows=200)
    assert made.alive() == [*range(1, 1001)]
    assert made.running.requests()["GET /hubspot/crm/v3/objects/contacts"] == 6 + 1


def test_the_limits_of_an_account_are_kept_to(of: Of, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    made = of({"contacts": MANY})
    made.service.access.limits = Limits(ten_seconds=190, search=5, daily=1000)
    made.sync(requests_per_10_seconds=190, searches_per_second=4)
    made.sync(requests_per_10_seconds=190, searches_per_second=4, window_rows=400)
    assert len(made.alive()) == 1000
    assert "429" not in caplog.text


def test_who_asks_too_fast_waits_as_long_as_it_is_told(of: Of) -> None:
    made = of({"contacts": MANY})
    made.service.access.limits = Limits(1_000_000, search=2, daily=1_000_000)
    made.sync()
    made.sync(lookback=1e6)
    assert len(made.alive()) == 1000


def test_many_custom_properties_make_no_url_too_long(of: Of) -> None:
    # https://github.com/airbytehq/airbyte/issues/14024
    wide = {f"a_property_with_quite_a_long_name_{n:04d}": str(n) for n in range(500)}
    made = of({"contacts": [record(n, **wide) for n in range(1, 251)]})
    made.sync()
    assert made.running.requests()["POST /hubspot/crm/v3/objects/contacts/batch/read"] == 3
    last = "property_a_property_with_quite_a_long_name_0499"
    assert made.raw(f"count({last}), min({last})") == [(250, "499")]


@pytest.mark.parametrize("by_search", [False, True])
def test_properties_are_read_with_their_history_on_request(of: Of, *, by_search: bool) -> None:
    made = of({"contacts": [record(n, lifecyclestage="lead") for n in range(1, 131)]})
    speed = {"searches_per_second": 1e9} if by_search else {}
    made.sync(properties_with_history={"contacts": ["lifecyclestage"]}, **speed)
    asked = made.running.requests()
    assert asked["POST /hubspot/crm/v3/objects/contacts/batch/read"] == 3
    value = "properties_with_history -> 'lifecyclestage' -> 0 ->> 'value'"
    assert made.raw(f"count(*), min({value}), min(property_email)") == [
        (130, "lead", "100@acme.example")
    ]


def test_custom_objects_are_streams_on_request(of: Of) -> None:
    schema = {"id": "2-55", "name": "cars", "fullyQualifiedName": "p1_cars"}
    made = of({"schemas": [schema], "cars": [record(n, wheels="4") for n in (1, 2)]})
    named = {"custom_objects": True, "streams": ["p1_cars"]}
    made.sync(**named)
    assert made.raw("id, property_wheels", "p1_cars") == [("1", "4"), ("2", "4")]
    made.sync(objects=["2-55"], streams=["2-55"])
    assert made.raw("count(*)", '"2-55"') == [(2,)]
