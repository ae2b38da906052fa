"""One PostgreSQL that may die, one Prefect server on it, one worker, and one company's data."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from own_postgres import own_postgres
from prefect_server import DATABASE, POOL, PrefectServer, Service, make_pool, new_server, worker
from project import Project
from recovery import ELSEWHERE, RECOVERY, Deployment, deploy, everything

from crmhouse.warehouse import Warehouse, migrate
from simulators.demo_data import generate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from crmhouse.embedded import EmbeddedServer

TALK = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_HOME")
LIMIT = "source-shop"
BAD_FLOWS = f"""
import os
import signal
import time

from prefect import flow
from prefect.concurrency.sync import concurrency


@flow(name="refresh")
def crashes():
    os.kill(os.getpid(), signal.SIGKILL)


@flow(name="sync-source")
def sleeps():
    with concurrency("{LIMIT}", occupy=1, lease_duration=60, strict=True):
        time.sleep(3600)
"""


@dataclass(frozen=True)
class Company:
    """A project and the warehouse that it works on."""

    project: Project
    warehouse: Warehouse

    @property
    def variables(self) -> dict[str, str]:
        return {
            "CRMHOUSE_CONFIG": str(self.project.config),
            "CRMHOUSE_WAREHOUSE_URL": self.warehouse.url(),
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        }


@pytest.fixture(scope="package")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """The PostgreSQL of the warehouses and of Prefect."""
    with own_postgres(tmp_path_factory.mktemp("home of recovery")) as server:
        yield server


@pytest.fixture(scope="package")
def prefect(tmp_path_factory: pytest.TempPathFactory, postgres: EmbeddedServer) -> PrefectServer:
    return new_server(
        tmp_path_factory.mktemp("prefect"),
        Warehouse(postgres.parameters, embedded=True),
        DATABASE,
    )


@pytest.fixture(scope="package")
def prefect_process(prefect: PrefectServer) -> Iterator[Service]:
    """The server's process, with the automations of recovery in it."""
    with prefect.service() as process:
        prefect.wait_until_it_answers()
        prefect.prefect("automation", "create", "--from-file", str(RECOVERY), cwd=prefect.home)
        yield process


@pytest.fixture(scope="package")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("company"), persons=60, seed=3).folder


@pytest.fixture(scope="package")
def undisturbed(
    new_company: Callable[[str], Company],
    prefect: PrefectServer,
    prefect_process: Service,  # noqa: ARG001  # it keeps the record
) -> Iterator[Callable[[], Company]]:
    """Starts the run of a company that nothing disturbs; waits for its end where it is needed."""
    calm = new_company("calm")
    talk = {name: prefect.environment()[name] for name in TALK}
    project = replace(calm.project, variables={**calm.variables, **talk})
    process = project.start("run")

    @cache
    def published() -> Company:
        said, _ = process.communicate(timeout=1200)
        assert process.returncode == 0, said[-3000:]
        return calm

    yield published
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture(scope="package")
def golden(undisturbed: Callable[[], Company]) -> Callable[[], dict[str, str]]:
    """Tells what raw, identity and marts hold when nothing is disturbed."""
    return lambda: everything(undisturbed().warehouse)


@pytest.fixture(scope="package")
def calm(undisturbed: Callable[[], Company]) -> Company:
    """A company with its marts."""
    return undisturbed()


@pytest.fixture(scope="package")
def new_company(
    tmp_path_factory: pytest.TempPathFactory, data: Path, postgres: EmbeddedServer
) -> Callable[[str], Company]:
    """Makes companies with the same data, each with a name and a warehouse."""

    def made(name: str) -> Company:
        there = Warehouse(postgres.parameters, embedded=True)
        with there.connect(autocommit=True) as connection:
            connection.execute(f"create database {name}")
        warehouse = Warehouse({**postgres.parameters, "dbname": name}, embedded=False)
        migrate(warehouse)
        project = Project(tmp_path_factory.mktemp(name), data)
        project.configure()
        return Company(project, warehouse)

    return made


@pytest.fixture(scope="package")
def rough(new_company: Callable[[str], Company]) -> Company:
    """The company whose processes die."""
    return new_company("rough")


@pytest.fixture(scope="package")
def deployments(
    tmp_path_factory: pytest.TempPathFactory,
    prefect: PrefectServer,
    prefect_process: Service,  # noqa: ARG001  # it must be there
) -> dict[str, Deployment]:
    """Everything that these tests deploy. No worker serves the pool `elsewhere`."""
    folder = tmp_path_factory.mktemp("deployed")
    (folder / "bad.py").write_text(BAD_FLOWS, encoding="utf-8")
    for pool in (POOL, ELSEWHERE):
        make_pool(prefect, pool)
    one_at_a_time = {"limit": 1, "collision_strategy": "ENQUEUE"}
    bad: dict[str, Any] = {"parameters": {}, "concurrency_limit": one_at_a_time}
    shopify = {"parameters": {"source": "shopify"}}
    sleeps = {"of": "sync-source", "entrypoint": "bad.py:sleeps", "pool": ELSEWHERE, **bad}
    return deploy(
        prefect,
        folder,
        {
            "refreshes": {"of": "refresh"},
            "syncs": {"of": "sync-source", **shopify, "concurrency_limit": one_at_a_time},
            "pod-syncs": {"of": "sync-source", **shopify, "pool": ELSEWHERE},
            "pods": {"of": "refresh", "pool": ELSEWHERE},
            "crashes": {"of": "refresh", "entrypoint": "bad.py:crashes", **bad},
            "lost": sleeps,
            "stuck": sleeps,
        },
    )


@pytest.fixture(scope="package")
def process_worker(
    prefect: PrefectServer,
    prefect_process: Service,  # noqa: ARG001  # it must be there
    rough: Company,
) -> Iterator[Service]:
    with worker(prefect, **rough.variables) as service:
        yield service
