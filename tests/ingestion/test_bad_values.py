from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from landing_records import fetch, land, rows

from ingestion.streams import Column, ColumnType, Stream

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse

COUNTED = Stream(
    name="things",
    object="things",
    key=("id",),
    columns=(
        Column("id", ColumnType.BIGINT),
        Column("created", ColumnType.BIGINT),
        Column("amount", ColumnType.BIGINT),
    ),
    cursor=("created",),
)


def test_key_and_cursor_never_widen_and_a_whole_number_fits_them(warehouse: Warehouse) -> None:
    records = [
        b'{"id": 1.0, "created": 1735689600.0, "amount": 1}',
        b'{"id": 2, "created": 1735689600.5, "amount": 1}',
        b'{"id": 1.5, "created": 1735689600, "amount": 1}',
    ]
    run = land(warehouse, COUNTED, records)
    assert (run.inserted, run.quarantined) == (1, 2)
    assert rows(warehouse, "id, created, pg_typeof(id)::text, pg_typeof(created)::text") == [
        (1, 1735689600, "bigint", "bigint")
    ]
    assert fetch(warehouse, "select cursor_at = to_timestamp(1735689600) from ops.stream_state")


def test_milliseconds_in_a_cursor_of_seconds_are_quarantined_and_the_rest_lands(
    warehouse: Warehouse,
) -> None:
    run = land(warehouse, COUNTED, [{"id": 1, "created": 1735689600000}, {"id": 2, "created": 1}])
    assert (run.inserted, run.quarantined) == (1, 1)
    assert fetch(warehouse, "select record_key, detail from ops.quarantine") == [
        ("1", "field created: the value is no time in seconds since 1970")
    ]


def test_a_record_that_goes_to_quarantine_changes_no_column(warehouse: Warehouse) -> None:
    land(warehouse, COUNTED, [{"id": 1, "created": 1, "amount": 1}])
    bad = [
        b'{"id": "x", "created": 1, "amount": 1.5, "note": "new"}',
        b'{"id": 3, "created": 1, "amount": 1.5, "metadata": {"n": 1e99999}}',
    ]
    good = b'{"id": 2, "created": 1, "amount": 2}'
    assert land(warehouse, COUNTED, [*bad, good]).quarantined == 2
    assert rows(warehouse, "to_jsonb(things) - array['_loaded_at', '_run_id', '_row_hash']")[1] == (
        {"id": 2, "created": 1, "amount": 2, "_deleted_at": None, "_source_updated_at": None},
    )
    assert rows(warehouse, "amount, pg_typeof(amount)::text") == [(1, "bigint"), (2, "bigint")]
    land(warehouse, COUNTED, [b'{"id": 2, "created": 1, "amount": 2.5, "note": "new"}'])
    assert rows(warehouse, "id, amount, note") == [(1, 1, None), (2, Decimal("2.5"), "new")]
