from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from landing_records import fetch, land

import quality
from ingestion.streams import Column, ColumnType, Stream

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse

ORDERS = Stream(
    name="orders",
    object="orders",
    key=("id",),
    columns=(
        Column("id", ColumnType.BIGINT),
        Column("created_at", ColumnType.TIMESTAMPTZ),
        Column("updated_at", ColumnType.TIMESTAMPTZ),
        Column("currency", ColumnType.TEXT),
        Column("total_price", ColumnType.NUMERIC),
        Column("refunds", ColumnType.JSONB),
        Column("gone", ColumnType.BOOLEAN),
    ),
    version="updated_at",
    deleted="gone",
)
GOOD = {
    "created_at": "2025-03-10T00:00:00Z",
    "updated_at": "2025-03-31T00:00:00Z",
    "currency": "EUR",
    "total_price": "100.00",
}


def test_what_landed_is_what_was_loaded_and_what_was_put_aside(warehouse: Warehouse) -> None:
    records = [
        {**GOOD, "id": 1},
        {**GOOD, "id": 2, "total_price": "-0.01"},
        {**GOOD, "id": 3, "total_price": "0"},
        {**GOOD, "id": 4, "currency": "Euro"},
        {**GOOD, "id": 5, "currency": None, "total_price": "-1"},  # breaks two rules, counts once
        {**GOOD, "id": 6, "created_at": "2025-06-01T00:00:00Z"},
        {**GOOD, "id": 7, "created_at": None},
        {**GOOD, "id": 8, "refunds": [{"id": 1, "amount": "1.00"}, {"id": 2}]},
        {**GOOD, "id": 9, "refunds": [{"id": 3, "transactions": []}]},
    ]
    rules = quality.row_rules("shopify", "orders")
    run = land(warehouse, ORDERS, records, rules=rules, run_id=uuid.uuid4())
    assert run.extracted == run.inserted + run.quarantined == 9
    assert fetch(warehouse, "select id from raw_test.orders order by id") == [(1,), (3,), (9,)]
    aside = fetch(warehouse, "select record_key, reason, detail from ops.quarantine order by 1")
    assert [(key, reason) for key, reason, _ in aside] == [
        ("2", "total_not_negative"),
        ("4", "currency_code"),
        ("5", "currency_present"),
        ("6", "created_before_changed"),
        ("7", "created_at_present"),
        ("8", "refunds_have_amounts"),
    ]
    assert aside[0][2] == "No order has a negative total."


def test_a_deletion_is_never_put_aside(warehouse: Warehouse) -> None:
    rules = quality.row_rules("shopify", "orders")
    land(warehouse, ORDERS, [{**GOOD, "id": 1}], rules=rules)
    gone = {"id": 1, "updated_at": "2025-04-01T00:00:00Z", "gone": True}
    run = land(warehouse, ORDERS, [gone], rules=rules)
    assert run.quarantined == 0
    assert fetch(warehouse, "select _deleted_at is not null from raw_test.orders") == [(True,)]
