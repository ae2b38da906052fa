"""The base job templates, made into jobs by the workers' own classes."""

from __future__ import annotations

import asyncio
import tomllib
import uuid
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun

from flows.deployment.pool_template import configuration_class, read_template

FOLDER = Path(__file__).parents[2] / "deployments" / "work_pools"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def job(pool_type: str, **variables: Any) -> Any:
    template = read_template(FOLDER / f"{pool_type}.json", pool_type)
    made_of = configuration_class(pool_type).from_template_and_values
    nobody = PrefectClient("http://127.0.0.1:9/api")  # there is no block to ask for
    configuration = asyncio.run(made_of(template, variables, client=nobody))
    configuration.prepare_for_flow_run(FlowRun(id=uuid.uuid4(), flow_id=uuid.uuid4(), name="run"))
    return configuration


@pytest.mark.parametrize("pool_type", ["process", "docker"])
def test_a_run_phones_nobody_and_its_log_holds_ours(pool_type: str) -> None:
    made = job(pool_type, env={"CRMHOUSE_CONFIG": "/etc/crmhouse/crmhouse.yaml"})
    assert made.env["DO_NOT_TRACK"] == "1"
    assert made.env["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert made.env["PREFECT_LOGGING_EXTRA_LOGGERS"] == "crmhouse,ingestion,identity,quality,flows"
    assert made.env["CRMHOUSE_CONFIG"] == "/etc/crmhouse/crmhouse.yaml"


def test_a_container_is_of_our_version_and_has_no_rights() -> None:
    made = job("docker")
    root = Path(__file__).parents[2] / "pyproject.toml"
    version = tomllib.loads(root.read_text(encoding="utf-8"))["project"]["version"]
    assert made.image == f"crmhouse:{version}"
    assert made.image_pull_policy == "IfNotPresent"
    assert made.auto_remove is True
    assert made.privileged is False
    created = made.container_create_kwargs
    assert created["read_only"] is True
    assert created["cap_drop"] == ["ALL"]
    assert created["security_opt"] == ["no-new-privileges:true"]
    assert made.command == "prefect flow-run execute"
    assert job("docker", networks=["data"], mem_limit="2g").networks == ["data"]
