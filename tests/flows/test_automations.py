"""The automations of recovery act on the runs that they are meant for, and their figures agree."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from prefect.events.schemas.automations import AutomationCore
from prefect.server.events.schemas.automations import EventTrigger
from prefect.server.events.schemas.events import ReceivedEvent
from prefect.settings import get_current_settings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deployments" / "automations" / "recovery.yaml"
AUTOMATIONS: dict[str, Any] = {
    one["name"]: one for one in yaml.safe_load(FILE.read_text(encoding="utf-8"))["automations"]
}
TRIGGERS = {name: EventTrigger(**one["trigger"]) for name, one in AUTOMATIONS.items()}
POOLS = [
    json.loads(template.read_text(encoding="utf-8"))
    for template in (ROOT / "deployments" / "work_pools").glob("*.json")
]
DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
RESUME = TRIGGERS["crmhouse-resume-crashed-run"]


def event(
    name: str, *, flow: str = "refresh", count: str = "1", tags: tuple[str, ...] = ("crmhouse",)
) -> ReceivedEvent:
    """An event of a flow run, as Prefect's server makes it."""
    related = [
        {"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"}
        for tag in tags
    ]
    of_flow = {
        "prefect.resource.id": f"prefect.flow.{uuid4()}",
        "prefect.resource.role": "flow",
        "prefect.resource.name": flow,
    }
    run = {"prefect.resource.id": f"prefect.flow-run.{uuid4()}", "prefect.run-count": count}
    content = {"resource": run, "related": [of_flow, *related], "id": uuid4()}
    now = datetime.now(UTC)
    return ReceivedEvent(event=f"prefect.flow-run.{name}", occurred=now, received=now, **content)


def resumes(event: ReceivedEvent) -> bool:
    return RESUME.covers(event) and RESUME.starts_after(event.event)


@pytest.mark.parametrize("name", AUTOMATIONS)
def test_prefect_knows_every_key(name: str) -> None:
    automation = AutomationCore.model_validate(AUTOMATIONS[name])
    assert set(AUTOMATIONS[name]) <= set(AutomationCore.model_fields)
    assert set(AUTOMATIONS[name]["trigger"]) <= set(EventTrigger.model_fields)
    for action, given in zip(automation.actions, AUTOMATIONS[name]["actions"], strict=True):
        assert set(given) <= set(type(action).model_fields)


@pytest.mark.parametrize(
    ("count", "resumed"), [("0", False), ("1", True), ("2", True), ("3", True), ("4", False)]
)
def test_a_run_is_resumed_three_times_and_never_one_that_did_not_run(
    count: str, resumed: bool
) -> None:
    assert resumes(event("Crashed", count=count)) is resumed


def test_only_crashed_runs_of_ours_are_resumed_and_no_slice() -> None:
    assert not resumes(event("Failed"))
    assert not resumes(event("Crashed", tags=()))
    assert not resumes(event("Crashed", flow="sync-slice", tags=("crmhouse", "slice")))


@pytest.mark.parametrize("name", ["crmhouse-lost-run", "crmhouse-run-never-started"])
@pytest.mark.parametrize("state", ["Completed", "Partial", "AwaitingRetry", "Crashed", "heartbeat"])
def test_whatever_is_heard_of_a_run_counts(name: str, state: str) -> None:
    slice_of_ours = event(state, flow="sync-slice", tags=("crmhouse", "slice"))
    assert TRIGGERS[name].covers(slice_of_ours)
    assert TRIGGERS[name].expects(slice_of_ours.event)
    assert not TRIGGERS[name].covers(event(state, tags=("somebody else's",)))


def test_the_figures_agree() -> None:
    within = TRIGGERS["crmhouse-lost-run"].within
    pools = [pool["variables"]["properties"]["env"]["default"] for pool in POOLS]
    for deployment in DEPLOYMENTS:
        own = deployment["work_pool"].get("job_variables", {}).get("env", {})
        for of_pool in pools or [{}]:
            reports = {**of_pool, **own}["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]
            assert within >= 3 * timedelta(seconds=int(reports)), "healthy runs would be taken"
    lease = get_current_settings().server.concurrency.initial_deployment_lease_duration
    assert within < timedelta(seconds=lease), "a second run could begin beside the lost one"


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda one: one["name"])
def test_every_deployment_is_watched_and_resumed(deployment: dict[str, Any]) -> None:
    module, _, name = deployment["entrypoint"].rpartition(".")
    flow = getattr(import_module(module), name).name
    assert "crmhouse" in deployment["tags"]
    sees = resumes(event("Crashed", flow=flow, tags=tuple(deployment["tags"])))
    assert sees is (flow != "sync-slice")
