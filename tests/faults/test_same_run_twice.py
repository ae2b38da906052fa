from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from fault_loads import COMMITTING, SLOW_COMMIT, WAYS, Load, attempt, converge, land_calmly, state
from fault_points import FORKS, Child
from landing_records import UNVERSIONED, VERSIONED, at, fetch, land

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe
    from multiprocessing.synchronize import Barrier
    from pathlib import Path

    from faults import Faults

    from crmhouse.warehouse import Warehouse
    from ingestion.streams import Stream

SECONDS = 60


def sync_once(pipe: Pipe, warehouse: Warehouse, load: Load, name: str, run_id: uuid.UUID) -> None:
    pipe.send(len(load.sync(warehouse, name, run_id=run_id)))


def land_together(
    pipe: Pipe, warehouse: Warehouse, stream: Stream, gate: Barrier, run_id: uuid.UUID
) -> None:
    gate.wait(SECONDS)
    run = land(warehouse, stream, RECORDS, run_id=run_id, batch_rows=20)
    pipe.send(run.inserted)


RECORDS = [
    {"id": f"k{n}", "amount": n, "updatedAt": at(1 + n % 9), "more": f"m{n}"} for n in range(60)
]
RECORDS += [{"id": "bad", "amount": "twelve", "updatedAt": at(1)}]


@pytest.mark.parametrize("way", ["into an empty table", "by merge", "without versions"])
@pytest.mark.parametrize("patience", [0, SECONDS])
def test_a_run_that_is_started_twice_at_once_lands_once(
    warehouse: Warehouse, tmp_path: Path, faults: Faults, way: str, patience: float
) -> None:
    load = WAYS[way](tmp_path)
    _, after = land_calmly(load, warehouse, "calm")
    load.begin(warehouse, "twice")
    run_id = uuid.uuid4()
    with warehouse.connect(autocommit=True) as connection:
        connection.execute(SLOW_COMMIT)
        with Child(sync_once, warehouse, load, "twice", run_id) as child:
            while not connection.execute(COMMITTING).fetchall():
                assert not child.ends_within(0.005)
            error = attempt(load, warehouse, "twice", run_id=run_id, patience=patience)
            assert child.said() == 1
    assert error is None if patience else "Another process is syncing twice" in str(error)
    faults.inject("run started twice")
    faults.compare(after.rows, load.state(warehouse, "twice").rows, error)
    assert load.state(warehouse, "twice") == after
    assert load.sync(warehouse, "twice", run_id=run_id) == []  # and once more after them
    converge(load, warehouse, "twice", after, faults)


@pytest.mark.parametrize("stream", [VERSIONED, UNVERSIONED], ids=["versions", "no versions"])
def test_a_slice_that_two_processes_land_at_once_in_one_run_is_there_once(
    warehouse: Warehouse, faults: Faults, stream: Stream
) -> None:
    land(warehouse, stream, RECORDS, run_id=uuid.uuid4(), batch_rows=20)
    calm = state(warehouse, "test", "things")
    for _ in range(4):
        with warehouse.connect() as connection:
            connection.execute("drop schema raw_test cascade")
            connection.execute("truncate ops.sync_runs, ops.stream_state, ops.quarantine")
        gate, run_id = FORKS.Barrier(2), uuid.uuid4()
        arguments = (land_together, warehouse, stream, gate, run_id)
        with Child(*arguments) as one, Child(*arguments) as other:
            assert sorted([one.said(), other.said()]) == [0, 60]
        faults.inject("slice landed twice at once")
        found = state(warehouse, "test", "things")
        faults.compare(calm.rows, found.rows, stream)
        assert found.slices == calm.slices
        assert [(run[0], run[1]) for run in found.runs] == [("slice", 2 * 61)]
        held = fetch(warehouse, "select record_key, times_seen, resolved_at from ops.quarantine")
        assert held == [("bad", 2, None)]
        ran = "select count(*) from ops.stream_state where changed_run_id = %s"
        assert fetch(warehouse, ran, [run_id]) == [(1,)]
