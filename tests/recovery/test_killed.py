"""Whatever dies in the middle of a run, what comes after it makes everything right."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from moments import MOMENTS, RUNNING
from own_postgres import start_again, stop_immediately
from project import EXPORTED
from recovery import (
    WAITS_FOR_A_LOCK,
    Deployment,
    everything,
    evict,
    held,
    kill_run,
    no_more_than,
    states,
    wait_for_second_try,
    wait_for_state,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Company
    from faults import Faults
    from prefect_server import PrefectServer, Service

    from crmhouse.embedded import EmbeddedServer

pytestmark = [pytest.mark.xdist_group("recovery"), pytest.mark.timeout(1800)]

LATE = EXPORTED["shopify"][-1].name


def test_whatever_dies_the_next_scheduled_run_makes_everything_right(
    deployments: dict[str, Deployment], prefect: PrefectServer, prefect_process: Service,
    process_worker: Service, postgres: EmbeddedServer, rough: Company,
    golden: Callable[[], dict[str, str]], tmp_path: Path, faults: Faults,
) -> None:  # fmt: skip
    # A pod is told to go while dbt works, and takes its disk along.
    pod = deployments["pods"].run_by_hand()
    seconds = evict(
        prefect, pod, rough.warehouse, MOMENTS["marts are being built"], tmp_path,
        home=rough.project.folder / ".crmhouse", **rough.variables,
    )  # fmt: skip
    wait_until(rough.warehouse, no_more_than(0))
    faults.inject("SIGTERM")
    faults.notes.append(f"dbt that was told to go was gone after {seconds:.1f} s")

    expected = golden()  # what dies next would disturb that run, too

    # The process of a scheduled run is killed, and the run comes back by itself.
    assert process_worker.pid
    run = deployments["refreshes"].scheduled_run()
    wait_until(rough.warehouse, MOMENTS["the raw gate is done"])
    with rough.warehouse.connect() as connection:
        first = connection.execute(f"select {RUNNING}").fetchone()
    assert kill_run(run)
    assert first
    killed = time.monotonic()
    faults.inject("kill -9 of a flow")
    wait_for_second_try(prefect, run)
    faults.notes.append(f"a killed run ran again after {time.monotonic() - killed:.0f} s")

    # It works on without Prefect's server, until PostgreSQL goes, too.
    wait_until(rough.warehouse, f"select {RUNNING} <> '{first[0]}'")
    wait_until(rough.warehouse, MOMENTS["the raw gate is done"])
    prefect_process.kill()
    faults.inject("kill -9 of Prefect's server")
    wait_until(rough.warehouse, MOMENTS["marts are being built"])
    stop_immediately(postgres)
    faults.inject("PostgreSQL stopped")
    start_again(postgres)
    prefect_process.start()
    prefect.wait_until_it_answers()
    back = time.monotonic()
    assert not any(table.startswith("marts.") for table in everything(rough.warehouse))

    healing = deployments["refreshes"].scheduled_run()
    healing = wait_for_state(prefect, healing, "Completed", "Failed")
    assert healing["state_name"] == "Completed", prefect.logs(healing)
    faults.notes.append(f"healed {time.monotonic() - back:.0f} s after both servers were back")
    assert everything(rough.warehouse) == expected
    with rough.warehouse.connect() as connection:
        told = connection.execute("select status, count(*) from ops.pipeline_runs group by 1")
        assert dict(told.fetchall()).keys() <= {"succeeded", "failed"}


@pytest.mark.usefixtures("process_worker")
def test_a_run_whose_process_is_gone_comes_back_by_itself_and_completes(
    deployments: dict[str, Deployment],
    prefect: PrefectServer,
    rough: Company,
    golden: Callable[[], dict[str, str]],
    faults: Faults,
) -> None:
    with held(rough.warehouse, f"sync shopify.{LATE}"):
        run = deployments["syncs"].scheduled_run()
        wait_until(rough.warehouse, WAITS_FOR_A_LOCK)
        gone = time.monotonic()
        assert kill_run(run)
        faults.inject("kill -9 of a flow")
        wait_for_second_try(prefect, run)
        faults.notes.append(f"it ran again {time.monotonic() - gone:.0f} s after its end")
    run = wait_for_state(prefect, run, "Completed", "Failed")
    assert run["state_name"] == "Completed", prefect.logs(run)
    assert run["run_count"] == 2
    assert "Crashed" in [state["name"] for state in states(prefect, run)]
    has_what_it_must(rough, golden())


def test_a_run_whose_worker_is_killed_completes_with_it_or_after_it(
    deployments: dict[str, Deployment], prefect: PrefectServer, process_worker: Service,
    rough: Company, golden: Callable[[], dict[str, str]], faults: Faults,
) -> None:  # fmt: skip
    with held(rough.warehouse, f"sync shopify.{LATE}"):
        run = deployments["syncs"].scheduled_run()
        wait_until(rough.warehouse, WAITS_FOR_A_LOCK)
        process_worker.kill()
        faults.inject("kill -9 of a worker")
    process_worker.start()
    run = wait_for_state(prefect, run, "Completed", "Failed")
    assert run["state_name"] == "Completed", prefect.logs(run)
    has_what_it_must(rough, golden())


def has_what_it_must(rough: Company, golden: dict[str, str]) -> None:
    """Compare what the shop's sync lands."""
    found = everything(rough.warehouse)
    shop = {table: digest for table, digest in golden.items() if table.startswith("raw_shopify.")}
    assert {table: found[table] for table in shop} == shop
