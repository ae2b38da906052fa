"""Two processes at once: the first load of a database in slices, and a backfill by windows."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from processes import Child, Took, require
from rounds import OURS

if TYPE_CHECKING:
    from processes import Server
    from sources import Table

    from crmhouse.warehouse import Warehouse

_SLICES = 8
_SMALLEST_SLICE = 1000
_POLL_SECONDS = 0.01
_PLAN_SECONDS = 600
_CUTS = ("2020-01-01", "2020-07-16", "2021-03-01")  # about half of the rows on either side


def measure(server: Server, source: Table) -> dict[str, Took]:
    """Measure both with one process and with two.

    Returns:
        What each took, by the names of `report.SIDES`: the time of all, the memory of the largest.
    """
    source.start()
    sliced = {"source": source.with_table(slice_rows=max(_SMALLEST_SLICE, source.rows // _SLICES))}
    windows = [
        [f"{start}T00:00:00+00:00", f"{end}T00:00:00+00:00"] for start, end in pairwise(_CUTS)
    ]
    whole = {"source": source.config}
    return {
        "slices_by_one": _together(server, source, [sliced]),
        "slices_by_two": _together(server, source, [sliced, sliced], led=True),
        "windows_by_one": _together(server, source, [{**whole, "windows": windows}]),
        "windows_by_two": _together(
            server, source, [{**whole, "windows": [window]} for window in windows]
        ),
    }


def _together(
    server: Server, source: Table, jobs: list[dict[str, Any]], *, led: bool = False
) -> Took:
    """Run processes side by side; where one leads, the others begin once there is its plan."""
    with server.database("ours", migrated=True) as warehouse:
        children = [Child("ours.py", {"parameters": warehouse.parameters, **job}) for job in jobs]
        started = time.perf_counter()
        for number, child in enumerate(children):
            if number and led:
                _await_plan(warehouse)
            child.go()
        took = [child.took() for child in children]
        seconds = time.perf_counter() - started
        require(warehouse, OURS, source.totals[0], by=f"{len(jobs)} processes")
    return Took(seconds, sum(each.cpu_seconds for each in took), max(each.peak_mb for each in took))


def _await_plan(warehouse: Warehouse) -> None:
    """Wait until the leader has said how it cuts the table."""
    deadline = time.monotonic() + _PLAN_SECONDS
    with warehouse.connect(autocommit=True) as connection:
        while time.monotonic() < deadline:
            if (
                connection.execute("select from ops.stream_state where slice = 'load'").fetchone()
                is not None
            ):
                return
            time.sleep(_POLL_SECONDS)
    raise TimeoutError("the first load has no plan: is the table smaller than a slice?")
