"""First loads, changes, throttling, faults, and loads that were cut short."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from shopify_shop import TOKEN, order

from crmhouse.errors import SyncFailedError
from ingestion.sources.shopify import windows
from ingestion.sources.shopify.bulk import begin
from ingestion.sources.shopify.queries import OBJECTS
from ingestion.stream_sync import Asked

if TYPE_CHECKING:
    from shopify_shop import Shop

ORDERS: dict[str, Any] = {"objects": ["orders"], "sweep_every_hours": None}


def asked(shop: Shop) -> int:
    return sum(n for path, n in shop.stand_in.requests().items() if path.startswith("POST"))


def test_a_first_load_and_a_sync_without_changes_ask_as_little_as_they_can(shop: Shop) -> None:
    shop.sync(**ORDERS)
    first = asked(shop)
    shop.sync(**ORDERS)
    assert first <= 5  # the number, the shop, a page; two tries find how large a page may be
    assert asked(shop) <= first - 1


def test_the_money_that_the_buyer_saw_and_the_zone_of_the_shop_are_kept(shop: Shop) -> None:
    shop.put("orders", order(8, presentment_currency="EUR", presentment_rate="0.5"))
    shop.sync(**ORDERS)
    (row,) = shop.raw(
        "total_price::text, presentment, shop_currency, shop_timezone", where="id = 8"
    )
    assert (row[0], row[2], row[3]) == ("10.10", "USD", "America/New_York")
    assert row[1]["currency"] == "EUR"
    assert row[1]["total_price"] == "5.05"
    assert row[1]["line_items"] == [{"id": 800, "price": "5", "total_discount": "0"}]


def test_refunds_transactions_and_fulfilments_arrive_with_their_order(shop: Shop) -> None:
    made = {"created_at": "2026-02-03T00:00:00-05:00"}
    shop.put(
        "orders",
        order(
            8,
            refunds=[{"id": 1, "amount": "3.10", **made}],
            transactions=[
                {"id": 2, "kind": "refund", "status": "success", "amount": "3.1", **made}
            ],
            fulfillments=[{"id": 3, "status": "success", **made}],
        ),
    )
    shop.sync(**ORDERS)
    ((refunds, paid, sent),) = shop.raw("refunds, transactions, fulfillments", where="id = 8")
    assert refunds == [{"id": 1, "amount": "3.10", **made}]
    assert [(one["kind"], one["amount"], one["currency"]) for one in paid] == [
        ("refund", "3.1", "USD")
    ]
    assert (sent[0]["id"], sent[0]["status"]) == (3, "success")


@pytest.mark.parametrize("bulk_from_rows", [1, 1000])
def test_the_lines_that_refunds_gave_back_arrive_all_of_them(
    shop: Shop, bulk_from_rows: int
) -> None:
    def given_back(id_: int) -> dict[str, Any]:
        return {
            "id": id_, "line_item_id": 800, "quantity": 1, "restock_type": "return",
            "subtotal": "2.50", "total_tax": "0.10",
        }  # fmt: skip

    made = {"created_at": "2026-02-03T00:00:00-05:00"}
    # Seven refunds are two requests; of two of them, with many lines, there are more pages.
    lines = {n: [given_back(n * 1000 + m) for m in range(25 if n in {2, 6} else 2)]
             for n in range(1, 8)}  # fmt: skip
    refunds = [{"id": n, "amount": "3.10", **made, "refund_line_items": lines[n]} for n in lines]
    shop.put("orders", order(8, refunds=refunds, presentment_currency="EUR",
                             presentment_rate="0.5"))  # fmt: skip
    shop.sync(bulk_from_rows=bulk_from_rows, **ORDERS)
    ((found, seen),) = shop.raw("refunds, presentment -> 'refunds'", where="id = 8")
    assert found == refunds
    assert [len(one["refund_line_items"]) for one in seen] == [len(own) for own in lines.values()]
    assert seen[0]["refund_line_items"][0] == {
        "line_item_id": 800, "subtotal": "1.25", "total_tax": "0.05",
    }  # fmt: skip
    assert shop.raw("refunds", where="id = 1") == [([],)]


def test_products_and_variants_arrive_and_a_deletion_brings_the_sweep_forward(shop: Shop) -> None:
    made = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z"}
    shop.put("products", *({"id": n, "title": f"P{n}", **made} for n in (1, 2)))
    shop.put("variants", {"id": 5, "product_id": 1, "price": "9.90", **made})
    shop.sync(objects=["products", "variants"])
    assert shop.raw("product_id, price::text", "variants") == [(1, "9.90")]
    store = shop.stand_in.simulator.store
    before = store.get("shopify", "products", "2")
    assert before is not None
    store.put("shopify", "products", [{**before.body, "deleted": True}])
    after = store.get("shopify", "products", "2")
    assert after is not None
    shop.system.changed("products", before, after)
    shop.sync(objects=["products", "variants"])
    assert shop.raw("id", "products", "_deleted_at is not null") == [(2,)]


@pytest.fixture
def by_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bulk operation is never worth it."""
    monkeypatch.setattr(windows, "PAGES_WORTH_AN_OPERATION", 1000)


@pytest.mark.usefixtures("by_pages")
def test_a_small_bucket_slows_the_sync_down_and_nothing_else(shop: Shop) -> None:
    shop.put("orders", *(order(n) for n in range(10, 60)))
    shop.system.bucket.size = shop.system.bucket.single = 1000
    shop.system.bucket.restore_rate = 1500
    began = time.monotonic()
    shop.sync(**ORDERS)
    assert len(shop.raw("id")) == 53
    assert time.monotonic() - began > 0.5


@pytest.mark.usefixtures("by_pages")
def test_a_page_that_comes_twice_loses_nothing_and_one_that_never_ends_is_given_up(
    shop: Shop,
) -> None:
    shop.put("orders", *(order(n) for n in range(10, 300)))
    shop.stand_in.fault("duplicate_page", times=3)
    shop.sync(bulk_from_rows=1000, **ORDERS)
    assert [id_ for (id_,) in shop.raw("id")] == [1, 2, 3, *range(10, 300)]
    shop.stand_in.fault("duplicate_page")
    shop.put("orders", *(order(n, "2026-02-01T12:05:00-05:00") for n in range(400, 700)))
    with pytest.raises(SyncFailedError, match="gave the same page 5 times"):
        shop.sync(bulk_from_rows=1000, **ORDERS)
    assert len(shop.raw("id")) == 293


def test_an_answer_that_says_throttled_is_asked_for_again(shop: Shop) -> None:
    shop.stand_in.fault("throttled", times=4)
    shop.sync(**ORDERS)
    assert len(shop.raw("id")) == 3


@pytest.mark.parametrize("bulk_from_rows", [1, 1000])
def test_faults_on_a_tenth_of_the_requests_lose_nothing(shop: Shop, bulk_from_rows: int) -> None:
    shop.put("orders", *(order(n) for n in range(10, 150)))
    for kind in ("status", "reset", "throttled"):
        shop.stand_in.fault(kind, share=0.1)
    shop.sync(bulk_from_rows=bulk_from_rows, **ORDERS)
    shop.put("orders", *(order(n, "2026-02-01T12:05:00-05:00") for n in range(140, 260)))
    shop.sync(bulk_from_rows=bulk_from_rows, **ORDERS)
    assert [id_ for (id_,) in shop.raw("id")] == [1, 2, 3, *range(10, 260)]


def test_a_load_that_was_killed_goes_on_with_the_finished_operation(shop: Shop) -> None:
    shop.stand_in.fault("status", path="bulk/", status=403)
    with pytest.raises(SyncFailedError):
        shop.sync(bulk_from_rows=1, **ORDERS)
    assert shop.checkpoint("bulk")["operation"] == "gid://shopify/BulkOperation/1"
    shop.stand_in.heal()
    shop.sync(bulk_from_rows=1, **ORDERS)
    assert shop.raw("id") == [(1,), (2,), (3,)]
    assert len(shop.system.bulk.all) == 1


def test_an_operation_whose_id_was_lost_is_found_again(shop: Shop) -> None:
    shop.stand_in.fault("bulk_slow", seconds=0.5, times=1)
    first = shop.connector(bulk_from_rows=1, **ORDERS)
    next(first.slices(first.streams()[0], {}))  # begun, and never remembered
    shop.sync(bulk_from_rows=1, **ORDERS)
    assert len(shop.raw("id")) == 3
    assert len(shop.system.bulk.all) == 1


def test_many_changes_come_by_a_bulk_operation_that_reads_no_others(shop: Shop) -> None:
    shop.sync(bulk_from_rows=20, **ORDERS)
    shop.put("orders", *(order(n, "2026-02-02T12:00:00-05:00") for n in range(10, 60)))
    shop.stand_in.fault("status", path="bulk/", status=403)
    with pytest.raises(SyncFailedError):
        shop.sync(bulk_from_rows=20, **ORDERS)
    shop.stand_in.heal()
    (run,) = shop.sync(bulk_from_rows=20, **ORDERS).values()
    assert (run.slice, run.reported, run.inserted) == ("changes", 53, 50)  # three by the lookback
    assert shop.checkpoint("changes")["cursor"] == "2026-02-02T17:00:00Z"
    (operation,) = shop.system.bulk.all
    assert "updated_at:>='2026-02-01T16:53:00Z'" in operation.query
    for number in (70, 71, 72):  # they become visible late, so that the window stays as it is
        shop.put("orders", order(number, "2026-02-02T11:59:00-05:00"))
        shop.sync(bulk_from_rows=20, **ORDERS)
    assert len(shop.system.bulk.all) == 4  # none that has landed is taken for the next one
    assert [id_ for (id_,) in shop.raw("id")] == [1, 2, 3, *range(10, 60), 70, 71, 72]


def test_while_another_operation_is_under_way_changes_come_by_pages_and_no_refresh_joins_it(
    shop: Shop,
) -> None:
    shop.sync(**ORDERS)
    shop.put("orders", *(order(n, "2026-02-02T12:00:00-05:00") for n in range(10, 60)))
    shop.stand_in.fault("bulk_slow", seconds=600)
    with closing(shop.connector().client) as client:
        begin(client, OBJECTS["orders"].bulk)
    shop.sync(bulk_from_rows=20, **ORDERS)
    assert [id_ for (id_,) in shop.raw("id")] == [1, 2, 3, *range(10, 60)]
    with pytest.raises(SyncFailedError, match="another bulk operation of the app is under way"):
        shop.sync(asked=Asked(everything=True), bulk_from_rows=20, **ORDERS)


@pytest.mark.usefixtures("by_pages")
def test_a_window_that_was_cut_short_goes_on_with_its_page(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "PAGES_OF_A_SLICE", 1)
    shop.put("orders", *(order(n) for n in range(10, 60)))
    connector = shop.connector(**ORDERS)
    slices = connector.slices(connector.streams()[0], {})
    one = next(slices)
    seen = [id_ for batch in one.read() for id_ in batch.fields["id"]]
    checkpoint = one.checkpoint()
    slices.close()
    assert checkpoint["page"]
    rest = connector.slices(connector.streams()[0], {"changes": checkpoint})
    for part in rest:
        seen += [id_ for batch in part.read() for id_ in batch.fields["id"]]
        last = part.checkpoint()
    assert sorted(seen) == [1, 2, 3, *range(10, 60)]
    assert last == {"cursor": "2026-02-01T17:03:00Z", "rows": 8}


def test_a_backfill_reads_its_window_only(shop: Shop) -> None:
    start, end = datetime(2026, 2, 1, 17, 2, tzinfo=UTC), datetime(2026, 2, 1, 17, 3, tzinfo=UTC)
    runs = shop.sync(asked=Asked(window=(start, end)), **ORDERS)
    assert [*runs] == ["orders 2026-02-01T17:02:00Z to 2026-02-01T17:03:00Z"]
    assert shop.raw("id") == [(2,)]


def test_the_token_is_in_no_checkpoint_and_no_record_of_a_run(shop: Shop) -> None:
    shop.sync(bulk_from_rows=1, **ORDERS)
    for table in ("stream_state", "sync_runs"):
        assert TOKEN not in str(shop.fetch(f"select * from ops.{table}"))
