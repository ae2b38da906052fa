"""What the stand-in answers where Stripe's library does not show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from stripe_account import FIRST_SECOND, account, customer, lay_out, stand_in_of, subscription

from simulators.stripe.access import SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stand_in import StandIn


@pytest.fixture
def running(tmp_path: Path) -> Iterator[StandIn]:
    bare = {"id": "sub_bare", "created": FIRST_SECOND, "status": "active"}
    items = {"data": [{"quantity": n} for n in range(12)]}
    first = {
        "customers": [customer(number) for number in range(8)],
        "subscriptions": [{**bare, "items": items}, subscription(1)],
        "prices": [{"id": "price_1", "created": FIRST_SECOND, "active": True, "product": "prod_1"}],
    }
    second = {"customers": [customer(1, name="New")]}
    with account(lay_out(tmp_path / "data", first, second), tmp_path) as running:
        yield running


def get(running: StandIn, path: str, **query: Any) -> httpx.Response:
    return httpx.get(f"{running.url}/stripe/v1/{path}", params=query, auth=(SECRET_KEY, ""))


def ids(running: StandIn, path: str, **query: Any) -> list[str]:
    return [one["id"] for one in get(running, path, **query).raise_for_status().json()["data"]]


def test_the_key_is_the_user_of_basic_authentication_or_a_bearer(running: StandIn) -> None:
    url = f"{running.url}/stripe/v1/customers"
    for header, status in {
        f"Bearer {SECRET_KEY}": 200,
        "Bearer sk_test_other": 401,
        "Basic !!": 401,
        "": 401,
    }.items():
        answer = httpx.get(url, headers={"Authorization": header})
        assert answer.status_code == status, header
        assert answer.headers["Request-Id"].startswith("req_")
    assert get(running, "customers").status_code == 200


def test_the_version_that_was_asked_for_is_that_of_the_events(running: StandIn) -> None:
    version = {"Stripe-Version": "2026-01-28.clover"}
    url = f"{running.url}/stripe/v1/customers"
    answer = httpx.get(url, headers=version, auth=(SECRET_KEY, ""))
    assert answer.headers["Stripe-Version"] == "2026-01-28.clover"
    running.advance()
    (event,) = get(running, "events").json()["data"]
    assert event["api_version"] == "2026-01-28.clover"
    wrong = httpx.get(url, headers={"Stripe-Version": "new"}, auth=(SECRET_KEY, ""))
    assert (wrong.status_code, "Invalid Stripe API version" in wrong.text) == (400, True)


def test_of_equal_seconds_the_order_is_fixed_across_pages(running: StandIn) -> None:
    whole = ids(running, "customers", limit=100)
    assert whole == [f"cus_{number:06d}" for number in reversed(range(8))]
    walked, after = [], {}
    while page := ids(running, "customers", limit=3, **after):
        walked += page
        after = {"starting_after": page[-1]}
    assert walked == whole
    assert ids(running, "customers", limit=2, ending_before=whole[4]) == whole[2:4]


@pytest.mark.parametrize(
    ("query", "found"),
    [({"gt": 1}, 4), ({"gte": 1}, 6), ({"lt": 1}, 2), ({"lte": 1}, 4), ({"gte": 1, "lt": 3}, 4)],
    ids=str,
)
def test_bounds_of_creation(running: StandIn, query: dict[str, int], found: int) -> None:
    bounds = {f"created[{name}]": FIRST_SECOND + second for name, second in query.items()}
    assert len(ids(running, "customers", **bounds)) == found
    assert len(ids(running, "customers", created=FIRST_SECOND + 1)) == 2


def test_fields_that_can_be_asked_for(running: StandIn) -> None:
    assert ids(running, "customers", email="c3@example.com") == ["cus_000003"]
    assert ids(running, "prices", active="true") == ["price_1"]
    assert ids(running, "prices", active="false") == []
    assert ids(running, "subscriptions", customer="cus_000001") == ["sub_000001"]


def test_a_bare_record_is_served_as_it_is_with_the_envelopes_of_its_lists(running: StandIn) -> None:
    found = get(running, "subscriptions/sub_bare").json()
    assert found["object"] == "subscription"
    items = found.pop("items")
    assert (items["object"], items["has_more"], len(items["data"])) == ("list", True, 10)
    rest = httpx.get(
        f"{running.url}/stripe{items['url']}&starting_after={items['data'][-1]['id']}",
        auth=(SECRET_KEY, ""),
    ).json()
    assert [item["quantity"] for item in rest["data"]] == [10, 11]
    assert rest["has_more"] is False
    short = get(running, "subscriptions/sub_000001").json()["items"]
    assert (short["has_more"], len(short["data"])) == (False, 1)


@pytest.mark.parametrize(
    ("path", "query", "status", "code", "param"),
    [
        ("customers", {"limit": "0"}, 400, "parameter_invalid_integer", "limit"),
        ("customers", {"limit": "x"}, 400, "parameter_invalid_integer", "limit"),
        ("customers", {"created[before]": 1}, 400, "parameter_invalid_integer", "created"),
        ("customers", {"type": "a"}, 400, "parameter_unknown", "type"),
        ("customers", {"starting_after": "x"}, 400, "resource_missing", "starting_after"),
        ("customers", {"starting_after": "x", "ending_before": "y"}, 400, None, "ending_before"),
        ("customers", {"expand[]": "data.a.b.c.d.e"}, 400, None, "expand"),
        ("events", {"types[]": ["a"] * 21}, 400, None, "types"),
        ("subscription_items", {}, 400, "parameter_missing", "subscription"),
        ("invoices/in_none/lines", {}, 404, "resource_missing", "id"),
        ("nothing", {}, 404, None, None),
    ],
)
def test_errors_say_which_parameter_is_wrong(
    running: StandIn,
    path: str,
    query: dict[str, Any],
    status: int,
    code: str | None,
    param: str | None,
) -> None:
    answer = get(running, path, **query)
    error = answer.json()["error"]
    assert (answer.status_code, error.get("code"), error.get("param")) == (status, code, param)
    assert error["type"] == "invalid_request_error"
    assert error["message"]


def test_who_asks_too_fast_is_told_to_come_again(running: StandIn) -> None:
    stand_in_of(running).access.per_second = 2
    answers = [get(running, "customers") for _ in range(8)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert refused[0].json()["error"]["code"] == "rate_limit"
    assert refused[0].headers["Stripe-Should-Retry"] == "true"


def test_events_of_the_folder_are_kept_until_thirty_days_after_the_newest(
    tmp_path: Path,
) -> None:
    def event(number: int, days: float, kind: str = "customer.created") -> dict[str, Any]:
        created = FIRST_SECOND + int(days * 24 * 3600)
        shown = {"object": customer(number)}
        return {"id": f"evt_{number}", "created": created, "type": kind, "data": shown}

    first = [event(1, 0), event(2, 1), event(3, 30.5, "charge.failed")]
    second = [event(4, 50, "charge.failed")]
    folder = lay_out(
        tmp_path / "data",
        {"events": first, "customers": [customer(1)]},
        {"events": second, "customers": [customer(1, name="New")]},
    )
    with account(folder, tmp_path) as running:
        assert ids(running, "events") == ["evt_3", "evt_2"]
        assert ids(running, "events", limit=1, starting_after="evt_3") == ["evt_2"]
        assert ids(running, "events", type="charge.*") == ["evt_3"]
        assert get(running, "events/evt_2").json()["data"]["object"]["id"] == "cus_000002"
        assert get(running, "events/evt_1").status_code == 404
        running.advance()
        made, *rest = ids(running, "events")
        assert rest == ["evt_4", "evt_3"]
        assert get(running, f"events/{made}").json()["type"] == "customer.updated"
        running.fault("events_expired", times=1)
        assert ids(running, "events") == []
        assert get(running, "events/evt_4").status_code == 404


def test_events_that_expired_are_gone(running: StandIn) -> None:
    running.advance()
    (id_,) = ids(running, "events")
    assert get(running, f"events/{id_}").status_code == 200
    running.fault("events_expired", times=1)
    assert ids(running, "events") == []
    assert get(running, f"events/{id_}").status_code == 404
    assert get(running, "events", starting_after=id_).status_code == 400
