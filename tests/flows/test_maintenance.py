"""The maintenance on a real server: as it is deployed, and what it clears away in Prefect."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect_server import FINAL, url_of_database, wait_for

from crmhouse.errors import OrchestratorError
from flows.maintenance import TABLE, maintain
from flows.names import TAG
from flows.prefect_upkeep import ABANDONED, end_abandoned, forget_workers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx
    from prefect_server import PrefectServer

    from crmhouse.warehouse import Warehouse

pytestmark = [pytest.mark.xdist_group("prefect-server"), pytest.mark.timeout(900)]

OLD_RUN = """
    insert into ops.pipeline_runs (run_id, status, started_at, finished_at) values
        (gen_random_uuid(), 'failed', now() - interval '3 years', now() - interval '3 years')
"""


@pytest.fixture(scope="module")
def client(prefect: PrefectServer) -> Iterator[SyncPrefectClient]:
    secret = prefect.environment().get("PREFECT_API_AUTH_STRING")
    with SyncPrefectClient(prefect.url, auth_string=secret) as client:
        yield client


def left_running(prefect: PrefectServer, *tags: str) -> dict[str, Any]:
    """Make a flow run that says it runs."""
    flow = prefect.call("/flows/", {"name": "left-running"})
    body = {
        "flow_id": flow["id"], "name": uuid.uuid4().hex, "state": {"type": "RUNNING"}, "tags": tags
    }  # fmt: skip
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
        connection.execute(OLD_RUN)
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
    dead, alive, this = (left_running(prefect, TAG, "more") for _ in range(3))
    theirs = left_running(prefect, "theirs")
    beat(prefect, alive)
    try:
        assert end_abandoned(client, 1, uuid.UUID(this["id"])) == ()
        assert end_abandoned(client, None, uuid.UUID(this["id"])) == ()
        ended = end_abandoned(client, 0, uuid.UUID(this["id"]))
        assert dead["name"] in ended
        assert not {alive["name"], this["name"], theirs["name"]} & set(ended)
        assert state_of(prefect, dead) == ABANDONED
        assert {state_of(prefect, run) for run in (alive, this, theirs)} == {"Running"}
    finally:
        for run in (alive, this, theirs):
            prefect.call(f"/flow_runs/{run['id']}", method="DELETE")


def test_a_worker_that_is_gone_is_forgotten(
    prefect: PrefectServer, client: SyncPrefectClient
) -> None:
    ours, theirs = (f"pool-{uuid.uuid4().hex}" for _ in range(2))
    for pool in (ours, theirs):
        prefect.call("/work_pools/", {"name": pool, "type": "process"})
        heartbeat = {"name": "gone", "heartbeat_interval_seconds": 1}
        prefect.call(f"/work_pools/{pool}/workers/heartbeat", heartbeat)
    try:
        assert forget_workers(client, None, ours) == ()
        assert forget_workers(client, 1, ours) == ()
        assert forget_workers(client, 0, ours) == ("gone",)
        assert prefect.call(f"/work_pools/{ours}/workers/filter", {}) == []
        assert len(prefect.call(f"/work_pools/{theirs}/workers/filter", {})) == 1
    finally:
        for pool in (ours, theirs):
            prefect.call(f"/work_pools/{pool}", method="DELETE")
    assert forget_workers(client, 0, ours) == ()  # a pool that is not there


def test_what_has_vanished_meanwhile_is_passed_over(
    prefect: PrefectServer, client: SyncPrefectClient
) -> None:
    vanished, dead = (left_running(prefect, TAG) for _ in range(2))
    this = left_running(prefect)

    def vanish(request: httpx.Request) -> None:
        if request.url.path.endswith(f"{vanished['id']}/set_state"):
            prefect.call(f"/flow_runs/{vanished['id']}", method="DELETE")

    hooks = client._client.event_hooks  # noqa: SLF001
    client._client.event_hooks = {**hooks, "request": [vanish]}  # noqa: SLF001
    try:
        ended = end_abandoned(client, 0, uuid.UUID(this["id"]))
    finally:
        client._client.event_hooks = hooks  # noqa: SLF001
        prefect.call(f"/flow_runs/{this['id']}", method="DELETE")
    assert dead["name"] in ended
    assert vanished["name"] not in ended


@pytest.mark.filterwarnings("ignore:Artifact creation outside of a flow")
def test_the_warehouse_has_its_part_when_prefects_server_is_away(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url_of_database(warehouse, warehouse.parameters["dbname"]).replace("+asyncpg", "")
    monkeypatch.setenv("CRMHOUSE_WAREHOUSE_URL", url)
    (tmp_path / "crmhouse.yaml").write_text("log_level: INFO\n")
    with warehouse.connect() as connection:
        connection.execute(OLD_RUN)
        connection.execute(OLD_RUN)  # the last run is kept
    away = {PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    with (
        temporary_settings(away),
        pytest.raises(OrchestratorError, match=r"ConnectError.*The warehouse's is done"),
    ):
        maintain.fn(str(tmp_path / "crmhouse.yaml"))
    with warehouse.connect() as connection:
        assert connection.execute("select count(*) from ops.pipeline_runs").fetchone() == (1,)
