from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from fault_loads import COMMITTING, SLOW_COMMIT, WAYS, attempt, converge, land_calmly
from fault_points import before_exchange

if TYPE_CHECKING:
    from pathlib import Path

    from faults import Faults

    from crmhouse.warehouse import Warehouse


def lose(connection: psycopg.Connection[Any]) -> None:
    """Let the server end the session, as an administrator or a firewall does."""
    pid = connection.info.backend_pid
    with psycopg.connect(connection.info.dsn, autocommit=True) as other:
        assert other.execute("select pg_terminate_backend(%s, 5000)", [pid]).fetchone() == (True,)


@pytest.mark.parametrize("way", ["into an empty table", "by merge", "read twice"])
def test_a_connection_lost_before_any_exchange_is_an_error_of_ours_and_leaves_whole_slices(
    warehouse: Warehouse, tmp_path: Path, faults: Faults, way: str
) -> None:
    load = WAYS[way](tmp_path)
    before, after = land_calmly(load, warehouse, "calm")
    errors = 0
    for number in itertools.count(1):
        name = f"trial_{number}"
        load.begin(warehouse, name)
        lost: list[str] = []

        def lose_it(connection: Any, what: str, lost: list[str] = lost) -> None:
            lose(connection)
            lost.append(what)

        with before_exchange(number, lose_it):
            error = attempt(load, warehouse, name)
        if not lost:
            break
        faults.inject("connection lost")
        errors += error is not None
        # No error: nothing was left to do but to let go of the source, or to close the connection.
        assert load.state(warehouse, name) == (before if error else after), lost
        converge(load, warehouse, name, after, faults)
    assert errors > 20


def test_a_connection_lost_while_postgresql_commits_leaves_nothing_of_the_slice(
    warehouse: Warehouse, tmp_path: Path, faults: Faults
) -> None:
    load = WAYS["by merge"](tmp_path)
    before, after = land_calmly(load, warehouse, "calm")
    load.begin(warehouse, "lost")
    with warehouse.connect(autocommit=True) as connection, ThreadPoolExecutor() as pool:
        connection.execute(SLOW_COMMIT)
        syncing = pool.submit(attempt, load, warehouse, "lost")
        while not (pids := connection.execute(COMMITTING).fetchall()):
            assert not syncing.done()
        connection.execute("select pg_terminate_backend(%s)", pids[0])
        assert "Nothing of the slice was landed" in str(syncing.result())
        connection.execute("drop function public.slow cascade")
    faults.inject("connection lost")
    assert load.state(warehouse, "lost") == before
    converge(load, warehouse, "lost", after, faults)
