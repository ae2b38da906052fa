from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from landing_records import UNVERSIONED, VERSIONED, at, fetch, land, land_file, parquet, rows

from crmhouse.errors import SourceRefusedError
from crmhouse.rules import RowRule
from ingestion.streams import Column, ColumnType, Stream

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse

pytestmark = pytest.mark.usefixtures("each_way_to_merge")

LIVE = {"id": "a", "amount": 1, "updatedAt": at(1), "isDeleted": False}
GONE = {"id": "a", "amount": 2, "updatedAt": at(1), "isDeleted": True}
CSV = b"id,amount,note,updatedAt,isDeleted\n"
DELETABLE = Stream(
    name="things",
    object="things",
    key=("id",),
    columns=(*UNVERSIONED.columns, Column("deleted", ColumnType.BOOLEAN)),
    deleted="deleted",
)


@pytest.mark.parametrize("slices", [[[LIVE], [GONE], [LIVE]], [[GONE, LIVE]], [[GONE], [LIVE]]])
def test_of_equal_versions_a_live_one_never_undoes_a_deletion(
    warehouse: Warehouse, slices: list[list[dict[str, object]]]
) -> None:
    for records in slices:
        land(warehouse, VERSIONED, records)
    assert rows(warehouse, "amount, _deleted_at is not null") == [(2, True)]
    land(warehouse, VERSIONED, [{**LIVE, "updatedAt": at(2)}])
    assert rows(warehouse, "amount, _deleted_at is not null") == [(1, False)]


def test_a_record_without_a_version_goes_to_quarantine(warehouse: Warehouse) -> None:
    land(warehouse, VERSIONED, [LIVE])
    run = land(warehouse, VERSIONED, [{"id": "a", "amount": 9}, {**LIVE, "id": "b"}])
    assert (run.inserted, run.quarantined) == (1, 1)
    assert rows(warehouse, "id, amount") == [("a", 1), ("b", 1)]
    assert fetch(warehouse, "select record_key, reason from ops.quarantine") == [
        ("a", "missing_version")
    ]


@pytest.mark.parametrize(
    ("ending", "content", "says"),
    [
        (".csv", b"id,updatedat\na,2026-01-01T00:00:00Z\n", "updatedAt, which is the version"),
        (".csv", b"ID,updatedAt\na,2026-01-01T00:00:00Z\n", "id, which is part of the key"),
        (".jsonl", b'{"id": "a"}\n{"id": "b", "updatedat": "x"}\n', "There are: id, updatedat"),
        (".parquet", parquet({"id": ["a"], "note": ["x"]}), "There are: id, note"),
    ],
)
def test_a_file_without_the_version_or_the_key_is_refused_and_says_what_it_has(
    warehouse: Warehouse, ending: str, content: bytes, says: str
) -> None:
    with pytest.raises(SourceRefusedError, match=says):
        land_file(warehouse, VERSIONED, ending, content)
    assert fetch(warehouse, "select count(*) from ops.quarantine") == [(0,)]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was warned of; whether lesser things are told depends on who set the level last."""
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_a_column_that_vanishes_from_a_file_keeps_what_the_rows_have_in_it(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    land_file(
        warehouse,
        VERSIONED,
        ".csv",
        CSV + b"a,1,x,2026-01-01T00:00:00Z,\nb,2,y,2026-01-01T00:00:00Z,true\n",
    )
    assert warnings(caplog) == []
    shorter = b"id,amount,updatedAt\n"
    day = b"2026-01-02T00:00:00Z\n"
    run = land_file(
        warehouse, VERSIONED, ".csv", shorter + b"a,3," + day + b"b,4," + day + b"c,5," + day
    )
    assert (run.inserted, run.updated) == (1, 2)
    assert rows(warehouse, "id, amount, note, _deleted_at is not null") == [
        ("a", 3, "x", False),
        ("b", 4, "y", True),
        ("c", 5, None, False),
    ]
    assert warnings(caplog) == [
        "test.things slice: has no isDeleted, note any more. What raw holds there stays as it is."
    ]
    again = land_file(warehouse, VERSIONED, ".csv", shorter + b"a,3," + day)
    assert again.changed == 0


def test_a_declared_column_that_never_had_a_value_is_not_missed(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    for day in (1, 2):
        content = f"id,updatedAt\na,{at(day)}\n".encode()
        assert land_file(warehouse, VERSIONED, ".csv", content).changed == 1
    assert warnings(caplog) == []


def test_a_field_that_no_record_of_a_slice_has_is_left_alone_and_a_null_is_written(
    warehouse: Warehouse,
) -> None:
    land(warehouse, VERSIONED, [{**LIVE, "note": "x"}, {**LIVE, "id": "b", "note": "y"}])
    land(warehouse, VERSIONED, [{**LIVE, "updatedAt": at(2)}])
    assert rows(warehouse, "id, note") == [("a", "x"), ("b", "y")]
    newer = [{**LIVE, "updatedAt": at(3)}, {**LIVE, "id": "b", "updatedAt": at(3), "note": "z"}]
    land(warehouse, VERSIONED, newer, batch_rows=1)
    assert rows(warehouse, "id, note") == [("a", None), ("b", "z")]


def test_the_digest_of_a_row_is_that_of_all_its_columns_whichever_a_slice_has(
    warehouse: Warehouse,
) -> None:
    land(warehouse, UNVERSIONED, [{"id": "a", "amount": 1, "note": "x"}])
    assert land(warehouse, UNVERSIONED, [{"id": "a", "amount": 1}]).changed == 0
    assert land(warehouse, UNVERSIONED, [{"id": "a", "amount": 2}]).updated == 1
    assert land(warehouse, UNVERSIONED, [{"id": "b", "amount": 2, "note": "x"}]).inserted == 1
    assert land(warehouse, UNVERSIONED, [{"id": "c", "amount": 2}]).inserted == 1
    digest = "hashtextextended(row(id, amount, note)::text, 0)"
    assert rows(warehouse, f"id, note, _row_hash = {digest}") == [
        ("a", "x", True),
        ("b", "x", True),
        ("c", None, True),
    ]


def test_a_new_column_alone_changes_no_row(warehouse: Warehouse) -> None:
    land(warehouse, UNVERSIONED, [{"id": "a", "amount": 1}])
    run = land(
        warehouse, UNVERSIONED, [{"id": "a", "amount": 1}, {"id": "b", "amount": 1, "note": "x"}]
    )
    assert (run.inserted, run.updated) == (1, 0)


def test_a_slice_that_tells_no_deletions_leaves_tombstones_as_they_are(
    warehouse: Warehouse,
) -> None:
    land(warehouse, DELETABLE, [{"id": "a", "amount": 1, "deleted": True}])
    land(warehouse, DELETABLE, [{"id": "a", "amount": 2}])
    assert rows(warehouse, "amount, deleted, _deleted_at is not null") == [(2, True, True)]
    land(warehouse, DELETABLE, [{"id": "a", "amount": 2, "deleted": False}])
    assert rows(warehouse, "amount, deleted, _deleted_at is not null") == [(2, False, False)]


def test_fields_may_have_the_names_that_the_engine_uses_itself(warehouse: Warehouse) -> None:
    named = {"arrival": 1, "row_id": 2, "_arrival": 3, "_row_id": 4, "moved": 5, "staged": 6}
    rule = RowRule("amount_not_negative", "coalesce(amount < 0, false)", "amount must be >= 0")
    records = [{**LIVE, **named}, {**LIVE, **named, "arrival": 0, "amount": 3}]
    land(warehouse, VERSIONED, [*records, {**LIVE, **named, "id": "b", "amount": -1}], rules=[rule])
    assert rows(warehouse, "amount, arrival, row_id, _arrival_, _row_id_, moved, staged") == [
        (3, 0, 2, 3, 4, 5, 6)
    ]
    assert fetch(
        warehouse, "select record_key, payload::jsonb ->> 'moved' from ops.quarantine"
    ) == [("b", "5")]
