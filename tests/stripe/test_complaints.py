"""What users of other connectors lost, and ours must not; each named after the complaint."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from landing_records import fetch
from stripe_account import (
    FIRST_SECOND,
    QUICK,
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

from crmhouse.errors import QuotaExhaustedError, SyncFailedError
from ingestion.sources.stripe import connector
from ingestion.stream_sync import Silent

if TYPE_CHECKING:
    from pathlib import Path

    from crmhouse.warehouse import Warehouse
    from ingestion.runs import SliceRun

LIST, EVENTS = "GET /stripe/v1/customers", "GET /stripe/v1/events"


def test_updates_are_not_missed_in_incremental_syncs(warehouse: Warehouse, tmp_path: Path) -> None:
    old = {"charges": [charge(n) for n in range(30)]}
    new = {"charges": [charge(3, amount_refunded=40), charge(4, refunded=True)]}
    with account(lay_out(tmp_path / "data", old, new), tmp_path) as running:
        configured = source(running, "charges")
        sync(warehouse, configured)
        running.advance()
        sync(warehouse, configured)
    changed = [
        row for row in raw(warehouse, "id, amount_refunded, refunded", "charges") if any(row[1:])
    ]
    assert changed == [("ch_0003", 40, False), ("ch_0004", 0, True)]


def test_child_objects_are_neither_cut_nor_reloaded_whole(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    first = {"subscriptions": [subscription(n, items=n) for n in (1, 10, 11, 135)]}
    second = {"subscriptions": [subscription(11, items=12)]}
    with account(lay_out(tmp_path / "data", first, second), tmp_path) as running:
        configured = source(running, "subscriptions")
        sync(warehouse, configured)
        items = "GET /stripe/v1/subscription_items"
        assert running.requests()[items] == 1 + 2, "only of those that are cut"
        running.advance()
        sync(warehouse, configured)
        assert running.requests()[items] == 1
    quantities = "jsonb_path_query_array(items, '$.data[*].quantity'), items - 'data'"
    found = raw(warehouse, quantities, "subscriptions")
    assert found == [([*range(count)], {}) for count in (1, 10, 12, 135)]


def test_what_changes_with_another_object_is_read_again(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    """A discount changes customer and subscription, a dispute its charge."""
    objects = {
        "customers": [customer(1)], "subscriptions": [subscription(1)], "charges": [charge(1)],
    }  # fmt: skip
    with account(lay_out(tmp_path / "data", objects), tmp_path) as running:
        configured = source(running, "customers", "subscriptions", "charges")
        sync(warehouse, configured)
        store, events = running.simulator.store, stand_in_of(running).events
        discount = {"object": "discount", "id": "di_1"}
        store.put("stripe", "customers", [customer(1, name="With discount")])
        store.put("stripe", "subscriptions", [subscription(1, discounts=[discount])])
        store.put("stripe", "charges", [charge(1, disputed=True)])
        refers = {"customer": "cus_000001", "subscription": "sub_000001"}
        events.add("customer.discount.created", {"object": {**discount, **refers}})
        dispute = {"object": "dispute", "id": "dp_1", "charge": "ch_0001"}
        events.add("charge.dispute.created", {"object": dispute})
        sync(warehouse, configured)
    assert raw(warehouse, "name") == [("With discount",)]
    assert raw(warehouse, "discounts", "subscriptions") == [([discount],)]
    assert raw(warehouse, "disputed", "charges") == [(True,)]


def test_a_refund_that_comes_without_an_event_is_found(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    """As in accounts whose version is older than the event."""
    refund = {"id": "re_1", "created": FIRST_SECOND, "amount": 10, "currency": "usd"}
    with account(lay_out(tmp_path / "data", {"refunds": [refund]}), tmp_path) as running:
        configured = source(running, "refunds")
        sync(warehouse, configured)
        running.simulator.store.put(
            "stripe", "refunds", [{**refund, "id": "re_2", "created": int(time.time())}]
        )
        sync(warehouse, configured)
    assert raw(warehouse, "id", "refunds") == [("re_1",), ("re_2",)]


def test_rows_that_become_visible_after_the_cursor_passed_them_are_not_lost(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    folder = lay_out(
        tmp_path / "data", {"customers": [customer(1)]}, {"customers": [customer(1, name="Late")]}
    )
    with account(folder, tmp_path) as running:
        configured = source(running, "customers")
        sync(warehouse, configured)
        running.advance()
        time.sleep(1.1)  # events have a second, and the cursor has to be beyond it
        running.fault("late_events", seconds=30, times=1)
        sync(warehouse, configured)
        assert raw(warehouse, "name") == [("Customer 1",)]
        sync(warehouse, configured)
    assert raw(warehouse, "name") == [("Late",)]


@pytest.mark.parametrize("gap", ["an event is gone", "too long ago", "none"])
def test_a_gap_in_the_events_is_a_full_refresh(
    warehouse: Warehouse, tmp_path: Path, gap: str, caplog: pytest.LogCaptureFixture
) -> None:
    everybody = [customer(n) for n in range(300)]
    batches = (
        everybody,
        [customer(1, name="A")],
        [customer(2, name="B"), customer(3, deleted=True)],
    )
    folder = lay_out(tmp_path / "data", *({"customers": batch} for batch in batches))
    with account(folder, tmp_path) as running:
        configured = source(running, "customers")
        sync(warehouse, configured)
        running.advance()
        sync(warehouse, configured)
        running.advance()
        if gap != "none":
            running.fault("events_expired", times=1, path="events")
        if gap == "too long ago":
            long_ago = int(time.time()) - 40 * 24 * 3600
            alter_checkpoint(
                warehouse, "customers", "changes", until=long_ago, last=["evt_0", long_ago]
            )
        running.requests()
        runs = sync(warehouse, configured)
        assert running.requests().get(LIST, 0) == (0 if gap == "none" else 3)
    assert ("All objects are read again" in caplog.text) == (gap != "none")
    assert sum(run.missing for run in runs) == (0 if gap == "none" else 1)
    found = raw(warehouse, "name, _deleted_at is not null")[1:4]
    assert found == [("A", False), ("B", False), ("Customer 3", True)]


@pytest.mark.parametrize("days", [0, 3])
def test_a_quiet_account_is_no_gap(warehouse: Warehouse, tmp_path: Path, days: int) -> None:
    """The newest event may be older than events are kept: then it says nothing that it is gone."""
    with account(lay_out(tmp_path / "data", {"customers": [customer(1)]}), tmp_path) as running:
        configured = source(running, "customers")
        sync(warehouse, configured)
        long_ago = int(time.time()) - 40 * 24 * 3600
        until = int(time.time()) - days * 24 * 3600 - 9
        alter_checkpoint(warehouse, "customers", "changes", last=["evt_0", long_ago], until=until)
        running.requests()
        sync(warehouse, configured)
        assert running.requests() == {EVENTS: days + 1}


def test_events_of_many_days_are_read_day_by_day(warehouse: Warehouse, tmp_path: Path) -> None:
    batches = ({"customers": [customer(1, name=name)]} for name in "AB")
    with account(lay_out(tmp_path / "data", *batches), tmp_path) as running:
        configured = source(running, "customers")
        sync(warehouse, configured)
        running.advance()
        alter_checkpoint(
            warehouse, "customers", "changes", until=int(time.time()) - 3 * 24 * 3600 - 9
        )
        assert len(sync(warehouse, configured)) == 4
    assert raw(warehouse, "name") == [("B",)]


def test_all_is_read_again_when_it_is_time(warehouse: Warehouse, tmp_path: Path) -> None:
    with account(lay_out(tmp_path / "data", {"customers": [customer(1)]}), tmp_path) as running:
        sync(warehouse, source(running, "customers"))
        running.simulator.store.put("stripe", "customers", [customer(1, name="Untold")])
        sync(warehouse, source(running, "customers"))
        assert raw(warehouse, "name") == [("Customer 1",)]
        alter_checkpoint(warehouse, "customers", "changes", passed_at=time.time() - 8 * 24 * 3600)
        sync(warehouse, source(running, "customers", full_pass_every_days=7))
    assert raw(warehouse, "name") == [("Untold",)]


def test_a_quota_that_is_hit_is_not_reported_as_success(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    objects = {"customers": [customer(n) for n in range(50)], "charges": [charge(1)]}
    with account(lay_out(tmp_path / "data", objects), tmp_path) as running:
        configured = source(running, "customers", "charges")
        running.fault("status", status=429, retry_after=3600, path="v1/charges")
        with pytest.raises(SyncFailedError) as caught:
            sync(warehouse, configured)
        assert [type(error) for error in caught.value.causes] == [QuotaExhaustedError]
        assert "asked again in 3600 s" in str(caught.value)
        assert len(raw(warehouse, "id")) == 50
        running.heal()
        sync(warehouse, configured)
    assert len(raw(warehouse, "id", "charges")) == 1


def test_a_failed_full_refresh_does_not_empty_the_table(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    everybody = {"customers": [customer(n) for n in range(300)]}
    with account(lay_out(tmp_path / "data", everybody), tmp_path) as running:
        configured = source(running, "customers")
        sync(warehouse, configured)
        alter_checkpoint(warehouse, "customers", "changes", passed_at=0)
        running.simulator.store.put(
            "stripe", "customers", [customer(n, deleted=True) for n in range(299)]
        )
        with pytest.raises(SyncFailedError, match="below the floor"):
            sync(warehouse, configured)
    assert len([row for row in raw(warehouse, "_deleted_at") if row[0] is None]) == 300


def test_a_timeout_is_not_reported_as_success(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The objects that arrived before it stay, and the next sync goes on from there."""
    monkeypatch.setattr(connector, "PATIENCE", replace(QUICK, silence_seconds=0.3, tries=2))
    everybody = {"customers": [customer(n) for n in range(300)]}
    with account(lay_out(tmp_path / "data", everybody), tmp_path) as running:
        configured = source(running, "customers", batch_rows=100)

        class Stops(Silent):
            def landed(self, run: SliceRun) -> None:  # noqa: ARG002  # a listener's signature
                running.fault("timeout", seconds=1, path="customers")

        with pytest.raises(SyncFailedError, match="no answer in time"):
            sync(warehouse, configured, listener=Stops())
        assert len(raw(warehouse, "id")) == 100
        running.heal()
        sync(warehouse, configured)
    assert len(raw(warehouse, "id")) == 300


def test_a_bad_row_is_neither_ignored_nor_fatal_to_the_others(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    bad = customer(7, name="nul \x00 byte")
    everybody = [bad if n == 7 else customer(n) for n in range(20)]
    batches = ({"customers": everybody}, {"customers": [customer(7, name="fine")]})
    with account(lay_out(tmp_path / "data", *batches), tmp_path) as running:
        configured = source(running, "customers")
        sync(warehouse, configured)
        assert len(raw(warehouse, "id")) == 19
        running.advance()
        sync(warehouse, configured)
    assert len(raw(warehouse, "id")) == 20
    held = fetch(warehouse, "select record_key, reason, resolution from ops.quarantine")
    assert held == [("cus_000007", "value_does_not_fit", "superseded")]


def charge(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"ch_{number:04d}", "created": FIRST_SECOND + number, "amount": 100,
        "amount_refunded": 0, "refunded": False, "currency": "jpy", **more,
    }  # fmt: skip
