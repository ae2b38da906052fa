"""Runs that must not publish: a red gate, a second run at once, sources that fail."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from prefect_server import wait_for
from project import fingerprint

from crmhouse import pipeline
from flows import events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_server import PrefectServer
    from project import Project

    from crmhouse.warehouse import Warehouse

pytestmark = [
    pytest.mark.xdist_group("prefect-server"),
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("refreshed"),
]

BROKEN = "salesforce.opportunity/close_date_plausible"
SCRIPT = """
import json, sys
from pathlib import Path
from crmhouse.errors import CrmhouseError
from crmhouse.settings import load_settings
from flows.local import run_refresh

try:
    result = run_refresh(
        load_settings(Path(sys.argv[1])), force="force" in sys.argv,
        accept=[argument for argument in sys.argv[2:] if argument != "force"],
    )
    said = {"outcome": result.outcome, "status": result.status,
            "failures": [failure.stream for failure in result.failures]}
except CrmhouseError as error:
    said = {"error": type(error).__name__, "message": str(error)}
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def refresh(prefect: PrefectServer, project: Project) -> Any:
    """Runs the refresh in a process, with these tests' server keeping the record."""

    def run(*arguments: str) -> dict[str, Any]:
        result = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(project.config), *arguments],
            cwd=project.folder, env=prefect.environment(), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr[-4000:]
        said: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
        return said

    return run


@contextmanager
def a_broken_row(warehouse: Warehouse) -> Iterator[None]:
    """Break a rule of the raw gate behind the back of the quarantine."""
    change = "update raw_salesforce.opportunity set close_date = close_date {} interval '500 years'"
    first = "where id = (select min(id) from raw_salesforce.opportunity)"
    with warehouse.connect() as connection:
        connection.execute(f"{change.format('-')} {first}")
    try:
        yield
    finally:
        with warehouse.connect() as connection:
            connection.execute(f"{change.format('+')} {first}")


@dataclass(frozen=True)
class RedRun:
    """A run whose raw gate was red, and one in which that was accepted.

    Attributes:
        said: by the first.
        before: content of the marts before the first.
        after: and after it.
        accepted: said by the second.
    """

    said: dict[str, Any]
    before: dict[str, str]
    after: dict[str, str]
    accepted: dict[str, Any]


@pytest.fixture(scope="module")
def red(refresh: Any, refreshed: dict[str, Any], project_warehouse: Warehouse) -> RedRun:  # noqa: ARG001  # there are marts
    before = fingerprint(project_warehouse, "marts", "marts_build")
    with a_broken_row(project_warehouse):
        said = refresh("force")
        after = fingerprint(project_warehouse, "marts", "marts_build")
        accepted = refresh("force", BROKEN)
    return RedRun(said, before, after, accepted)


def test_a_red_gate_says_what_failed_and_where_to_see_it(red: RedRun) -> None:
    assert red.said["error"] == "GateFailedError"
    assert f"- {BROKEN}: 1 of " in red.said["message"]
    assert "gates.html" in red.said["message"]
    assert f"crmhouse run --accept {BROKEN}" in red.said["message"]


def test_a_result_that_somebody_accepts_lets_the_run_publish(red: RedRun) -> None:
    assert red.accepted == {"outcome": "published", "status": "succeeded", "failures": []}


def test_a_result_that_no_gate_has_is_refused_before_any_work(
    refresh: Any, prefect: PrefectServer
) -> None:
    said = refresh("shopify.orders/made_up")
    assert said["error"] == "ConfigurationError"
    assert "shopify.orders/made_up" in said["message"]
    # The run is known as ours on a server with other users.
    of_commands = {"deployment_id": {"is_null_": True}, "tags": {"all_": ["crmhouse"]}}
    assert prefect.call("/flow_runs/filter", {"flow_runs": of_commands})


def test_a_red_gate_stops_the_run_before_anything_is_built_or_published(
    red: RedRun, project_warehouse: Warehouse
) -> None:
    assert red.after == red.before
    assert "marts.dim_customers" in red.before
    with project_warehouse.connect() as connection:
        run = connection.execute(
            "select error from ops.pipeline_runs where status = 'failed'"
        ).fetchone()
    assert run
    assert "gate is red" in run[0]


def test_a_run_with_a_red_gate_shows_its_gates_and_its_reason(
    red: RedRun, prefect: PrefectServer
) -> None:
    assert red.said
    run = next(
        run for run in refresh_runs(prefect) if "gate is red" in (run["state"]["message"] or "")
    )
    shown = prefect.artifacts(run)
    assert shown["summary"].startswith("# Failed")
    assert any(row["status"] == "failed" for row in json.loads(shown["gates"]))


def test_a_red_gate_is_an_event_that_names_what_failed(red: RedRun, prefect: PrefectServer) -> None:
    assert red.said
    (event,) = wait_for(
        lambda: of_name(prefect, events.GATE_FAILED), seconds=60, what="the event of the gate"
    )
    payload = event["payload"]
    assert (payload["gate"], payload["expectations"], payload["failed"]) == ("raw", BROKEN, "1")
    assert f"- {BROKEN}: 1 of " in payload["message"]
    assert event["resource"]["prefect.resource.id"].startswith("crmhouse.warehouse.")


def test_a_second_run_at_once_is_refused_and_changes_nothing(
    refresh: Any, project_warehouse: Warehouse
) -> None:
    with pipeline.begin(project_warehouse) as run_id:
        said = refresh()
        pipeline.finish(project_warehouse, run_id, "failed", "held by a test")
    assert said["error"] == "AlreadyRunningError"
    assert str(run_id) in said["message"]


def test_a_stream_that_fails_makes_the_run_partial_and_stops_no_other(
    refresh: Any, project: Project, prefect: PrefectServer
) -> None:
    damaged = project.data / "batch_1" / "shopify" / "customers.jsonl"
    content = damaged.read_bytes()
    damaged.write_bytes(b"this is not JSON\n" * 10)
    try:
        said = refresh()
    finally:
        damaged.write_bytes(content)
    assert said == {"outcome": "nothing new", "status": "partial", "failures": ["customers"]}
    run = refresh_runs(prefect)[0]
    assert (run["state_type"], run["state_name"]) == ("COMPLETED", "Partial")
    (event,) = wait_for(
        lambda: of_name(prefect, events.SYNC_FAILED), seconds=60, what="the event of the sync"
    )
    assert (event["payload"]["source"], event["payload"]["streams"]) == ("shopify", "customers")
    assert "customers.jsonl" in event["payload"]["message"]
    rows = json.loads(prefect.artifacts(run)["rows-per-stream"])
    assert [row["stream"] for row in rows if row["error"]] == ["customers"]
    assert len(rows) > 1


def of_name(server: PrefectServer, name: str) -> list[dict[str, Any]]:
    """The events of a name."""
    found: list[dict[str, Any]] = server.call(
        "/events/filter", {"filter": {"event": {"name": [name]}}}
    )["events"]
    return found


def refresh_runs(server: PrefectServer) -> list[dict[str, Any]]:
    """All runs of the refresh, the newest first."""
    found: list[dict[str, Any]] = server.call(
        "/flow_runs/filter",
        {"flows": {"name": {"any_": ["refresh"]}}, "sort": "START_TIME_DESC"},
    )
    return [run for run in found if run["start_time"]]
