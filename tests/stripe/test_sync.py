"""What a sync asks for, and what becomes of it when it is cut short or answered badly."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from stripe_account import (
    FIRST_SECOND,
    account,
    alter_checkpoint,
    customer,
    lay_out,
    raw,
    source,
    stand_in_of,
    subscription,
    sync,
)

from crmhouse.errors import SyncFailedError
from ingestion.stream_sync import Asked, Silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stand_in import StandIn

    from crmhouse.warehouse import Warehouse
    from ingestion.runs import SliceRun

LIST, ONE, EVENTS = (
    "GET /stripe/v1/customers",
    "GET /stripe/v1/customers/*",
    "GET /stripe/v1/events",
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[StandIn]:
    """450 customers; then 3 are renamed, one is deleted, and 120 are new."""
    first = [customer(number) for number in range(450)]
    second = [
        *(customer(number, name="Renamed") for number in (0, 200, 449)),
        customer(7, deleted=True),
        *(customer(number) for number in range(1000, 1120)),
    ]
    folder = lay_out(tmp_path / "data", {"customers": first}, {"customers": second})
    with account(folder, tmp_path) as running:
        yield running


def assert_current(warehouse: Warehouse) -> None:
    found = raw(warehouse, "id, name, _deleted_at is not null")
    assert len(found) == 570
    assert [row[0] for row in found if row[1] == "Renamed"] == [
        "cus_000000", "cus_000200", "cus_000449",
    ]  # fmt: skip
    assert [row[0] for row in found if row[2]] == ["cus_000007"]


def test_requests_of_a_first_load_and_of_changes(running: StandIn, warehouse: Warehouse) -> None:
    configured = source(running, "customers")
    sync(warehouse, configured)
    assert running.requests() == {LIST: 5, EVENTS: 2}
    running.advance()
    sync(warehouse, configured)
    # 124 events; two pages of new customers, and four that changed.
    assert running.requests() == {EVENTS: 2, LIST: 2, ONE: 4}
    assert_current(warehouse)


def test_a_sync_without_changes_asks_once_for_the_events_of_all_streams(
    running: StandIn, warehouse: Warehouse
) -> None:
    configured = source(running)
    sync(warehouse, configured)
    running.advance()
    sync(warehouse, configured)
    running.requests()
    runs = sync(warehouse, configured)
    asked = running.requests()
    # The 124 events of the customers are two pages, as long as they are looked at again.
    assert asked == {
        EVENTS: 2,
        "GET /stripe/v1/balance_transactions": 1,
        "GET /stripe/v1/refunds": 1,
    }
    assert sum(run.inserted + run.updated for run in runs) == 0


def test_events_that_were_dealt_with_are_not_followed_again(
    running: StandIn, warehouse: Warehouse
) -> None:
    configured = source(running, "customers", lookback=0)
    sync(warehouse, configured)
    running.advance()
    sync(warehouse, configured)
    time.sleep(1.1)
    for _ in range(2):
        running.requests()
        sync(warehouse, configured)
        assert running.requests() == {EVENTS: 2}


class _Ends(Silent):
    """Ends the process, as it were, after so many slices."""

    def __init__(self, slices: int) -> None:
        self._left = slices

    def landed(self, run: SliceRun) -> None:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt(run.slice)


class _EndsWithin(Silent):
    """Ends the process, as it were, before the slice commits that comes after so many."""

    def __init__(self, slices: int) -> None:
        self._left = slices

    def arrived(self, place: str, records: int, expected: int | None) -> None:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt(place, records, expected)


@pytest.mark.parametrize("ends", [_Ends(2), _EndsWithin(2)], ids=["between slices", "within one"])
def test_a_first_load_that_is_killed_goes_on_where_it_was(
    running: StandIn, warehouse: Warehouse, ends: Silent
) -> None:
    configured = source(running, "customers", batch_rows=100)
    with pytest.raises(KeyboardInterrupt):
        sync(warehouse, configured, listener=ends)
    assert len(raw(warehouse, "id")) == 200
    running.advance()
    running.requests()
    sync(warehouse, configured)
    asked = running.requests()
    assert asked[LIST] == 3 + 2, "three pages of the load, two of the new customers"
    assert_current(warehouse)


def test_a_load_goes_on_although_the_object_it_ended_with_is_gone(
    running: StandIn, warehouse: Warehouse
) -> None:
    configured = source(running, "customers", batch_rows=100)
    with pytest.raises(KeyboardInterrupt):
        sync(warehouse, configured, listener=_Ends(2))
    store = running.simulator.store
    ended_with = raw(warehouse, "id")[0][0]
    store.put("stripe", "customers", [customer(int(ended_with[4:]), deleted=True)])
    sync(warehouse, configured)
    assert len(raw(warehouse, "id")) == 450


def test_changes_that_are_killed_within_are_read_again(
    running: StandIn, warehouse: Warehouse
) -> None:
    configured = source(running, "customers", batch_rows=100)
    sync(warehouse, configured)
    running.advance()
    with pytest.raises(KeyboardInterrupt):
        sync(warehouse, configured, listener=_EndsWithin(0))
    assert len(raw(warehouse, "id")) == 450
    sync(warehouse, configured)
    assert_current(warehouse)


def test_what_changes_while_the_load_is_under_way_is_told_by_events(
    running: StandIn, warehouse: Warehouse
) -> None:
    class Advances(Silent):
        def landed(self, run: SliceRun) -> None:
            if run.slice == "load" and running.simulator.store.batch == 1:
                running.advance()

    sync(warehouse, source(running, "customers", batch_rows=100), listener=Advances())
    assert_current(warehouse)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 429, "retry_after": 0.01},
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 409, "code": "lock_timeout"},
        {"kind": "reset"},
        {"kind": "truncate"},
    ],
    ids=lambda fault: f"{fault['kind']} {fault.get('status', '')}",
)
def test_faults_of_a_tenth_of_the_requests_change_nothing(
    running: StandIn, warehouse: Warehouse, fault: dict[str, Any]
) -> None:
    running.fault(share=0.1, **fault)
    configured = source(running, "customers", batch_rows=50)
    sync(warehouse, configured)
    running.advance()
    sync(warehouse, configured)
    sync(warehouse, configured)
    assert running.simulator.faults.shown.total() > 0
    assert_current(warehouse)


def test_a_page_that_comes_twice_loses_nothing(running: StandIn, warehouse: Warehouse) -> None:
    running.fault("duplicate_page", share=0.5, path="customers")
    sync(warehouse, source(running, "customers"))
    assert running.simulator.faults.shown.total() > 0
    assert len(raw(warehouse, "id")) == 450


def test_a_list_that_never_ends_is_given_up(running: StandIn, warehouse: Warehouse) -> None:
    running.fault("duplicate_page", path="customers")
    with pytest.raises(SyncFailedError, match="gave the same page 5 times"):
        sync(warehouse, source(running, "customers"))


def test_an_account_with_a_low_limit_is_read_to_the_end(
    running: StandIn, warehouse: Warehouse
) -> None:
    stand_in_of(running).access.per_second = 5
    sync(warehouse, source(running, "customers"))
    assert len(raw(warehouse, "id")) == 450


def test_a_full_refresh_finds_what_is_gone(running: StandIn, warehouse: Warehouse) -> None:
    configured = source(running, "customers")
    sync(warehouse, configured)
    gone = customer(5, deleted=True)
    running.simulator.store.put("stripe", "customers", [gone])
    sync(warehouse, configured)
    assert len([row for row in raw(warehouse, "_deleted_at") if row[0] is None]) == 450
    (run,) = sync(warehouse, configured, asked=Asked(everything=True))
    assert run.missing == 1
    sync(warehouse, configured)
    assert [row for row in raw(warehouse, "id, _deleted_at is not null") if row[1]] == [
        ("cus_000005", True)
    ]


# A slice ends with a full second, so it has a hundred objects and one or two: two batches.
@pytest.mark.parametrize("ends", [_Ends(2), _EndsWithin(4)], ids=["between slices", "within one"])
def test_a_pass_over_all_objects_that_is_killed_goes_on_where_it_was(
    running: StandIn, warehouse: Warehouse, ends: Silent
) -> None:
    configured = source(running, "customers", batch_rows=100)
    sync(warehouse, configured)
    store = running.simulator.store
    gone = (449, 448, 300, 299, 298, 200, 101, 100, 1, 0)
    store.put("stripe", "customers", [customer(number, deleted=True) for number in gone])
    store.put("stripe", "customers", [customer(n, name="Untold") for n in (5, 250, 447)])
    alter_checkpoint(warehouse, "customers", "changes", passed_at=0)
    with pytest.raises(KeyboardInterrupt):
        sync(warehouse, configured, listener=ends)
    assert [row[0] for row in dead(warehouse)] == ["cus_000298", "cus_000299", "cus_000300",
                                                   "cus_000448", "cus_000449"]  # fmt: skip
    running.requests()
    runs = sync(warehouse, configured)
    assert {run.slice for run in runs} == {"pass"}
    assert running.requests() == {LIST: 3 + 2}, "three pages are left; two slices end within one"
    assert [row[0] for row in dead(warehouse)] == [f"cus_{n:06d}" for n in sorted(gone)]
    assert [row[0] for row in raw(warehouse, "id, name") if row[1] == "Untold"] == [
        "cus_000005", "cus_000250", "cus_000447",
    ]  # fmt: skip
    assert {run.slice for run in sync(warehouse, configured)} == {"changes"}


def test_a_pass_that_finds_far_fewer_objects_ends_before_it_has_buried_them(
    running: StandIn, warehouse: Warehouse
) -> None:
    configured = source(running, "customers", batch_rows=100)
    sync(warehouse, configured)
    store = running.simulator.store
    store.put("stripe", "customers", [customer(n, deleted=True) for n in range(300)])
    alter_checkpoint(warehouse, "customers", "changes", passed_at=0)
    with pytest.raises(SyncFailedError, match="the source has 150 records, raw holds 450"):
        sync(warehouse, configured)
    assert dead(warehouse) == []


def dead(warehouse: Warehouse) -> list[Any]:
    return [row for row in raw(warehouse, "id, _deleted_at") if row[1]]


def test_balance_transactions_that_become_available_are_read_again(
    tmp_path: Path, warehouse: Warehouse
) -> None:
    def transaction(status: str) -> dict[str, Any]:
        return {"id": "txn_1", "created": FIRST_SECOND, "amount": 5, "status": status}

    batches = ({"balance_transactions": [transaction(s)]} for s in ("pending", "available"))
    with account(lay_out(tmp_path / "data", *batches), tmp_path) as running:
        configured = source(running, "balance_transactions", reread_days=20_000)
        sync(warehouse, configured)
        running.advance()
        sync(warehouse, configured)
    assert raw(warehouse, "status", "balance_transactions") == [("available",)]


def test_a_secret_of_a_payment_is_not_landed(tmp_path: Path, warehouse: Warehouse) -> None:
    intent = {"id": "pi_1", "created": FIRST_SECOND, "amount": 5, "client_secret": "pi_1_secret_x"}
    with account(lay_out(tmp_path / "data", {"payment_intents": [intent]}), tmp_path) as running:
        sync(warehouse, source(running, "payment_intents"))
    assert (
        "secret" not in raw(warehouse, "to_jsonb(payment_intents)::text", "payment_intents")[0][0]
    )


def test_a_window_of_creation_is_read(tmp_path: Path, warehouse: Warehouse) -> None:
    subscriptions = [subscription(number, status="canceled") for number in range(20)]
    with account(lay_out(tmp_path / "data", {"subscriptions": subscriptions}), tmp_path) as running:
        start, end = (datetime.fromtimestamp(FIRST_SECOND + n, UTC) for n in (5, 8))
        sync(warehouse, source(running, "subscriptions"), asked=Asked(window=(start, end)))
    assert [row[0] for row in raw(warehouse, "id", "subscriptions")] == [
        "sub_000005", "sub_000006", "sub_000007",
    ]  # fmt: skip
