"""What users of other loaders have lost in the engine itself; each named after what happened."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

from landing_records import VERSIONED, at, fetch, land, rows

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse

ROWS, SECONDS = 30_000, 60


def test_parallel_runs_lose_no_row_through_a_staging_table_that_they_share(
    warehouse: Warehouse,
) -> None:
    """Dlt 4297 and 2287: both have staged all their rows before either of them merges."""
    land(warehouse, VERSIONED, [{"id": "first", "updatedAt": at(1)}])
    both_have_staged = Barrier(2)

    def run(number: int) -> int:
        records = [{"id": f"{number} {n}", "amount": n, "updatedAt": at(2)} for n in range(ROWS)]
        return land(
            warehouse, VERSIONED, records, name=f"run {number}", reported=ROWS,
            batch_rows=10_000, meanwhile=lambda: both_have_staged.wait(SECONDS),
        ).inserted  # fmt: skip

    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(run, (1, 2))] == [ROWS, ROWS]
    assert rows(warehouse, "count(*)") == [(2 * ROWS + 1,)]
    state = "select slice from ops.stream_state where slice like 'run %' order by 1"
    assert fetch(warehouse, state) == [("run 1",), ("run 2",)]
