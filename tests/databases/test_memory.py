"""Reading a database holds a batch of rows in memory, whatever the table's size."""

from __future__ import annotations

import uuid
from resource import RUSAGE_SELF, getrusage
from typing import TYPE_CHECKING, Any

import pytest
from fault_points import Child

from ingestion.sync import sync_source

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

    from conftest import Source

    from crmhouse.settings import Settings, SourceConfig
    from crmhouse.warehouse import Warehouse

FEW, MANY = 20_000, 150_000
TIME = {"postgresql": "timestamptz", "mariadb": "timestamp(6)", "sqlite": "datetime"}
FILL = {
    "postgresql": "select n, repeat('x', 800), '2026-01-01'::timestamptz "
    "from generate_series(1, {}) as s (n)",
    "mariadb": "select seq, repeat('x', 800), '2026-01-01 00:00:00' from seq_1_to_{}",
    "sqlite": "with recursive s (n) as (select 1 union all select n + 1 from s where n < {}) "
    "select n, hex(zeroblob(400)), '2026-01-01 00:00:00' from s",
}
WAYS: list[dict[str, Any]] = [{}, {"cursor": "updated_at", "sweep_every_hours": 0}]


def measure(pipe: Pipe, warehouse: Warehouse, settings: Settings, source: SourceConfig) -> None:
    """Sync twice, in the order in which the tables are configured; tell the peaks in MB."""
    peaks = []
    for stream in ("few", "many", "few", "many"):
        sync_source(warehouse, settings, source, run_id=uuid.uuid4(), streams=[stream])
        peaks.append(getrusage(RUSAGE_SELF).ru_maxrss // 1024)
    pipe.send(peaks)


@pytest.mark.parametrize("way", WAYS, ids=["in full", "by cursor"])
def test_memory_does_not_grow_with_the_table(source: Source, way: dict[str, Any]) -> None:
    for name, rows in (("few", FEW), ("many", MANY)):
        source.execute(
            f"create table {name} (id integer primary key, filler varchar(800), "
            f"updated_at {TIME[source.dialect]} not null)",
            f"insert into {name} {FILL[source.dialect].format(rows)}",
        )
    configured = source.configured({"few": way, "many": way}, {"batch_rows": 10_000})
    with Child(measure, source.warehouse, *configured) as child:
        first, grown, *again = child.said()
    assert max(grown, *again) - first < 60  # many rows have 120 MB
