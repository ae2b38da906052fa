"""prefect.yaml as it is: for `crmhouse deploy`, and for Prefect's own `prefect deploy --all`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect.cli.deploy import _models

from flows.deployment import prefect_file

if TYPE_CHECKING:
    from pydantic import BaseModel

ROOT = Path(__file__).parents[2]
CONTENT: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
DEPLOYMENTS = {deployment["name"]: deployment for deployment in CONTENT["deployments"]}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (prefect_file.PrefectFile, _models.PrefectYamlModel),
        (prefect_file.DeploymentEntry, _models.DeploymentConfig),
        (prefect_file.ScheduleEntry, _models.RawScheduleConfig),
        (prefect_file.ConcurrencyEntry, _models.ConcurrencyLimitSpec),
        (prefect_file.PoolEntry, _models.WorkPoolConfig),
    ],
)
def test_every_key_that_we_take_is_one_of_prefects(
    ours: type[BaseModel], theirs: type[BaseModel]
) -> None:
    assert set(ours.model_fields) - {"definitions"} <= set(theirs.model_fields)


def test_the_file_is_read_and_every_flow_of_it_is_there() -> None:
    found = prefect_file.read_prefect_file(ROOT / "prefect.yaml", lambda _: None)
    assert {"refresh", "sync-source"} <= {entry.name for entry in found.deployments}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_waits_its_turn_on_our_work_pool_and_is_described(name: str) -> None:
    deployment = DEPLOYMENTS[name]
    assert deployment["concurrency_limit"]["collision_strategy"] == "ENQUEUE"
    assert deployment["work_pool"]["name"] == "crmhouse"
    assert deployment["enforce_parameter_schema"] is True
    assert deployment["description"]
    assert "crmhouse" in deployment["tags"]
    for schedule in deployment.get("schedules", ()):
        assert ZoneInfo(schedule["timezone"])
        assert "active" not in schedule, "a `prefect deploy` would wake one that was paused"


def test_only_one_refresh_runs_at_a_time_and_it_has_a_schedule() -> None:
    assert DEPLOYMENTS["refresh"]["concurrency_limit"]["limit"] == 1
    assert DEPLOYMENTS["refresh"]["schedules"]


def test_the_prefect_of_the_file_is_the_prefect_of_the_lock() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert f"prefect=={CONTENT['prefect-version']} " in lock
