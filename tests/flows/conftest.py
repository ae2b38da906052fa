"""One real Prefect server, one worker and one small project for all tests of the flows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect_server import FINAL, PrefectServer, prefect_server, wait_for, worker
from project import Project

from simulators.demo_data import generate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crmhouse.warehouse import Warehouse

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="package")
def prefect(tmp_path_factory: pytest.TempPathFactory, server: Warehouse) -> Iterator[PrefectServer]:
    with prefect_server(tmp_path_factory.mktemp("prefect"), server) as running:
        yield running


@pytest.fixture(scope="package")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project over the first batch of a small company."""
    folder = tmp_path_factory.mktemp("flows_project")
    generate(folder / "data", persons=120)
    project = Project(folder, folder / "data")
    project.configure(until="batch_1")
    return project


@pytest.fixture(scope="package")
def project_warehouse(project: Project) -> Iterator[Warehouse]:
    """The project's warehouse, kept running between the flow runs."""
    with project.warehouse() as warehouse:
        yield warehouse


@pytest.fixture(scope="package")
def process_worker(
    prefect: PrefectServer,
    project: Project,
    project_warehouse: Warehouse,  # noqa: ARG001  # it runs while the worker does
) -> Iterator[None]:
    with worker(prefect, CRMHOUSE_CONFIG=str(project.config)):
        yield


@pytest.fixture(scope="package")
def refreshed(
    prefect: PrefectServer,
    process_worker: None,  # noqa: ARG001  # it must be there
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """The flow run of a refresh that was deployed from prefect.yaml and started by hand."""
    prefect.prefect("--no-prompt", "deploy", "--all", cwd=ROOT)
    deployment = prefect.call("/deployments/name/refresh/refresh")
    # The hour must not turn into a second run while these tests look at the first.
    prefect.call(f"/deployments/{deployment['id']}/pause_deployment", {})
    prefect.prefect("deployment", "run", "refresh/refresh", cwd=tmp_path_factory.mktemp("anywhere"))

    def ended() -> dict[str, Any] | None:
        runs = [run for run in prefect.runs(deployment["id"]) if not run["auto_scheduled"]]
        return next((run for run in runs if run["state_type"] in FINAL), None)

    run: dict[str, Any] = wait_for(ended, seconds=500, what="the refresh")
    assert run["state_type"] == "COMPLETED", prefect.logs(run)
    return run
