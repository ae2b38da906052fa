"""prefect.yaml says what it means: Prefect itself would drop a misspelt key without a word."""

from __future__ import annotations

import copy
from importlib import import_module
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect import Flow
from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    RawScheduleConfig,
    WorkPoolConfig,
)
from pydantic import ConfigDict, ValidationError

ROOT = Path(__file__).parents[2]
# Their annotations name classes that are defined below them.
DeploymentConfig.model_rebuild()
PrefectYamlModel.model_rebuild()
FORBID = ConfigDict(extra="forbid", populate_by_name=True)


class StrictWorkPool(WorkPoolConfig):
    model_config = FORBID


class StrictLimit(ConcurrencyLimitSpec):
    model_config = FORBID


class StrictDeployment(DeploymentConfig):
    model_config = FORBID
    schedules: list[RawScheduleConfig] | None = None
    concurrency_limit: StrictLimit | None = None
    work_pool: StrictWorkPool | None = None


class StrictFile(PrefectYamlModel):
    model_config = FORBID
    deployments: list[StrictDeployment]  # type: ignore[assignment]  # stricter than its parent


def content() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    return loaded


DEPLOYMENTS = {deployment["name"]: deployment for deployment in content()["deployments"]}


def test_every_key_is_one_that_prefect_knows() -> None:
    StrictFile.model_validate(content())


@pytest.mark.parametrize(
    "place",
    [(), ("deployments", 0), ("deployments", 0, "schedules", 0),
     ("deployments", 0, "concurrency_limit"), ("deployments", 1, "work_pool")],
)  # fmt: skip
def test_a_misspelt_key_anywhere_is_found(place: tuple[str | int, ...]) -> None:
    wrong: Any = copy.deepcopy(content())
    inner = wrong
    for step in place:
        inner = inner[step]
    inner["tiemzone"] = "Etc/UTC"
    with pytest.raises(ValidationError, match="tiemzone"):
        StrictFile.model_validate(wrong)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_an_entrypoint_is_a_flow_named_by_its_module_that_takes_the_parameters(name: str) -> None:
    deployment = DEPLOYMENTS[name]
    assert ":" not in deployment["entrypoint"], "a file path would load the module a second time"
    module, _, function = deployment["entrypoint"].rpartition(".")
    flow = getattr(import_module(module), function)
    assert isinstance(flow, Flow)
    assert flow.name == name
    offered = flow.parameters.properties
    assert set(deployment["parameters"]) <= set(offered)
    assert all(offered[parameter].get("description") for parameter in offered)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_waits_its_turn_on_the_work_pool_of_the_docs(name: str) -> None:
    deployment = DEPLOYMENTS[name]
    assert deployment["concurrency_limit"]["collision_strategy"] == "ENQUEUE"
    assert deployment["work_pool"]["name"] == "crmhouse"
    assert deployment["enforce_parameter_schema"] is True
    assert deployment["description"]
    assert "crmhouse" in deployment["tags"]


def test_only_one_refresh_runs_at_a_time() -> None:
    assert DEPLOYMENTS["refresh"]["concurrency_limit"]["limit"] == 1


def test_the_refresh_has_a_schedule_with_a_time_zone_that_stays_paused_when_it_was() -> None:
    schedules = DEPLOYMENTS["refresh"]["schedules"]
    assert schedules
    for schedule in schedules:
        assert ZoneInfo(schedule["timezone"])
        assert "active" not in schedule


def test_the_prefect_of_the_file_is_the_prefect_of_the_lock() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert f"prefect=={content()['prefect-version']} " in lock
