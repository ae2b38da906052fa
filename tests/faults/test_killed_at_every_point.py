from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from fault_loads import COMMITTING, SLOW_COMMIT, WAYS, Load, converge, land_calmly
from fault_points import Child, before_exchange, die, wait_for_the_dead

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe
    from pathlib import Path

    from faults import Faults

    from crmhouse.warehouse import Warehouse

PASSED = {
    "into an empty table": ["create table", "copy_end", "insert into ops.quarantine", "analyze"],
    "by merge": ["copy_end", "update", "insert into", "insert into ops.quarantine"],
    "while columns change": ["alter table", "copy_end", "insert into ops.schema_changes"],
    "without versions": ["copy_end", "update", "insert into"],
    "read twice": ["copy_end", "rollback", "delete from", "insert into"],
}
ALWAYS = ["select pg_advisory", "commit", "insert into ops.stream_state", "insert into ops.sync_ru"]


def sync_and_die(pipe: Pipe, warehouse: Warehouse, load: Load, name: str, number: int) -> None:
    def tell_and_die(_: object, what: str) -> None:
        pipe.send(what)
        die()

    with before_exchange(number, tell_and_die):
        load.sync(warehouse, name)


@pytest.mark.parametrize("way", WAYS)
def test_a_sync_killed_between_any_two_exchanges_has_landed_a_slice_or_nothing_of_it(
    warehouse: Warehouse, tmp_path: Path, faults: Faults, way: str
) -> None:
    load = WAYS[way](tmp_path)
    before, after = land_calmly(load, warehouse, "calm")
    passed = []
    for number in itertools.count(1):
        name = f"trial_{number}"
        load.begin(warehouse, name)
        with Child(sync_and_die, warehouse, load, name, number) as child:
            what = child.said()
            code = child.wait()
        assert code in {0, -9}, what
        wait_for_the_dead(warehouse)
        left = load.state(warehouse, name)
        if code == 0:
            assert left == after
            break
        faults.inject("kill -9")
        assert left in (before, after), what
        converge(load, warehouse, name, after, faults)
        passed.append(str(what))
    for start in (*PASSED[way], *ALWAYS):
        assert any(what.startswith(start) for what in passed), (start, passed)


@pytest.mark.parametrize("way", ["into an empty table", "by merge"])
def test_a_sync_killed_while_postgresql_commits_has_landed_its_slice(
    warehouse: Warehouse, tmp_path: Path, faults: Faults, way: str
) -> None:
    load = WAYS[way](tmp_path)
    _, after = land_calmly(load, warehouse, "calm")
    load.begin(warehouse, "killed")
    with warehouse.connect(autocommit=True) as connection:
        connection.execute(SLOW_COMMIT)
        with Child(sync_and_die, warehouse, load, "killed", 0) as child:
            while not connection.execute(COMMITTING).fetchall():
                assert not child.ends_within(0.005)
            child.kill()
            assert child.wait() == -9
    faults.inject("kill -9")
    wait_for_the_dead(warehouse)
    assert load.state(warehouse, "killed") == after
    converge(load, warehouse, "killed", after, faults)
