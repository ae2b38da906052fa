"""A run that is killed at any moment, and the run after it: the same marts as if undisturbed."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from fault_points import wait_for_the_dead
from moments import MOMENTS, content, holds
from project import Project, fingerprint

from simulators.demo_data import generate

if TYPE_CHECKING:
    from pathlib import Path

    from faults import Faults

    from crmhouse.warehouse import Warehouse

pytestmark = [
    pytest.mark.xdist_group("killed"),
    pytest.mark.usefixtures("shared_prefect"),
    pytest.mark.timeout(1800),
]


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
        for name in ("rows are landing", "people are linked"):
            kills += kill_when(rough, warehouse, MOMENTS[name])
            assert marts(warehouse) == {}, name
        rough.run()
        assert content(warehouse) == golden[0]
        rough.configure(until="batch_2")
        for name in ("marts are being built", "the marts gate is done"):
            kills += kill_when(rough, warehouse, MOMENTS[name])
            assert marts(warehouse) in [only_marts(state) for state in golden], name
        rough.run()
        assert content(warehouse) == golden[1]
        with warehouse.connect() as connection:
            states = connection.execute(
                "select status, count(*) from ops.pipeline_runs group by 1"
            ).fetchall()
    faults.inject("kill -9", kills)
    assert kills >= 3
    assert "running" not in dict(states)


def marts(warehouse: Warehouse) -> dict[str, str]:
    return fingerprint(warehouse, "marts")


def only_marts(state: dict[str, str]) -> dict[str, str]:
    return {table: digest for table, digest in state.items() if table.startswith("marts.")}


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
