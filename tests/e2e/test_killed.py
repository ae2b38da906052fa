"""A run that is killed at any moment, and the run after it: the same marts as if undisturbed."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from fault_points import wait_for_the_dead
from project import Project, fingerprint

from simulators.demo_data import generate

if TYPE_CHECKING:
    from pathlib import Path

    from faults import Faults

    from crmhouse.warehouse import Warehouse

pytestmark = [pytest.mark.xdist_group("killed"), pytest.mark.usefixtures("shared_prefect")]

RUNNING = "(select run_id from ops.pipeline_runs where status = 'running')"
DBT_AT_WORK = "from pg_stat_activity where application_name = 'crmhouse-dbt' and query like"
# Each is true from a certain moment of a run on, in the order of a run.
MOMENTS = {
    "rows are landing": f"select count(*) > 2 from ops.sync_runs where run_id = {RUNNING}",
    "the raw gate is done": f"select count(*) > 0 from ops.gate_results where run_id = {RUNNING}",
    "people are linked": "select count(*) > 0 from identity.customer_links",
    "marts are being built": f"select count(*) > 0 {DBT_AT_WORK} '%marts_build%'",
    "the marts gate is done": f"""
        select count(*) > 0 from ops.gate_results where boundary = 'marts' and run_id = {RUNNING}
    """,
}


def test_a_run_killed_at_several_moments_converges(tmp_path: Path, faults: Faults) -> None:
    data = tmp_path / "data"
    generate(data, persons=120, seed=3)
    calm, rough = (Project(tmp_path / name, data) for name in ("calm", "rough"))
    golden = []
    calm.folder.mkdir()
    rough.folder.mkdir()
    for batch in ("batch_1", "batch_2"):
        calm.configure(until=batch)
        calm.run()
        with calm.warehouse() as warehouse:
            golden.append(content(warehouse))

    kills = 0
    rough.configure(until="batch_1")
    with rough.warehouse() as warehouse:
        for name in ("rows are landing", "people are linked", "marts are being built"):
            kills += kill_when(rough, warehouse, MOMENTS[name])
            assert marts(warehouse) == {}, name
        rough.run()
        assert content(warehouse) == golden[0]
        rough.configure(until="batch_2")
        for name in ("the raw gate is done", "marts are being built", "the marts gate is done"):
            kills += kill_when(rough, warehouse, MOMENTS[name])
            assert marts(warehouse) in [only_marts(state) for state in golden], name
        rough.run()
        assert content(warehouse) == golden[1]
        with warehouse.connect() as connection:
            states = connection.execute(
                "select status, count(*) from ops.pipeline_runs group by 1"
            ).fetchall()
    faults.inject("kill -9", kills)
    assert kills >= 5
    assert "running" not in dict(states)


def marts(warehouse: Warehouse) -> dict[str, str]:
    return fingerprint(warehouse, "marts")


def only_marts(state: dict[str, str]) -> dict[str, str]:
    return {table: digest for table, digest in state.items() if table.startswith("marts.")}


def content(warehouse: Warehouse) -> dict[str, str]:
    """Everything that must not depend on what happened on the way."""
    with warehouse.connect() as connection:
        raw = [
            name
            for (name,) in connection.execute(
                "select nspname from pg_namespace where nspname like 'raw%%'"
            )
        ]
    return fingerprint(warehouse, "marts", *raw)


def kill_when(project: Project, warehouse: Warehouse, condition: str) -> bool:
    """Start a run and kill its whole process group as soon as the condition holds."""
    process = project.start("run")
    deadline = time.monotonic() + 300
    try:
        with warehouse.connect(autocommit=True) as connection:
            while process.poll() is None and time.monotonic() < deadline:
                if holds(connection, condition):
                    os.killpg(process.pid, signal.SIGKILL)
                    break
                time.sleep(0.02)
        killed = process.wait(timeout=300) == -signal.SIGKILL
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        if process.stdout:
            process.stdout.close()
    wait_for_the_dead(warehouse)
    return killed


def holds(connection: psycopg.Connection[Any], condition: str) -> bool:
    try:
        row = connection.execute(condition).fetchone()
    except psycopg.errors.UndefinedTable:
        return False
    return bool(row and row[0])
