"""One Prefect server, one small Kubernetes and one worker for all tests of the worker."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from chart import NAMESPACE, rendered
from hardening import pods_of
from kubernetes_api import running
from kubernetes_cluster import Cluster
from prefect_server import (
    CREDENTIALS,
    FINAL,
    PrefectServer,
    Service,
    create_database,
    free_port,
    wait_for,
)
from project import FX_RATES
from release_rules import granted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardening import Manifest

    from crmhouse.warehouse import Warehouse

SUPPORT = Path(__file__).parents[1] / "support"
RATES = "month,currency,usd_per_unit\n2026-01,EUR,1.17\n2026-02,EUR,1.18\n2026-02,GBP,1.35\n"


class ImpatientServer(PrefectServer):
    """It has the worker end within seconds what is cancelled and does not end by itself."""

    def own_environment(self) -> dict[str, str]:
        timeout = "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_CANCELLING_TIMEOUT_SECONDS"
        return {**super().own_environment(), timeout: "10"}


@dataclass
class Platform:
    """All of it, running.

    Attributes:
        folder: of the files that pods and tests share.
        worker: the process of the worker.
        health: URL of the worker's probe.
    """

    server: PrefectServer
    cluster: Cluster
    folder: Path
    worker: Service
    health: str
    _deployments: dict[str, str] = field(default_factory=dict)

    def start(self, deployment: str, **run: Any) -> str:
        """Create a run of a deployment; return its id."""
        if deployment not in self._deployments:
            found = self.server.call(f"/deployments/name/{deployment}")
            self._deployments[deployment] = found["id"]
        path = f"/deployments/{self._deployments[deployment]}/create_flow_run"
        return str(self.server.call(path, {"state": {"type": "SCHEDULED"}, **run})["id"])

    def wait(self, name: str, **run: Any) -> str:
        """Start a run that waits for a file of that name."""
        return self.start("wait/wait", parameters={"until": str(self.folder / name)}, **run)

    def let_go(self, name: str) -> None:
        (self.folder / name).touch()

    def until_started(self, name: str) -> None:
        file = self.folder / f"{name}.started"

        def started() -> bool:
            assert self.cluster.faults == []
            return file.exists()

        wait_for(started, seconds=240, what=f"the pod of {name}")

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.server.call(f"/flow_runs/{run_id}")
        return found

    def until(self, run_id: str, *states: str) -> dict[str, Any]:
        """Wait until a run is in one of these states (a final one when left out); return it."""

        def reached() -> dict[str, Any] | None:
            run = self.run(run_id)
            there = {run["state_type"], run["state_name"]}
            return run if there & (set(states) or FINAL) else None

        found: dict[str, Any] = wait_for(reached, seconds=240, what=f"{run_id}: {states}")
        return found

    def until_log(self, run_id: str, text: str) -> str:
        def logged() -> str | None:
            log = self.server.logs({"id": run_id})
            return log if text in log else None

        found: str = wait_for(logged, seconds=120, what=f"the log line {text!r}")
        return found


@pytest.fixture(scope="module")
def platform(
    tmp_path_factory: pytest.TempPathFactory, server: Warehouse, module_warehouse: Warehouse
) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("kubernetes")
    (folder / "rates.csv").write_text(RATES, encoding="utf-8")
    # The hour must not bring a run that no test has started.
    never = {"refresh": {"cron": "0 0 29 2 *", "timezone": "Etc/UTC"}}
    release = rendered({"config": _config(folder), "schedules": never})
    mounts = ("/etc/crmhouse", "/var/lib/crmhouse", "/scripts")
    folders = {path: folder / path.strip("/").replace("/", "-") for path in mounts}
    for path in folders.values():
        path.mkdir()
    for name, content in _data(release, "crmhouse-scripts").items():
        (folders["/scripts"] / name).write_text(content, encoding="utf-8")
    for name, content in _data(release, "crmhouse-config").items():
        text = content
        if name == "crmhouse.yaml":  # the one file that refers to a path below a mount
            text = text.replace("/etc/crmhouse", str(folders["/etc/crmhouse"]))
        (folders["/etc/crmhouse"] / name).write_text(text, encoding="utf-8")
    cluster = Cluster(
        namespace=NAMESPACE,
        role=granted(release),
        keys={
            "crmhouse-warehouse": {"url": module_warehouse.url()},
            "crmhouse-prefect-auth": {"auth-string": CREDENTIALS},
        },
        folders=folders,
        environment={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{SUPPORT.parents[1]}:{SUPPORT}",
            "HOME": "/var/lib/crmhouse",
            "PREFECT_HOME": "/var/lib/crmhouse/prefect",
        },
        log=folder,
    )
    home = tmp_path_factory.mktemp("prefect")
    prefect = ImpatientServer(home, free_port(), create_database(server))
    with prefect.service(), running(cluster):
        prefect.wait_until_it_answers()
        _deploy(prefect, release, cluster)
        with _worker(prefect, release, cluster, home) as (service, health):
            yield Platform(prefect, cluster, folder, service, health)


def _config(folder: Path) -> dict[str, Any]:
    rates = {**FX_RATES, "glob": "rates.csv"}
    options = {"path": str(folder), "streams": {"fx_rates_monthly": rates}}
    return {"sources": [{"name": "reference", "kind": "files", "options": options}]}


def _data(release: list[Manifest], name: str) -> dict[str, str]:
    found: dict[str, str] = next(m["data"] for m in release if m["metadata"]["name"] == name)
    return found


def _pod(release: list[Manifest], component: str) -> dict[str, Any]:
    for pod in pods_of(release):
        if pod.component == component:
            return pod.spec
    raise AssertionError(component)


def _deploy(prefect: PrefectServer, release: list[Manifest], cluster: Cluster) -> None:
    """Do what the chart's deploy Job does, and add the flow of the tests."""
    pod = _pod(release, "deploy")
    for container in (*pod["initContainers"], *pod["containers"]):
        done = cluster.run(container, PREFECT_API_URL=prefect.url)
        assert done.returncode == 0, done.stdout + done.stderr
    flow = prefect.call("/flows/", {"name": "wait"})
    prefect.call(
        "/deployments/",
        {"name": "wait", "flow_id": flow["id"], "entrypoint": "pod_flows.wait",
         "work_pool_name": "crmhouse"},
    )  # fmt: skip


def _worker(prefect: PrefectServer, release: list[Manifest], cluster: Cluster, home: Path) -> Any:
    """Start the chart's worker: its command and variables, but for the addresses."""
    port = free_port()
    pod = _pod(release, "worker")
    for container in pod["initContainers"]:
        assert cluster.run(container, PREFECT_API_URL=prefect.url).returncode == 0
    container = pod["containers"][0]
    env = {
        **cluster.environment_of(container),
        "PREFECT_API_URL": prefect.url,
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
        "PREFECT_WORKER_WEBSERVER_PORT": str(port),
        "KUBECONFIG": str(cluster.kubeconfig(home / "kubeconfig")),
    }
    assert container["command"][0] == "prefect"
    return _Worker(Service(container["command"][1:], env, home / "worker.log"), port)


class _Worker:
    def __init__(self, service: Service, port: int) -> None:
        self._service, self._port = service, port

    def __enter__(self) -> tuple[Service, str]:
        self._service.start()
        return self._service, f"http://127.0.0.1:{self._port}/health"

    def __exit__(self, *_: object) -> None:
        self._service.stop()
