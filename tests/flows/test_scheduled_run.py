"""A run that nobody started: with the wrong library versions it never comes, silently."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prefect_server import wait_for

if TYPE_CHECKING:
    from prefect_server import PrefectServer
    from project import Project

    from crmhouse.warehouse import Warehouse

pytestmark = [pytest.mark.xdist_group("prefect-server"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def scheduled(
    prefect: PrefectServer,
    project: Project,
    process_worker: None,  # noqa: ARG001  # it must be there
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """A run that the scheduler made, of a source with a quick schedule in crmhouse.yaml."""
    content = yaml.safe_load(project.config.read_text(encoding="utf-8"))
    (reference,) = (source for source in content["sources"] if source["name"] == "reference")
    reference["schedule"] = "10s"
    config = tmp_path_factory.mktemp("deployed") / "crmhouse.yaml"
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "crmhouse.cli", "--config", str(config), "deploy", "--apply"],
        env=prefect.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    deployment = prefect.call("/deployments/name/sync-source/reference")

    def completed() -> dict[str, Any] | None:
        runs = prefect.runs(deployment["id"])
        failed = [run for run in runs if run["state_type"] in {"FAILED", "CRASHED"}]
        assert not failed, prefect.logs(failed[0])
        return next((run for run in runs if run["state_type"] == "COMPLETED"), None)

    try:
        run: dict[str, Any] = wait_for(completed, seconds=300, what="a scheduled run")
    finally:
        prefect.call(f"/deployments/{deployment['id']}/pause_deployment", {})
    return run


def test_a_run_that_the_scheduler_made_completes(scheduled: dict[str, Any]) -> None:
    assert scheduled["auto_scheduled"] is True
    assert scheduled["created_by"]["type"] == "SCHEDULE"
    assert scheduled["name"] == "sync reference"


def test_it_landed_what_the_source_had(
    scheduled: dict[str, Any], prefect: PrefectServer, project_warehouse: Warehouse
) -> None:
    with project_warehouse.connect() as connection:
        row = connection.execute("select count(*) from raw_reference.fx_rates_monthly").fetchone()
    assert row
    assert row[0] > 0
    assert "rows-per-stream" in prefect.artifacts(scheduled)
