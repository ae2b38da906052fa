from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from landing_records import UNVERSIONED, VERSIONED, at, fetch, land, rows

from crmhouse.errors import RunFailedError, TooManyBadRecordsError
from crmhouse.rules import RowRule
from ingestion.runs import SliceRun
from ingestion.streams import Column, ColumnType, Stream

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse

pytestmark = pytest.mark.usefixtures("each_way_to_merge")


def test_a_record_lands_with_its_types_and_meta_columns(warehouse: Warehouse) -> None:
    run_id = uuid.uuid4()
    record = {"id": "a", "amount": "12.30", "updatedAt": at(1), "isDeleted": False, "note": "new"}
    run = land(warehouse, VERSIONED, [record], run_id=run_id)
    assert (run.extracted, run.inserted) == (1, 1)
    assert rows(warehouse, "id, amount, is_deleted, note, _run_id, _deleted_at") == [
        ("a", Decimal("12.30"), False, "new", run_id, None)
    ]
    assert rows(warehouse, "_source_updated_at = updated_at, _loaded_at <= now()") == [(True, True)]


def test_an_older_version_never_overwrites_a_newer_one(warehouse: Warehouse) -> None:
    land(warehouse, VERSIONED, [{"id": "a", "amount": 2, "updatedAt": at(2)}])
    stale = land(warehouse, VERSIONED, [{"id": "a", "amount": 1, "updatedAt": at(1)}])
    assert (stale.inserted, stale.updated, stale.unchanged) == (0, 0, 1)
    newer = land(warehouse, VERSIONED, [{"id": "a", "amount": 3, "updatedAt": at(3)}])
    assert newer.updated == 1
    assert rows(warehouse, "amount") == [(3,)]


def test_of_equal_versions_the_last_one_read_wins(warehouse: Warehouse) -> None:
    records = [{"id": "a", "amount": n, "updatedAt": at(1)} for n in (1, 2)]
    assert land(warehouse, VERSIONED, records).unchanged == 1
    assert rows(warehouse, "amount") == [(2,)]
    assert land(warehouse, VERSIONED, [{**records[0], "amount": 5}]).updated == 1
    assert rows(warehouse, "amount") == [(5,)]


def test_rows_delivered_twice_change_nothing_and_are_not_even_locked(warehouse: Warehouse) -> None:
    records = [{"id": str(n), "amount": n, "updatedAt": at(1)} for n in range(5)]
    for stream in (VERSIONED, UNVERSIONED):
        with warehouse.connect() as connection:
            connection.execute("drop table if exists raw_test.things")
        land(warehouse, stream, [*records, *records])
        before = rows(warehouse, "id, ctid::text, xmin::text, xmax::text")
        again = land(warehouse, stream, records)
        assert again.changed == 0
        assert rows(warehouse, "id, ctid::text, xmin::text, xmax::text") == before


def test_a_row_without_version_changes_when_its_content_does(warehouse: Warehouse) -> None:
    land(warehouse, UNVERSIONED, [{"id": "a", "amount": 1}])
    assert land(warehouse, UNVERSIONED, [{"id": "a", "amount": 1}]).updated == 0
    assert land(warehouse, UNVERSIONED, [{"id": "a", "amount": 2}]).updated == 1
    assert rows(warehouse, "amount, _row_hash is not null") == [(2, True)]


def test_a_deletion_leaves_a_tombstone_and_a_newer_version_brings_the_row_back(
    warehouse: Warehouse,
) -> None:
    land(warehouse, VERSIONED, [{"id": "a", "updatedAt": at(1), "isDeleted": False}])
    gone = land(warehouse, VERSIONED, [{"id": "a", "updatedAt": at(2), "isDeleted": True}])
    assert gone.deleted == 1
    assert rows(warehouse, "_deleted_at = updated_at") == [(True,)]
    land(warehouse, VERSIONED, [{"id": "a", "updatedAt": at(3), "isDeleted": False}])
    assert rows(warehouse, "_deleted_at") == [(None,)]


def test_new_fields_add_columns_and_a_wider_number_widens(warehouse: Warehouse) -> None:
    land(warehouse, VERSIONED, [{"id": "a", "updatedAt": at(1), "Extra Field": 1}])
    land(warehouse, VERSIONED, [{"id": "b", "updatedAt": at(1), "Extra Field": "1.5"}])
    assert rows(warehouse, "id, extra_field") == [("a", 1)]
    land(
        warehouse,
        VERSIONED,
        [b'{"id": "b", "updatedAt": "2026-01-01T00:00:00Z", "Extra Field": 1.5}'],
    )
    assert rows(warehouse, "id, extra_field") == [("a", 1), ("b", Decimal("1.5"))]
    changes = fetch(
        warehouse,
        "select column_name, change, old_type, new_type from ops.schema_changes "
        "where change <> 'created' order by change_id",
    )
    assert ("extra_field", "added", None, "bigint") in changes
    assert ("extra_field", "widened", "bigint", "numeric") in changes
    comment = (
        "select col_description(attrelid, attnum) from pg_attribute "
        "where attrelid = 'raw_test.things'::regclass and attname = 'extra_field'"
    )
    assert fetch(warehouse, comment) == [("Extra Field",)]


def test_a_column_below_dbts_views_widens_and_one_below_another_view_is_refused(
    warehouse: Warehouse,
) -> None:
    land(warehouse, VERSIONED, [{"id": "a", "updatedAt": at(1), "n": 1}])
    with warehouse.connect() as connection:
        connection.execute("create view staging.stg_things as select * from raw_test.things")
        connection.execute(
            "create view intermediate.int_things as select * from staging.stg_things"
        )
    wider = b'{"id": "b", "updatedAt": "2026-01-01T00:00:00Z", "n": 1.5}'
    land(warehouse, VERSIONED, [wider])
    assert rows(warehouse, "id, n") == [("a", 1), ("b", Decimal("1.5"))]
    land(warehouse, VERSIONED, [{"id": "a", "updatedAt": at(2), "m": 1}])
    with warehouse.connect() as connection:
        connection.execute("create view public.theirs as select m from raw_test.things")
    with pytest.raises(RunFailedError, match=r"below the view public\.theirs"):
        land(warehouse, VERSIONED, [wider.replace(b'"n"', b'"m"')])


def test_fields_whose_names_collide_keep_their_own_columns(warehouse: Warehouse) -> None:
    record = {"id": "a", "updatedAt": at(1), "myField": "camel", "my_field": "snake"}
    land(warehouse, VERSIONED, [record])
    land(warehouse, VERSIONED, [{**record, "updatedAt": at(2)}])
    columns = [
        name
        for (name,) in fetch(
            warehouse,
            "select attname from pg_attribute where attrelid = 'raw_test.things'::regclass "
            "and attname like 'my_field%' order by 1",
        )
    ]
    assert len(columns) == 2
    assert rows(warehouse, ", ".join(columns)) == [("camel", "snake")]


def test_a_bad_record_is_neither_ignored_nor_fatal_to_the_others(warehouse: Warehouse) -> None:
    bad = [
        {"id": "b", "amount": "twelve", "updatedAt": at(1)},
        {"id": None, "amount": 1, "updatedAt": at(1)},
        {"id": "d", "updatedAt": "2026-02-30T00:00:00Z"},
        {"id": "e", "updatedAt": at(1), "note": "nul \x00"},
        b"{broken",
        b'{"id": "\xff"}',
        b"[1]",
    ]
    run = land(warehouse, VERSIONED, [{"id": "a", "updatedAt": at(1), "note": "fine"}, *bad])
    assert (run.extracted, run.inserted, run.quarantined) == (8, 1, 7)
    kept = fetch(
        warehouse,
        "select record_key, reason, detail, payload from ops.quarantine order by quarantine_id",
    )
    assert sorted((key, reason) for key, reason, _, _ in kept if key) == [
        ("b", "value_does_not_fit"),
        ("d", "value_does_not_fit"),
        ("e", "value_does_not_fit"),
    ]
    assert sorted(reason for key, reason, _, _ in kept if not key) == [
        "invalid_json", "invalid_json", "missing_key", "not_a_record",
    ]  # fmt: skip
    assert "twelve" not in " ".join(detail for _, _, detail, _ in kept)
    assert any("twelve" in payload for *_, payload in kept)


def test_a_record_that_fails_again_is_counted_not_repeated(warehouse: Warehouse) -> None:
    for _ in range(3):
        land(warehouse, VERSIONED, [{"id": "a", "amount": "x", "updatedAt": at(1)}])
    assert fetch(warehouse, "select count(*), max(times_seen) from ops.quarantine") == [(1, 3)]


def test_a_row_that_breaks_a_rule_is_diverted_with_the_rules_name(warehouse: Warehouse) -> None:
    rule = RowRule("amount_not_negative", "coalesce(amount < 0, false)", "amount must be >= 0")
    records = [{"id": str(n), "amount": n, "updatedAt": at(1)} for n in (-1, 0, 1)]
    run = land(warehouse, VERSIONED, [*records, {"id": "n", "updatedAt": at(1)}], rules=[rule])
    assert (run.inserted, run.quarantined) == (3, 1)
    assert fetch(warehouse, "select record_key, reason, detail from ops.quarantine") == [
        ("-1", "amount_not_negative", "amount must be >= 0")
    ]


@pytest.mark.parametrize(
    ("bad", "good", "share", "fails"),
    [
        (9, 0, 0.4, True),
        (9, 1, 0.4, False),
        (10, 15, 0.4, False),
        (10, 14, 0.4, True),
        (1, 1, 0, True),
        (9, 0, 1, False),
    ],
)
def test_too_many_bad_records_land_nothing_and_a_handful_is_not_too_many(
    warehouse: Warehouse, bad: int, good: int, share: float, fails: bool
) -> None:
    records = [{"id": f"bad {n}", "updatedAt": "never"} for n in range(bad)]
    records += [{"id": f"good {n}", "updatedAt": at(1)} for n in range(good)]
    if not fails:
        assert land(warehouse, VERSIONED, records, share=share).quarantined == bad
        return
    with pytest.raises(
        TooManyBadRecordsError,
        match=rf"{bad} of {bad + good} records are bad \({bad} x value_does_not_fit, field upd",
    ):
        land(warehouse, VERSIONED, records, share=share)
    assert rows(warehouse, "id") == []
    for table in ("quarantine", "stream_state", "sync_runs"):
        assert fetch(warehouse, f"select count(*) from ops.{table}") == [(0,)]


def test_rows_state_and_run_record_are_there_together(warehouse: Warehouse) -> None:
    run = land(warehouse, VERSIONED, [{"id": "a", "updatedAt": at(5)}], name="part 1", reported=1)
    assert fetch(
        warehouse,
        "select slice, checkpoint, cursor_at = %s, changed_run_id from ops.stream_state",
        [at(5)],
    ) == [("part 1", {"lines": 1}, True, run.run_id)]
    assert fetch(
        warehouse,
        "select status, rows_reported, rows_extracted, rows_inserted from ops.sync_runs",
    ) == [("succeeded", 1, 1, 1)]


def test_slices_of_one_name_in_one_run_add_up_in_its_record(warehouse: Warehouse) -> None:
    run_id = uuid.uuid4()
    first = [{"id": "a", "updatedAt": at(5)}, {"id": "b", "updatedAt": at(5)}]
    second = [{"id": "b", "updatedAt": at(6)}, {"id": "c", "updatedAt": at(5)}]
    for records in (first, second):
        land(warehouse, VERSIONED, records, name="load", reported=2, run_id=run_id)
    counts = "rows_reported, rows_extracted, rows_inserted, rows_updated"
    recorded = f"select status, {counts} from ops.sync_runs"
    assert fetch(warehouse, recorded) == [("succeeded", 4, 4, 3, 1)]
    failed = SliceRun(run_id, "test", "things", "load", "failed", datetime.now(UTC), error="lost")
    with warehouse.connect() as connection:
        failed.record(connection)
    assert fetch(warehouse, recorded) == [("failed", None, 4, 3, 1)]


def test_the_result_does_not_depend_on_the_size_of_batches(warehouse: Warehouse) -> None:
    records = [{"id": str(n % 7), "amount": n, "updatedAt": at(1 + n % 3)} for n in range(50)]
    land(warehouse, VERSIONED, records, batch_rows=1000)
    whole = rows(warehouse, "id, amount, updated_at")
    with warehouse.connect() as connection:
        connection.execute("drop table raw_test.things")
    land(warehouse, VERSIONED, records, batch_rows=3)
    assert rows(warehouse, "id, amount, updated_at") == whole


FIRST = [{"id": str(n), "amount": n, "updatedAt": at(1), "isDeleted": n == 3} for n in range(5)]


@pytest.mark.parametrize("records", [FIRST, [*FIRST, *FIRST], [{**FIRST[0], "amount": 9}, *FIRST]])
def test_a_first_load_gives_the_rows_that_a_merge_would(
    warehouse: Warehouse, records: list[dict[str, object]]
) -> None:
    columns = "id, amount, is_deleted, _source_updated_at, _deleted_at, _run_id = %s, "
    run_id = uuid.uuid4()
    statement = (
        f"select {columns}_loaded_at <= now() from raw_test.things where id <> 'x' order by id"
    )
    land(warehouse, VERSIONED, records, batch_rows=2, run_id=run_id)
    copied = fetch(warehouse, statement, [run_id])
    with warehouse.connect() as connection:
        connection.execute("delete from raw_test.things")
    land(warehouse, VERSIONED, [{"id": "x", "updatedAt": at(1)}])
    run = land(warehouse, VERSIONED, records, batch_rows=2, run_id=run_id)
    assert fetch(warehouse, statement, [run_id]) == copied
    assert len(copied) == run.inserted == 5
    assert [row[4] is not None for row in copied] == [False, False, False, True, False]
    assert run.deleted == 1


def test_rows_of_a_first_load_that_break_a_rule_are_diverted_as_they_arrived(
    warehouse: Warehouse,
) -> None:
    rule = RowRule("alive_and_small", "_deleted_at is null and amount > 3", "amount must be <= 3")
    run = land(warehouse, VERSIONED, FIRST, rules=[rule])
    assert (run.inserted, run.quarantined, run.deleted) == (4, 1, 1)
    kept = fetch(warehouse, "select record_key, payload::jsonb from ops.quarantine")
    assert kept == [
        ("4", {"id": "4", "amount": 4, "updated_at": "2026-01-01T00:00:00+00:00",
               "is_deleted": False})
    ]  # fmt: skip


def test_a_slice_waits_for_a_first_load_and_is_merged_after_it(warehouse: Warehouse) -> None:
    second: list[object] = []

    def meanwhile() -> None:
        other = threading.Thread(
            target=lambda: second.append(
                land(warehouse, VERSIONED, [{**FIRST[1], "amount": 7, "updatedAt": at(2)}])
            )
        )
        other.start()
        other.join(timeout=1)
        assert other.is_alive()
        threads.append(other)

    threads: list[threading.Thread] = []
    land(warehouse, VERSIONED, FIRST, meanwhile=meanwhile)
    threads[0].join()
    assert second
    assert rows(warehouse, "id, amount")[1] == ("1", 7)
    assert rows(warehouse, "count(*)") == [(5,)]


def test_identifiers_of_a_source_are_quoted(warehouse: Warehouse) -> None:
    hostile = 'x"; drop schema ops cascade; --'
    stream = Stream(hostile[:20], hostile, ("id",), (Column("id", ColumnType.TEXT),))
    land(warehouse, stream, [{"id": "a", hostile: "b", "100 %": "%s"}])
    assert fetch(warehouse, "select count(*) from ops.sync_runs") == [(1,)]
