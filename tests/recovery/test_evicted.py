"""A pod that is told to go, its disk gone with it, and the pod after it."""

from __future__ import annotations

import shutil
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from moments import MOMENTS
from prefect_server import wait_for
from project import EXPORTED
from recovery import (
    WAITS_FOR_A_LOCK,
    Deployment,
    everything,
    execute,
    held,
    processes_of,
    states,
    take_slot,
    wait_for_state,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Company
    from faults import Faults
    from prefect_server import PrefectServer

    from crmhouse.warehouse import Warehouse

pytestmark = [pytest.mark.xdist_group("recovery"), pytest.mark.timeout(1200)]

GRACE = 30  # seconds that the platform grants at least; the chart asks for 60
LATE = EXPORTED["shopify"][-1].name


def no_more_than(connections: int) -> str:
    """Return the condition that so many connections of runs are open, whatever they do."""
    return f"""
        select count(*) <= {connections} from pg_stat_activity
        where datname = current_database() and application_name in ('crmhouse', 'crmhouse-dbt')
            and pid <> pg_backend_pid()
    """


@pytest.fixture(scope="module")
def evicted(new_company: Callable[[str], Company]) -> Company:
    return new_company("evicted")


@pytest.fixture(scope="module")
def refreshes(deployments: dict[str, Deployment]) -> Deployment:
    return deployments["pods"]


def test_a_run_that_is_evicted_twice_leaves_in_time_and_goes_on_where_it_was(
    refreshes: Deployment, prefect: PrefectServer, evicted: Company,
    golden: list[dict[str, str]], tmp_path: Path, faults: Faults,
) -> None:  # fmt: skip
    warehouse = evicted.warehouse
    run = refreshes.run_by_hand()
    with held(warehouse, f"sync shopify.{LATE}"):
        seconds = evict(prefect, run, evicted, WAITS_FOR_A_LOCK, tmp_path)
        # Its statements are gone, too, though what they waited for is still held.
        wait_until(warehouse, no_more_than(1))
        landed = versions(warehouse)
        assert len(landed) > 10
    faults.inject("SIGTERM")
    faults.notes.append(f"a sync that was told to go was gone after {seconds:.1f} s")

    seconds = evict(prefect, run, evicted, MOMENTS["marts are being built"], tmp_path)
    wait_until(warehouse, no_more_than(0))
    assert "marts.dim_customers" not in everything(warehouse)
    kept = versions(warehouse)
    assert {table: kept[table] for table in landed} == landed, "rows were landed again"
    faults.inject("SIGTERM")
    faults.notes.append(f"dbt that was told to go was gone after {seconds:.1f} s")

    take_slot(prefect, run)
    assert execute(prefect, run, tmp_path / "pod.log", **evicted.variables).wait(300) == 0
    run = wait_for_state(prefect, run, "Completed", seconds=10)
    assert run["run_count"] == 3
    assert [state["name"] for state in states(prefect, run)].count("AwaitingRetry") == 2
    assert everything(warehouse) == golden[0]


def test_a_run_that_prefect_starts_twice_at_once_changes_nothing(
    refreshes: Deployment, prefect: PrefectServer, evicted: Company, tmp_path: Path, faults: Faults
) -> None:
    before = versions(evicted.warehouse, "marts", "identity")
    run = refreshes.run_by_hand()
    take_slot(prefect, run)
    with held(evicted.warehouse, f"sync shopify.{LATE}"):
        first = execute(prefect, run, tmp_path / "first.log", **evicted.variables)
        wait_until(evicted.warehouse, WAITS_FOR_A_LOCK)
        second = execute(prefect, run, tmp_path / "second.log", **evicted.variables)
        second.wait(200)
        assert first.poll() is None, "the first one goes on"
    first.wait(200)
    faults.inject("run started twice")
    assert versions(evicted.warehouse, "marts", "identity") == before
    with evicted.warehouse.connect() as connection:
        outcomes = connection.execute(
            "select status, outcome from ops.pipeline_runs order by started_at desc limit 1"
        ).fetchall()
    assert outcomes == [("succeeded", "nothing new")]
    seen = [(state["name"], state["message"]) for state in states(prefect, run)]
    assert seen[-1][0] == "Completed", seen


def evict(
    prefect: PrefectServer, run: dict[str, Any], company: Company, when: str, folder: Path
) -> float:
    """Run a pod until a condition holds, tell it to go, and take its disk away.

    Returns:
        The seconds until it was gone.
    """
    take_slot(prefect, run)
    pod = execute(
        prefect, run, folder / "pod.log",
        PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR="reschedule", **company.variables,
    )  # fmt: skip
    wait_until(company.warehouse, when)
    told = time.monotonic()
    pod.send_signal(signal.SIGTERM)
    assert pod.wait(GRACE) == 0, (folder / "pod.log").read_text(encoding="utf-8")[-3000:]
    seconds = time.monotonic() - told
    wait_for(lambda: not processes_of(run), seconds=GRACE - seconds, what="the end of all of it")
    wait_for_state(prefect, run, "AwaitingRetry", seconds=5)
    shutil.rmtree(company.project.folder / ".crmhouse")
    return seconds


def versions(warehouse: Warehouse, *more: str) -> dict[str, tuple[Any, ...]]:
    """Return what shows of each raw table whether any row of it was written since."""
    with warehouse.connect() as connection:
        tables = connection.execute(
            "select schemaname, tablename from pg_tables "
            "where schemaname like 'raw%%' or schemaname = any(%s)",
            [list(more)],
        ).fetchall()
        return {
            f"{schema}.{table}": tuple(
                connection.execute(
                    f"select count(*), md5(string_agg(xmin::text || ctid, '' order by ctid)) "
                    f'from "{schema}"."{table}"'
                ).fetchone()
                or ()
            )
            for schema, table in tables
        }
