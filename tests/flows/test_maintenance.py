"""The maintenance on a real server: as it is deployed, and what it clears away in Prefect."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect_server import FINAL, wait_for

from flows.maintenance import TABLE
from flows.prefect_upkeep import ABANDONED, end_abandoned, forget_workers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect_server import PrefectServer

    from crmhouse.warehouse import Warehouse

pytestmark = [pytest.mark.xdist_group("prefect-server"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def client(prefect: PrefectServer) -> Iterator[SyncPrefectClient]:
    secret = prefect.environment().get("PREFECT_API_AUTH_STRING")
    with SyncPrefectClient(prefect.url, auth_string=secret) as client:
        yield client


def left_running(prefect: PrefectServer) -> dict[str, Any]:
    """Make a flow run that says it runs."""
    flow = prefect.call("/flows/", {"name": "left-running"})
    body = {"flow_id": flow["id"], "name": uuid.uuid4().hex, "state": {"type": "RUNNING"}}
    run: dict[str, Any] = prefect.call("/flow_runs/", body)
    return run


def state_of(prefect: PrefectServer, run: dict[str, Any]) -> str:
    return str(prefect.call(f"/flow_runs/{run['id']}")["state_name"])


def beat(prefect: PrefectServer, run: dict[str, Any]) -> None:
    """Send a heartbeat of a run, and wait until the server knows it."""
    resource = f"prefect.flow-run.{run['id']}"
    event = {
        "id": str(uuid.uuid4()), "occurred": datetime.now(UTC).isoformat(), "payload": {},
        "event": "prefect.flow-run.heartbeat", "resource": {"prefect.resource.id": resource},
    }  # fmt: skip
    prefect.call("/events", [event])
    known = {"filter": {"resource": {"id": [resource]}, "event": {"name": [event["event"]]}}}
    wait_for(lambda: prefect.call("/events/filter", known)["events"], seconds=60, what="an event")


def test_the_deployed_flow_shows_what_it_did(
    prefect: PrefectServer,
    refreshed: dict[str, Any],  # noqa: ARG001  # it has deployed everything
    project_warehouse: Warehouse,
    tmp_path: Path,
) -> None:
    deployment = prefect.call("/deployments/name/maintain/maintain")
    with project_warehouse.connect() as connection:
        connection.execute(
            "insert into ops.pipeline_runs (run_id, status, started_at, finished_at) values "
            "(gen_random_uuid(), 'failed', now() - interval '3 years', now() - interval '3 years')"
        )
    prefect.prefect("deployment", "run", "maintain/maintain", cwd=tmp_path)

    def ended() -> dict[str, Any] | None:
        runs = prefect.runs(deployment["id"])
        return next((run for run in runs if run["state_type"] in FINAL), None)

    run: dict[str, Any] = wait_for(ended, seconds=300, what="the maintenance")
    assert run["state_name"] == "Completed", prefect.logs(run)
    rows = json.loads(prefect.artifacts(run)[TABLE])
    assert {"what": "ops.pipeline_runs", "outcome": "removed", "count": 1} in rows
    said = "ops.pipeline_runs: 1 rows older than 365 days removed"
    wait_for(lambda: said in prefect.logs(run), seconds=60, what="the log of the run")


def test_a_run_that_was_left_behind_is_ended_and_one_that_lives_is_not(
    prefect: PrefectServer, client: SyncPrefectClient
) -> None:
    dead, alive, this = (left_running(prefect) for _ in range(3))
    beat(prefect, alive)
    try:
        assert end_abandoned(client, 1, uuid.UUID(this["id"])) == ()
        assert end_abandoned(client, None, uuid.UUID(this["id"])) == ()
        ended = end_abandoned(client, 0, uuid.UUID(this["id"]))
        assert dead["name"] in ended
        assert not {alive["name"], this["name"]} & set(ended)
        assert state_of(prefect, dead) == ABANDONED
        assert {state_of(prefect, run) for run in (alive, this)} == {"Running"}
    finally:
        for run in (alive, this):
            prefect.call(f"/flow_runs/{run['id']}", method="DELETE")


def test_a_worker_that_is_gone_is_forgotten(
    prefect: PrefectServer, client: SyncPrefectClient
) -> None:
    pool = prefect.call("/work_pools/", {"name": f"pool-{uuid.uuid4().hex}", "type": "process"})
    workers = f"/work_pools/{pool['name']}/workers"
    prefect.call(f"{workers}/heartbeat", {"name": "gone", "heartbeat_interval_seconds": 1})
    try:
        assert forget_workers(client, None) == ()
        assert "gone" not in forget_workers(client, 1)
        assert "gone" in forget_workers(client, 0)
        assert prefect.call(f"{workers}/filter", {}) == []
    finally:
        prefect.call(f"/work_pools/{pool['name']}", method="DELETE")
