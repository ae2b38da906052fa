"""Whatever dies in the middle of a scheduled run, what comes after it makes everything right."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest
from moments import MOMENTS
from own_postgres import start_again, stop_immediately
from project import EXPORTED
from recovery import (
    WAITS_FOR_A_LOCK,
    Deployment,
    everything,
    held,
    kill_run,
    processes_of,
    states,
    wait_for_state,
    wait_until,
)

if TYPE_CHECKING:
    from conftest import Company
    from faults import Faults
    from prefect_server import PrefectServer, Service

    from crmhouse.embedded import EmbeddedServer

pytestmark = [pytest.mark.xdist_group("recovery"), pytest.mark.timeout(1200)]

LATE = EXPORTED["shopify"][-1].name


@pytest.fixture(scope="module")
def refreshes(
    deployments: dict[str, Deployment],
    process_worker: Service,  # noqa: ARG001  # it must be there
) -> Deployment:
    return deployments["refreshes"]


def test_a_flow_process_that_is_killed_is_started_again_and_its_run_completes(
    refreshes: Deployment, prefect: PrefectServer, rough: Company,
    golden: list[dict[str, str]], faults: Faults,
) -> None:  # fmt: skip
    run = refreshes.scheduled_run()
    wait_until(rough.warehouse, MOMENTS["rows are landing"])
    assert kill_run(run)
    killed = time.monotonic()
    faults.inject("kill -9 of a flow")
    wait_for_state(prefect, run, "Retrying")
    faults.notes.append(f"a killed run ran again after {time.monotonic() - killed:.0f} s")
    run = wait_for_state(prefect, run, "Completed", "Failed")
    assert run["state_name"] == "Completed", prefect.logs(run)
    assert run["run_count"] == 2
    names = [state["name"] for state in states(prefect, run)]
    assert "Crashed" in names
    assert "AwaitingRetry" in names
    assert everything(rough.warehouse) == golden[0]


def test_a_killed_server_is_waited_for_and_after_a_lost_postgres_the_next_run_heals(
    refreshes: Deployment, prefect: PrefectServer, prefect_process: Service,
    postgres: EmbeddedServer, rough: Company, golden: list[dict[str, str]], faults: Faults,
) -> None:  # fmt: skip
    rough.project.configure(until="batch_2")
    run = refreshes.scheduled_run()
    wait_until(rough.warehouse, MOMENTS["the raw gate is done"])
    prefect_process.kill()
    faults.inject("kill -9 of Prefect's server")
    assert processes_of(run), "it works on"
    wait_until(rough.warehouse, MOMENTS["marts are being built"])
    prefect_process.start()
    prefect.wait_until_it_answers()
    stop_immediately(postgres)
    faults.inject("PostgreSQL stopped")
    start_again(postgres)
    back = time.monotonic()
    run = wait_for_state(prefect, run, "Failed", "Completed")
    assert run["state_name"] == "Failed", "dbt lost its connections"
    assert everything(rough.warehouse)["marts.dim_customers"] == golden[0]["marts.dim_customers"]

    healing = refreshes.scheduled_run()
    healing = wait_for_state(prefect, healing, "Completed", "Failed")
    assert healing["state_name"] == "Completed", prefect.logs(healing)
    faults.notes.append(f"healed {time.monotonic() - back:.0f} s after PostgreSQL was back")
    assert everything(rough.warehouse) == golden[1]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told to go"])
def test_a_worker_that_goes_takes_its_run_along_and_the_next_worker_takes_it_up(
    deployments: dict[str, Deployment], prefect: PrefectServer, process_worker: Service,
    rough: Company, faults: Faults, how: signal.Signals,
) -> None:  # fmt: skip
    before = everything(rough.warehouse)
    with held(rough.warehouse, f"sync shopify.{LATE}"):
        run = deployments["syncs"].scheduled_run()
        wait_until(rough.warehouse, WAITS_FOR_A_LOCK)
        told = time.monotonic()
        if how == signal.SIGKILL:
            process_worker.kill()
        else:
            process_worker.stop(seconds=60)
        faults.inject(f"{how.name} of a worker")
        wait_for_state(prefect, run, "AwaitingRetry", seconds=240)
        faults.notes.append(
            f"after {how.name} of its worker a run was in the queue again after "
            f"{time.monotonic() - told:.0f} s"
        )
        assert not processes_of(run)
    process_worker.start()
    run = wait_for_state(prefect, run, "Completed", "Failed")
    assert run["state_name"] == "Completed", prefect.logs(run)
    assert run["run_count"] == 2
    assert everything(rough.warehouse) == before
