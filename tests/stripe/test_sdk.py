"""The stand-in, asked by Stripe's own library as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import stripe
from stripe_account import FIRST_SECOND, account, customer, lay_out, stand_in_of, subscription

from simulators.stripe.access import SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stand_in import StandIn


@pytest.fixture
def running(tmp_path: Path) -> Iterator[StandIn]:
    first = {
        "customers": [customer(number) for number in range(250)],
        "subscriptions": [
            subscription(1, items=23), subscription(2), subscription(3, status="canceled"),
        ],
        "invoices": [
            {
                "id": "in_1", "created": FIRST_SECOND, "customer": "cus_000001", "status": "paid",
                "lines": {"data": [{"id": f"il_{n}", "amount": n} for n in range(25)]},
            }
        ],
    }  # fmt: skip
    second = {
        "customers": [customer(1, name="Renamed"), customer(2, deleted=True), customer(300)],
        "subscriptions": [subscription(2, status="canceled")],
    }
    with account(lay_out(tmp_path / "data", first, second), tmp_path) as running:
        yield running


@pytest.fixture
def client(running: StandIn) -> Iterator[stripe.StripeClient]:
    http = stripe.RequestsClient()
    yield stripe.StripeClient(
        SECRET_KEY, base_addresses={"api": f"{running.url}/stripe"}, http_client=http,
        max_network_retries=1,
    )  # fmt: skip
    http.close()


def test_lists_are_paged_by_themselves_newest_first(client: stripe.StripeClient) -> None:
    listed = [*client.v1.customers.list({"limit": 100}).auto_paging_iter()]
    assert len({one.id for one in listed}) == 250
    assert [one.created for one in listed] == sorted((one.created for one in listed), reverse=True)


def test_a_list_can_be_paged_backwards(client: stripe.StripeClient) -> None:
    forwards = [one.id for one in client.v1.customers.list({"limit": 60}).auto_paging_iter()]
    page = client.v1.customers.list({"limit": 60, "ending_before": forwards[-1]})
    assert [one.id for one in page.auto_paging_iter()] == forwards[-2::-1]


def test_lists_are_filtered_by_creation(client: stripe.StripeClient) -> None:
    window = {"gte": FIRST_SECOND + 10, "lt": FIRST_SECOND + 20}
    page = client.v1.customers.list({"created": window, "limit": 100})
    assert {one.id for one in page.data} == {f"cus_{number:06d}" for number in range(20, 40)}


def test_nested_lists_are_cut_and_paged_where_they_say(client: stripe.StripeClient) -> None:
    invoice = client.v1.invoices.retrieve("in_1")
    assert (len(invoice.lines.data), invoice.lines.has_more) == (10, True)
    assert [line.id for line in invoice.lines.auto_paging_iter()] == [f"il_{n}" for n in range(25)]
    items = client.v1.subscription_items.list({"subscription": "sub_000001", "limit": 5})
    assert [item.quantity for item in items.auto_paging_iter()] == [*range(23)]


def test_ended_subscriptions_are_listed_only_when_asked_for(client: stripe.StripeClient) -> None:
    def ids(**query: str) -> list[str]:
        return sorted(one.id for one in client.v1.subscriptions.list(query).data)

    assert ids() == ["sub_000001", "sub_000002"]
    assert ids(status="canceled") == ["sub_000003"]
    assert ids(status="all") == ["sub_000001", "sub_000002", "sub_000003"]


def test_references_are_expanded(client: stripe.StripeClient) -> None:
    invoice = client.v1.invoices.retrieve("in_1", {"expand": ["customer"]})
    assert invoice.customer.email == "c1@example.com"
    page = client.v1.invoices.list({"expand": ["data.customer"]})
    assert page.data[0].customer.name == "Customer 1"
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        client.v1.invoices.retrieve("in_1", {"expand": ["status"]})


def test_a_batch_makes_events(running: StandIn, client: stripe.StripeClient) -> None:
    assert client.v1.events.list().data == []
    running.advance()
    events = [*client.v1.events.list({"limit": 2}).auto_paging_iter()]
    assert [event.type for event in reversed(events)] == [
        "customer.updated", "customer.deleted", "customer.created",
        "customer.subscription.deleted",
    ]  # fmt: skip
    renamed = next(event for event in events if event.type == "customer.updated")
    assert renamed.data.object["name"] == "Renamed"
    assert renamed.data.previous_attributes["name"] == "Customer 1"
    assert renamed.api_version == stripe.api_version
    assert client.v1.events.retrieve(renamed.id).id == renamed.id
    some = client.v1.events.list({"types": ["customer.created", "customer.deleted"]})
    assert len(some.data) == 2
    assert len(client.v1.events.list({"type": "customer.subscription.*"}).data) == 1


def test_a_deleted_object_says_only_that(running: StandIn, client: stripe.StripeClient) -> None:
    running.advance()
    gone = client.v1.customers.retrieve("cus_000002")
    assert gone.to_dict() == {"id": "cus_000002", "object": "customer", "deleted": True}
    listed = {one.id for one in client.v1.customers.list({"limit": 100}).auto_paging_iter()}
    assert "cus_000002" not in listed


def test_errors_are_those_that_the_library_knows(
    running: StandIn, client: stripe.StripeClient
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.v1.customers.retrieve("cus_none")
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    assert missing.value.request_id.startswith("req_")
    with pytest.raises(stripe.InvalidRequestError, match="less than or equal to 100"):
        client.v1.customers.list({"limit": 101})
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter"):
        client.v1.customers.list({"colour": "red"})
    stand_in_of(running).access.keys["rk_test_few"] = frozenset({"rak_invoice_read"})
    few = {"api_key": "rk_test_few"}
    assert client.v1.invoices.list(options=few).data
    with pytest.raises(stripe.PermissionError, match="'rak_customer_read' permission"):
        client.v1.customers.list(options=few)
    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided: sk_test_"):
        client.v1.customers.list(options={"api_key": "sk_test_another_one"})


def test_the_library_waits_where_it_is_too_fast(
    running: StandIn, client: stripe.StripeClient
) -> None:
    running.fault("status", status=429, times=1)
    assert len(client.v1.customers.list().data) == 10
    running.fault("status", status=429)
    with pytest.raises(stripe.RateLimitError) as caught:
        client.v1.customers.list()
    assert caught.value.json_body["error"]["code"] == "rate_limit"
