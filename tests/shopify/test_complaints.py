"""What users of other connectors have lost; each test is named after what happened to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from shopify_shop import TOKEN, line, order

from crmhouse.errors import SourceUnavailableError, SyncFailedError
from ingestion.http import Patience
from ingestion.sources.shopify import client
from ingestion.stream_sync import Asked
from simulators.shopify.system import SCOPES

if TYPE_CHECKING:
    from shopify_shop import Shop

ORDERS = {"objects": ["orders"]}
LATE = "2026-02-01T12:02:30-05:00"


def test_a_dropped_bulk_result_fails_and_moves_no_cursor(shop: Shop) -> None:
    """Airbyte 85372."""
    shop.stand_in.fault("truncate", path="bulk/", times=1)
    with pytest.raises(SyncFailedError):
        shop.sync(bulk_from_rows=1, **ORDERS)
    assert shop.raw("id") == []
    assert shop.checkpoint("changes") is None
    shop.sync(bulk_from_rows=1, **ORDERS)
    assert shop.raw("id") == [(1,), (2,), (3,)]


def test_a_failed_bulk_operation_with_partial_data_never_counts(shop: Shop) -> None:
    """Airbyte 77627."""
    shop.stand_in.fault("bulk_failed", times=1)
    with pytest.raises(SyncFailedError, match="FAILED") as caught:
        shop.sync(bulk_from_rows=1, **ORDERS)
    assert isinstance(caught.value.causes[0], SourceUnavailableError)
    assert shop.raw("id") == []
    assert shop.checkpoint("changes") is None
    assert shop.system.bulk.all[0].objects > 0
    shop.sync(bulk_from_rows=1, **ORDERS)
    assert shop.raw("id") == [(1,), (2,), (3,)]
    assert len(shop.system.bulk.all) == 2


def test_rows_that_become_visible_after_the_cursor_passed_them_are_not_lost(shop: Shop) -> None:
    """Airbyte 27146."""
    shop.stand_in.fault("late_rows", times=2)  # of the page, and of the number beside it
    shop.sync(sweep_every_hours=None, **ORDERS)
    assert shop.raw("id") == [(2,)]
    shop.sync(sweep_every_hours=None, **ORDERS)
    shop.put("orders", order(7, LATE))
    shop.sync(sweep_every_hours=None, **ORDERS)
    assert shop.raw("id") == [(1,), (2,), (3,), (7,)]


def test_a_page_that_drops_rows_moves_no_cursor(shop: Shop) -> None:
    """Airbyte 77627: a green run without them."""
    shop.stand_in.fault("late_rows", times=1)  # of the page, and not of the number beside it
    with pytest.raises(SyncFailedError, match="counts 3 orders in this window, and 1 arrived"):
        shop.sync(**ORDERS)
    assert not shop.checkpoint("changes")
    shop.sync(**ORDERS)
    assert shop.raw("id") == [(1,), (2,), (3,)]


def test_a_deleted_order_arrives_as_a_tombstone(shop: Shop) -> None:
    """Airbyte 19838, 35017."""
    shop.sync(sweep_every_hours=0, **ORDERS)
    shop.put("orders", {**order(2), "deleted": True})
    shop.sync(sweep_every_hours=0, **ORDERS)
    assert shop.raw("id", where="_deleted_at is not null") == [(2,)]
    assert shop.raw("id", where="_deleted_at is null") == [(1,), (3,)]


def test_orders_that_a_token_cannot_see_do_not_count_as_deleted(shop: Shop) -> None:
    """A token without read_all_orders sees 60 days only."""
    shop.sync(sweep_every_hours=0, **ORDERS)
    shop.system.tokens[TOKEN] = SCOPES - {"read_all_orders"}
    shop.sync(sweep_every_hours=0, **ORDERS)
    with pytest.raises(SyncFailedError, match="older ones would count as deleted"):
        shop.sync(asked=Asked(everything=True), **ORDERS)
    assert shop.raw("id", where="_deleted_at is null") == [(1,), (2,), (3,)]


@pytest.mark.parametrize("bulk_from_rows", [1, 1000])
def test_an_order_does_not_stop_at_a_short_page_of_its_lines(
    shop: Shop, bulk_from_rows: int
) -> None:
    """Airbyte 23630: short pages."""
    lines = [line(n) for n in range(1000, 1130)]
    shop.put("orders", order(9, line_items=lines))
    shop.sync(bulk_from_rows=bulk_from_rows, **ORDERS)
    assert shop.raw("line_items", where="id = 9") == [(lines,)]


def test_an_older_version_never_overwrites_a_newer_one(shop: Shop) -> None:
    """Reproduced on dlt 1.31."""
    shop.sync(**ORDERS)
    shop.put("orders", order(3, "2026-02-01T12:02:59-05:00", name="old"))
    shop.sync(**ORDERS)
    assert shop.raw("name", where="id = 3") == [("#3",)]


def test_a_failed_full_refresh_does_not_empty_the_table(shop: Shop) -> None:
    """Airbyte 13312."""
    shop.sync(**ORDERS)
    shop.stand_in.fault("bulk_failed")
    with pytest.raises(SyncFailedError, match="FAILED"):
        shop.sync(asked=Asked(everything=True), bulk_from_rows=1, **ORDERS)
    assert shop.raw("id", where="_deleted_at is null") == [(1,), (2,), (3,)]


def test_a_revoked_token_fails_the_run_and_names_the_token(shop: Shop) -> None:
    """Airbyte 8690, 17503."""
    shop.stand_in.fault("token_revoked")
    with pytest.raises(SyncFailedError, match="or it was revoked"):
        shop.sync(**ORDERS)
    assert shop.checkpoint("changes") is None


def test_a_change_while_a_bulk_operation_runs_is_not_passed_over(shop: Shop) -> None:
    """Airbyte 27146: the operation may have read the record before it changed."""
    future = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    shop.put("orders", order(4, future))
    began = datetime.now(UTC)
    shop.sync(bulk_from_rows=1, **ORDERS)
    assert datetime.fromisoformat(shop.checkpoint("changes")["cursor"]) <= began


def test_rows_that_are_missing_from_a_file_make_no_green_run(shop: Shop) -> None:
    """Airbyte 77627, 42490: a row of the file is missing."""
    connector = shop.connector(bulk_from_rows=1, **ORDERS)
    slices = connector.slices(connector.streams()[0], {})
    next(slices)
    part = next(slices)
    file = shop.system.bulk.file(1)
    lines = file.read_bytes().splitlines(keepends=True)
    for left in (lines[1:], lines[:-1]):  # an order, and a line
        file.write_bytes(b"".join(left))
        with pytest.raises(SourceUnavailableError, match="reported 6 objects, 3 of them records"):
            list(part.read())
    slices.close()


def test_a_quota_that_is_hit_is_not_reported_as_success(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airbyte 8690: other apps keep the bucket empty."""
    monkeypatch.setattr(client, "PATIENCE", Patience(5, 5, 3, 0.01, 5))
    shop.stand_in.fault("throttled")
    with pytest.raises(SyncFailedError, match="THROTTLED"):
        shop.sync(**ORDERS)
    assert shop.checkpoint("changes") is None
    shop.stand_in.heal()
    shop.sync(**ORDERS)
    assert shop.raw("id") == [(1,), (2,), (3,)]


def test_a_timeout_is_not_reported_as_success(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airbyte 17503."""
    shop.sync(**ORDERS)
    before = shop.checkpoint("changes")
    shop.put("orders", order(4, LATE))
    monkeypatch.setattr(client, "PATIENCE", Patience(5, 0.3, 2, 0.01, 5))
    shop.stand_in.fault("timeout", seconds=1)
    with pytest.raises(SyncFailedError, match="no answer in time"):
        shop.sync(**ORDERS)
    assert shop.checkpoint("changes") == before
    shop.stand_in.heal()
    shop.sync(**ORDERS)
    assert shop.raw("id") == [(1,), (2,), (3,), (4,)]


def test_a_bad_row_is_neither_ignored_nor_fatal_to_the_others(shop: Shop) -> None:
    """Airbyte 2352 and 26821."""
    shop.put("orders", order(9, note="nul \x00 byte"))
    shop.sync(**ORDERS)
    assert shop.raw("id") == [(1,), (2,), (3,)]
    held = shop.fetch("select record_key, reason, resolution from ops.quarantine")
    assert held == [("9", "value_does_not_fit", None)]
    shop.put("orders", order(9, LATE, note="fine"))
    shop.sync(**ORDERS)
    assert shop.raw("id") == [(1,), (2,), (3,), (9,)]
    assert shop.fetch("select resolution from ops.quarantine") == [("superseded",)]


def test_a_record_that_comes_twice_in_a_first_load_does_not_lose_the_others(shop: Shop) -> None:
    """Airbyte 77627: one that is changed while pages are read moves to their end."""
    shop.put("orders", *(order(n) for n in range(10, 100)))
    changed = False
    honest = shop.system.root.store.select

    def changing(*asked: Any, **more: Any) -> Any:
        nonlocal changed
        found = honest(*asked, **more)
        if asked[1] == "orders" and len(found) > 5 and not changed:
            changed = True
            shop.put("orders", order(10, "2026-02-01T12:05:00-05:00", name="changed"))
        return found

    shop.system.root.store.select = changing  # type: ignore[method-assign]
    shop.sync(**ORDERS)
    assert changed
    assert shop.raw("id") == [(1,), (2,), (3,), *((n,) for n in range(10, 100))]
    assert shop.raw("name", where="id = 10") == [("changed",)]
