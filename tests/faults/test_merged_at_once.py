from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from fault_points import FORKS, Child
from landing_records import VERSIONED, fetch, land

if TYPE_CHECKING:
    from collections.abc import Iterable
    from multiprocessing.connection import Connection as Pipe
    from multiprocessing.synchronize import Barrier

    from faults import Faults

    from crmhouse.warehouse import Warehouse

PROCESSES, ROUNDS, KEYS, SECONDS = 8, 12, 150, 120
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
Record = dict[str, Any]


def slice_of(seed: str, process: int, round_: int) -> list[Record]:
    """Versions of keys that the other processes deliver too, older and newer ones and deletions.

    Equal versions differ in nothing but the deletion, so who is first does not matter. Half of the
    slices have a key once only: these can be copied straight into an empty table.
    """
    random = Random(f"{seed} {process} {round_}")  # noqa: S311  # it decides on versions
    keys = random.sample(range(KEYS), 120)
    if process % 2:
        keys = random.choices(keys, k=120)
    records = [
        {
            "id": f"k{key}",
            "amount": (number := random.randrange(60)),
            "updatedAt": (EPOCH + timedelta(minutes=number)).isoformat(),
            "isDeleted": random.random() < 0.3,
        }
        for key in keys
    ]
    own = {**records[0], "id": f"own {process} {round_}", f"field_{process}": 1, "shared": round_}
    return [*records, {**own, "isDeleted": False}]


def newest(delivered: Iterable[Record]) -> list[tuple[str, str]]:
    """The rows that must be there: of each key the newest version, of equal ones the deletion."""
    best: dict[str, tuple[int, bool]] = {}
    for record in delivered:
        version = (record["amount"], record["isDeleted"])
        best[record["id"]] = max(best.get(record["id"], version), version)
    return [(key, f"{amount} {deleted}") for key, (amount, deleted) in best.items()]


def land_in_turn(
    pipe: Pipe, warehouse: Warehouse, gate: Barrier, tables: list[str], *who: Any
) -> None:
    seed, process = who
    try:
        for round_, table in enumerate(tables):
            records = slice_of(seed, process, round_)
            stream = replace(VERSIONED, name=table)
            gate.wait(SECONDS)
            land(warehouse, stream, records, name=f"{process} {round_}", batch_rows=50)
            gate.wait(SECONDS)
    except BaseException:
        gate.abort()
        raise
    pipe.send("done")


@pytest.mark.parametrize(
    "tables",
    [[f"things_{n}" for n in range(ROUNDS)], ["things"] * ROUNDS],
    ids=["a new table each time", "one table"],
)
def test_of_slices_that_eight_processes_merge_at_once_the_newest_versions_stay(
    warehouse: Warehouse, faults: Faults, tables: list[str]
) -> None:
    seed = str(faults.random().random())
    gate = FORKS.Barrier(PROCESSES + 1)
    delivered: dict[str, list[Record]] = {table: [] for table in tables}
    with ExitStack() as stack:
        children = [
            stack.enter_context(Child(land_in_turn, warehouse, gate, tables, seed, process))
            for process in range(PROCESSES)
        ]
        for round_, table in enumerate(tables):
            for process in range(PROCESSES):
                delivered[table] += slice_of(seed, process, round_)
            gate.wait(SECONDS)
            gate.wait(SECONDS)
            found = fetch(
                warehouse,
                "select id, concat_ws(' ', amount, initcap((_deleted_at is not null)::text)) "
                f"from raw_test.{table}",
            )
            faults.compare(newest(delivered[table]), found, f"{table}, round {round_}")
            faults.inject("slice merged beside others", PROCESSES)
        assert [child.said() for child in children] == ["done"] * PROCESSES
    for table, records in delivered.items():
        counts = f"""
            select sum(rows_extracted), count(*),
                sum(rows_inserted) = (select count(*) from raw_test.{table}),
                (select count(*) from ops.stream_state where stream = '{table}')
            from ops.sync_runs where stream = '{table}' and status = 'succeeded'
        """
        slices = PROCESSES * tables.count(table)
        assert fetch(warehouse, counts) == [(len(records), slices, True, slices)]
