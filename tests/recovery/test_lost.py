"""Runs that nobody reports about, and the slots of the limits that they held."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prefect_server import DATABASE, wait_for
from recovery import (
    RECOVERY,
    Deployment,
    execute,
    kill_run,
    slots_taken,
    states,
    take_slot,
    wait_for_state,
)

from crmhouse.warehouse import Warehouse

if TYPE_CHECKING:
    from faults import Faults
    from prefect_server import PrefectServer, Service

    from crmhouse.embedded import EmbeddedServer

pytestmark = [pytest.mark.xdist_group("recovery"), pytest.mark.timeout(1800)]

LIMIT = "source-shop"  # its slot is held by the flow of `lost`


@pytest.fixture(scope="module")
def deployment(deployments: dict[str, Deployment]) -> Deployment:
    """The deployment of runs that are lost: one at a time."""
    return deployments["lost"]


@pytest.fixture(scope="module")
def lost(
    tmp_path_factory: pytest.TempPathFactory,
    deployment: Deployment,
    prefect: PrefectServer,
    prefect_process: Service,
) -> dict[str, Any]:
    """A run whose processes are all killed at once, as with a machine; then the server is, too."""
    prefect.call("/v2/concurrency_limits/", {"name": LIMIT, "limit": 1})
    run = deployment.run_by_hand()
    take_slot(prefect, run)
    log = tmp_path_factory.mktemp("lost") / "pod.log"
    process = execute(prefect, run, log, PREFECT_FLOWS_HEARTBEAT_FREQUENCY="30")
    wait_for(lambda: slots_taken(prefect, LIMIT), seconds=600, what="the slot of the source")
    wait_for(lambda: heard_of(prefect, run), seconds=120, what="its first report")
    assert slots_of(deployment) == 1
    assert kill_run(run) >= 2
    process.wait()
    prefect_process.kill()
    prefect_process.start()
    prefect.wait_until_it_answers()
    return {**run, "lost_at": time.monotonic()}


def heard_of(prefect: PrefectServer, run: dict[str, Any]) -> bool:
    wanted = {
        "event": {"name": ["prefect.flow-run.heartbeat"]},
        "resource": {"id": [f"prefect.flow-run.{run['id']}"]},
    }
    return bool(prefect.call("/events/filter", {"filter": wanted})["events"])


def slots_of(deployment: Deployment) -> int:
    """Return how many slots of a deployment's own limit are taken."""
    found = deployment.server.call(f"/deployments/{deployment.id}")
    return int(found["global_concurrency_limit"]["active_slots"])


def test_slots_are_still_held_when_the_server_was_killed(
    lost: dict[str, Any],  # noqa: ARG001
    deployment: Deployment,
    prefect: PrefectServer,
) -> None:
    assert slots_taken(prefect, LIMIT) == 1
    assert slots_of(deployment) == 1


@pytest.fixture(scope="module")
def crashing(
    lost: dict[str, Any],  # noqa: ARG001  # its time runs meanwhile
    deployments: dict[str, Deployment],
    process_worker: Service,  # noqa: ARG001  # it must be there
) -> dict[str, Any]:
    return deployments["crashes"].run_by_hand()


def test_a_run_that_always_crashes_is_tried_four_times(
    crashing: dict[str, Any], deployments: dict[str, Deployment], prefect: PrefectServer,
    faults: Faults,
) -> None:  # fmt: skip
    def given_up() -> bool:
        now = prefect.call(f"/flow_runs/{crashing['id']}")
        return now["run_count"] >= 4 and now["state_name"] == "Crashed"

    wait_for(given_up, seconds=900, what="the fourth crash")
    faults.inject("kill -9 of a flow", 4)
    seen = [state["name"] for state in states(prefect, crashing)]
    assert seen.count("Running") + seen.count("Retrying") >= 4, seen
    assert seen.count("AwaitingRetry") >= 3, seen
    assert slots_of(deployments["crashes"]) == 0


def test_a_run_that_never_starts_is_crashed_and_not_tried_for_ever(
    deployments: dict[str, Deployment], prefect: PrefectServer
) -> None:
    (automation,) = (
        one
        for one in yaml.safe_load(RECOVERY.read_text(encoding="utf-8"))["automations"]
        if one["name"] == "crmhouse-run-never-started"
    )
    automation["name"] += "-soon"
    automation["trigger"]["within"] = 10
    prefect.call("/automations/", automation)
    run = deployments["stuck"].run_by_hand()
    take_slot(prefect, run)
    assert slots_of(deployments["stuck"]) == 1
    run = wait_for_state(prefect, run, "Crashed", seconds=200)
    assert "did not start" in run["state"]["message"]
    assert slots_of(deployments["stuck"]) == 0


def test_a_limit_that_says_more_than_the_leases_is_put_right(
    prefect: PrefectServer, prefect_process: Service, postgres: EmbeddedServer
) -> None:
    assert prefect_process.pid
    prefect.call("/v2/concurrency_limits/", {"name": "source-drifted", "limit": 3})
    there = Warehouse({**postgres.parameters, "dbname": DATABASE}, embedded=True)
    with there.connect() as connection:
        connection.execute(
            "update concurrency_limit_v2 set active_slots = 3 where name = 'source-drifted'"
        )
    wait_for(
        lambda: slots_taken(prefect, "source-drifted") == 0, seconds=90, what="the limit put right"
    )


def test_a_run_that_is_lost_with_its_machine_is_found_and_put_back_in_the_queue(
    lost: dict[str, Any], deployment: Deployment, prefect: PrefectServer, faults: Faults
) -> None:
    run = wait_for_state(prefect, lost, "AwaitingRetry", seconds=600)
    seen = states(prefect, run)
    (crashed,) = (state for state in seen if state["name"] == "Crashed")
    assert "Nothing was heard" in crashed["message"]
    assert run["run_count"] == 1
    faults.inject("machine lost")
    faults.notes.append(
        f"a lost run was back in the queue {time.monotonic() - lost['lost_at']:.0f} s later at most"
    )
    assert slots_of(deployment) == 0
    wait_for(lambda: slots_taken(prefect, LIMIT) == 0, seconds=200, what="the slot of the source")


def test_a_run_that_was_given_up_is_left_alone(
    crashing: dict[str, Any], prefect: PrefectServer
) -> None:
    last = states(prefect, crashing)[-1]
    assert last["name"] == "Crashed"
    crashed = datetime.fromisoformat(last["timestamp"])
    long_ago = timedelta(seconds=45)  # by then it would have been started again
    wait_for(lambda: datetime.now(UTC) - crashed > long_ago, seconds=60, what="a while")
    assert states(prefect, crashing)[-1]["id"] == last["id"]
