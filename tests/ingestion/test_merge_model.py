"""The merge against a model of it in Python: any slices, in any order, with any versions."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from landing_records import VERSIONED, at, land, rows

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse

pytestmark = pytest.mark.usefixtures("each_way_to_merge")

RECORDS = st.fixed_dictionaries({
    "id": st.sampled_from("abcd"),
    "amount": st.integers(0, 2),
    "updatedAt": st.sampled_from([at(1), at(2), at(3)]),
    "isDeleted": st.booleans(),
})  # fmt: skip
SLICES = st.lists(st.lists(RECORDS, min_size=1, max_size=6), min_size=1, max_size=4)
NUMBERS = itertools.count()


@dataclass
class Model:
    """What a raw table should hold: the records, by their keys."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    def land(self, records: list[dict[str, Any]]) -> tuple[int, int]:
        """Take over the records; return how many were inserted and updated."""
        inserted = updated = 0
        latest: dict[str, dict[str, Any]] = {}
        for record in records:
            before = latest.get(record["id"])
            if before is None or self._rank(record) >= self._rank(before):
                latest[record["id"]] = record
        for key, record in latest.items():
            current = self.records.get(key)
            inserted += current is None
            if current is None or self._replaces(record, current):
                updated += current is not None
                self.records[key] = record
        return inserted, updated

    def _rank(self, record: dict[str, Any]) -> tuple[str, bool]:
        return record["updatedAt"], record["isDeleted"]

    def _replaces(self, record: dict[str, Any], current: dict[str, Any]) -> bool:
        return record != current and self._rank(record) >= self._rank(current)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(slices=SLICES)
def test_any_slices_give_what_the_model_says(
    warehouse: Warehouse, slices: list[list[dict[str, Any]]]
) -> None:
    stream = replace(VERSIONED, name=f"things_{next(NUMBERS)}")
    model = Model()
    for records in slices:
        expected = model.land(records)
        run = land(warehouse, stream, records)
        assert (run.inserted, run.updated) == expected
    found = rows(warehouse, "id, amount, updated_at, _deleted_at is not null", table=stream.name)
    expected_rows = [
        (key, record["amount"], datetime.fromisoformat(record["updatedAt"]), record["isDeleted"])
        for key, record in sorted(model.records.items())
    ]
    assert found == expected_rows
