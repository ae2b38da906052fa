from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fault_loads import state
from landing_records import VERSIONED, at, fetch, land

from crmhouse.errors import RunFailedError, SourceUnavailableError

if TYPE_CHECKING:
    from faults import Faults

    from crmhouse.warehouse import Warehouse

OLD: list[Any] = [{"id": str(n), "amount": n, "updatedAt": at(1)} for n in range(5)]
NEW: list[Any] = [{"id": str(n), "amount": -n, "updatedAt": at(9), "more": 1} for n in range(3, 9)]
NEW += [b"{broken", {"id": "7", "amount": "many", "updatedAt": at(9)}]  # they have arrived too
CURSOR = "select checkpoint, cursor_at = %s from ops.stream_state"


@pytest.mark.parametrize("before", [[], OLD], ids=["empty table", "full table"])
@pytest.mark.parametrize(
    ("arrive", "reported"), [(NEW, 7), (NEW, 9), (NEW, 0), (NEW[:-1], 8), ([], 8)]
)
def test_where_another_number_arrives_than_was_reported_the_cursor_does_not_move(
    warehouse: Warehouse, faults: Faults, before: list[Any], arrive: list[Any], reported: int
) -> None:
    if before:
        land(warehouse, VERSIONED, before)
    was = state(warehouse, "test", "things")
    says = f"reported {reported} records, {len(arrive)} arrived"
    with pytest.raises(RunFailedError, match=says):
        land(warehouse, VERSIONED, arrive, reported=reported, batch_rows=3)
    faults.inject("count that differs")
    assert state(warehouse, "test", "things") == was
    assert fetch(warehouse, CURSOR, [at(1)]) == [({"lines": 5}, True)] * bool(before)
    land(warehouse, VERSIONED, NEW, reported=8, batch_rows=3)
    assert fetch(warehouse, CURSOR, [at(9)]) == [({"lines": 8}, True)]
    expected = {record["id"]: record["amount"] for record in [*before, *NEW[:6]]}
    found = fetch(warehouse, "select id, amount::text from raw_test.things")
    faults.compare([(key, str(amount)) for key, amount in expected.items()], found, says)


@pytest.mark.parametrize("before", [[], OLD], ids=["empty table", "full table"])
def test_a_source_that_breaks_off_after_its_last_record_moves_nothing(
    warehouse: Warehouse, faults: Faults, before: list[Any]
) -> None:
    def break_off() -> None:
        raise SourceUnavailableError("the connection was closed")

    if before:
        land(warehouse, VERSIONED, before)
    was = state(warehouse, "test", "things")
    with pytest.raises(SourceUnavailableError):
        land(warehouse, VERSIONED, NEW, meanwhile=break_off, batch_rows=3)
    faults.inject("source broken off")
    found = state(warehouse, "test", "things")
    faults.compare(was.rows, found.rows, "broken off")
    assert found == was
