from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from landing_records import VERSIONED, at, fetch, land, land_file, parquet, rows

from crmhouse.errors import SourceRefusedError
from ingestion.catalogue import read_table
from ingestion.streams import Column, ColumnType, Stream

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse

KNOWN = {"id": "a", "updatedAt": at(1), "n": 1, "day": "x"}
CSV = Stream(
    name="things",
    object="things",
    key=("id",),
    columns=(Column("id", ColumnType.TEXT), Column("v", ColumnType.TIMESTAMPTZ)),
    version="v",
)


def changes(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """The changes since the table was created, in their order."""
    return fetch(
        warehouse,
        "select column_name, change, old_type, new_type from ops.schema_changes "
        "where change <> 'created' order by change_id",
    )


def columns(warehouse: Warehouse) -> list[str]:
    return [
        name
        for (name,) in fetch(
            warehouse,
            "select attname from pg_attribute where attrelid = 'raw_test.things'::regclass "
            "and attnum > 0 and attname not like '\\_%' order by attnum",
        )
    ]


def line(*fields: str) -> bytes:
    return (",".join(fields) + "\n").encode()


def test_columns_that_vanish_and_return_are_noted_once_each(warehouse: Warehouse) -> None:
    with_note = line("id", "v", "note")
    without = line("id", "v")
    land_file(warehouse, CSV, ".csv", with_note + line("a", at(1), "x") + line("b", at(1), "y"))
    for day in (2, 3):
        land_file(warehouse, CSV, ".csv", without + line("a", at(day)))
    land_file(warehouse, CSV, ".csv", with_note + line("a", at(4), "z"))
    land_file(warehouse, CSV, ".csv", with_note + line("a", at(5), "z"))
    assert changes(warehouse) == [
        ("note", "added", None, "text"),
        ("note", "vanished", "text", None),
        ("note", "returned", None, "text"),
    ]


def test_a_renamed_column_is_one_that_vanished_and_one_that_was_added(
    warehouse: Warehouse,
) -> None:
    land_file(warehouse, CSV, ".csv", line("id", "v", "old") + line("a", at(1), "x"))
    land_file(warehouse, CSV, ".csv", line("id", "v", "new") + line("a", at(2), "y"))
    assert changes(warehouse)[1:] == [
        ("new", "added", None, "text"),
        ("old", "vanished", "text", None),
    ]
    assert rows(warehouse, "id, old, new") == [("a", "x", "y")]


def test_columns_in_another_order_keep_their_places(warehouse: Warehouse) -> None:
    land_file(warehouse, CSV, ".csv", line("id", "v", "p", "q") + line("a", at(1), "1", "2"))
    run = land_file(warehouse, CSV, ".csv", line("q", "p", "v", "id") + line("2", "1", at(1), "a"))
    assert run.changed == 0
    assert len(changes(warehouse)) == 2


def test_a_narrowed_type_changes_nothing(warehouse: Warehouse) -> None:
    land(warehouse, VERSIONED, [b'{"id": "a", "updatedAt": "2026-01-01T00:00:00Z", "x": 1.5}'])
    land(warehouse, VERSIONED, [{"id": "b", "updatedAt": at(1), "x": 2}])
    assert [change for change in changes(warehouse) if change[1] == "widened"] == []
    assert rows(warehouse, "id, x = trunc(x)") == [("a", False), ("b", True)]


def test_a_type_clash_holds_those_records_back_and_leaves_the_others(warehouse: Warehouse) -> None:
    land(warehouse, VERSIONED, [KNOWN])
    run = land(warehouse, VERSIONED, [{**KNOWN, "id": "b", "n": "many"}, {**KNOWN, "id": "c"}])
    assert (run.inserted, run.quarantined) == (1, 1)
    assert rows(warehouse, "id, n") == [("a", 1), ("c", 1)]


def test_a_nested_object_may_become_an_array(warehouse: Warehouse) -> None:
    land(warehouse, VERSIONED, [{**KNOWN, "nested": {"a": 1}}])
    land(warehouse, VERSIONED, [{**KNOWN, "id": "b", "nested": [{"a": 1}]}])
    assert rows(warehouse, "id, nested") == [("a", {"a": 1}), ("b", [{"a": 1}])]


def test_names_that_are_long_reserved_or_collide_get_columns_of_their_own(
    warehouse: Warehouse,
) -> None:
    names = [
        "ä" * 40, "ä" * 40 + "b", "select", "order", "Order", "ORDER", "user name", "user-name",
        "ctid", "xmin", "_loaded_at", "1st", "%s", "", "日本",
    ]  # fmt: skip
    record = {"id": "a", "updatedAt": at(1), **{name: name for name in names}}
    land(warehouse, VERSIONED, [record])
    land(warehouse, VERSIONED, [{**record, "id": "b"}])
    with warehouse.connect() as connection:
        table = read_table(connection, "raw_test", "things")
    assert table
    for name in names:
        column = table.columns[name].name
        assert len(column.encode()) <= 63
        quoted = column.replace('"', '""').replace("%", "%%")
        assert rows(warehouse, f'id, "{quoted}"') == [("a", name), ("b", name)]


def test_a_thousand_columns_land(warehouse: Warehouse) -> None:
    names = [f"field {number}" for number in range(1000)]
    content = line("id", "v", *names) + line("a", at(1), *map(str, range(1000)))
    land_file(warehouse, CSV, ".csv", content)
    run = land_file(warehouse, CSV, ".csv", content)
    assert run.changed == 0
    assert rows(warehouse, "field_0, field_999") == [("0", "999")]
    assert len(columns(warehouse)) == 1002


@pytest.mark.parametrize("contract", ["freeze", "discard"])
def test_the_first_landed_slice_makes_the_table_whatever_the_contract(
    warehouse: Warehouse, contract: str
) -> None:
    run = land(warehouse, VERSIONED, [KNOWN], contract=contract)
    assert (run.inserted, run.quarantined) == (1, 0)
    assert {"n", "day"} <= set(columns(warehouse))
    assert land(warehouse, VERSIONED, [{**KNOWN, "id": "b"}], contract=contract).inserted == 1


NEW = b'{"id": "b", "updatedAt": "2026-01-01T00:00:00Z", "extra": true}'
WIDER = b'{"id": "b", "updatedAt": "2026-01-01T00:00:00Z", "n": 1.5}'
PLAIN = {**KNOWN, "id": "c"}


@pytest.mark.parametrize(
    ("record", "says"), [(NEW, "extra (boolean)"), (WIDER, "n (numeric)")], ids=["new", "wider"]
)
def test_a_frozen_table_refuses_a_slice_that_would_change_it(
    warehouse: Warehouse, record: bytes, says: str
) -> None:
    land(warehouse, VERSIONED, [KNOWN])
    before = columns(warehouse)
    with pytest.raises(SourceRefusedError, match=re.escape(says)):
        land(warehouse, VERSIONED, [PLAIN, record], contract="freeze")
    assert rows(warehouse, "id") == [("a",)]
    assert columns(warehouse) == before
    assert fetch(warehouse, "select count(*) from ops.quarantine") == [(0,)]


def test_a_frozen_table_refuses_a_file_that_misses_a_column(warehouse: Warehouse) -> None:
    land_file(warehouse, CSV, ".csv", line("id", "v", "note") + line("a", at(1), "x"))
    with pytest.raises(SourceRefusedError, match="has no note any more"):
        land_file(warehouse, CSV, ".csv", line("id", "v") + line("b", at(1)), contract="freeze")
    assert rows(warehouse, "id") == [("a",)]


@pytest.mark.parametrize(
    ("record", "says"), [(NEW, "field extra"), (WIDER, "field n")], ids=["new", "wider"]
)
def test_discard_holds_back_what_would_change_the_table(
    warehouse: Warehouse, record: bytes, says: str
) -> None:
    land(warehouse, VERSIONED, [KNOWN])
    before = columns(warehouse)
    run = land(warehouse, VERSIONED, [PLAIN, record], contract="discard")
    assert (run.inserted, run.quarantined) == (1, 1)
    assert columns(warehouse) == before
    (held,) = fetch(warehouse, "select reason, detail, payload from ops.quarantine")
    assert held[0] == "outside_contract"
    assert says in held[1]
    assert held[2] == record.decode()


def test_an_empty_new_column_is_no_change_for_any_contract(warehouse: Warehouse) -> None:
    land(warehouse, VERSIONED, [KNOWN])
    for contract in ("freeze", "discard"):
        run = land(warehouse, VERSIONED, [{**KNOWN, "id": contract, "x": None}], contract=contract)
        assert run.inserted == 1


def test_a_frozen_typed_file_lands_while_it_has_the_same_columns(warehouse: Warehouse) -> None:
    table = {"id": ["a"], "v": [at(1)], "n": [1]}
    land_file(warehouse, CSV, ".parquet", parquet(table))
    run = land_file(warehouse, CSV, ".parquet", parquet({**table, "id": ["b"]}), contract="freeze")
    assert run.inserted == 1
