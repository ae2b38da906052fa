"""A real Prefect server and a process worker, each a process of its own on this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from project import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

POOL = "crmhouse"
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True)
class PrefectServer:
    """A running server.

    Attributes:
        home: PREFECT_HOME of the server and of everything that talks to it.
    """

    home: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **environment(),
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
            **more,
        }

    def call(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """Ask the API; with a body it is a POST unless the method is given.

        A server that is busy with its database answers 503: Prefect's own client tries again, too.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310  # our own loopback
            self.url + path, data, {"Content-Type": "application/json"}, method=method
        )
        for pause in (0.5, 1, 2, 4, None):
            try:
                with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
                    content = response.read()
            except urllib.error.HTTPError as error:
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE or pause is None:
                    raise
                time.sleep(pause)
            else:
                break
        return json.loads(content) if content else None

    def prefect(self, *arguments: str, cwd: Path, **more: str) -> str:
        """Run Prefect's command line; return what it printed."""
        result = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=cwd, env=self.environment(**more), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert result.returncode == 0, f"{result.stdout[-4000:]}\n{result.stderr[-4000:]}"
        return result.stdout

    def runs(self, deployment_id: str) -> list[dict[str, Any]]:
        body = {"deployments": {"id": {"any_": [deployment_id]}}}
        found: list[dict[str, Any]] = self.call("/flow_runs/filter", body)
        return found

    def artifacts(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """Return the data of a run's artifacts, by key."""
        body = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
        found = self.call("/artifacts/filter", body)
        return {artifact["key"]: artifact["data"] for artifact in found}

    def logs(self, run: Mapping[str, Any]) -> str:
        body = {"logs": {"flow_run_id": {"any_": [run["id"]]}}}
        return "\n".join(line["message"] for line in self.call("/logs/filter", body))


@contextmanager
def prefect_server(home: Path) -> Iterator[PrefectServer]:
    """Start a server on a free port and end it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = PrefectServer(home, port)
    command = ["server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with _process(command, server.environment(PREFECT_API_URL=""), home / "server.log"):
        wait_for(lambda: _healthy(server), seconds=300, what="Prefect's server")
        yield server


@contextmanager
def worker(server: PrefectServer, **more: str) -> Iterator[None]:
    """Have a process worker serve the pool of the deployments."""
    template = Path(__file__).parents[2] / "deployments" / "work_pools" / "process.json"
    server.prefect(
        "work-pool", "create", POOL, "--type", "process", "--overwrite",
        "--base-job-template", str(template), cwd=server.home,
    )  # fmt: skip
    command = ["worker", "start", "--pool", POOL, "--type", "process"]
    with _process(command, server.environment(**more), server.home / "worker.log"):
        yield


def wait_for(found: Callable[[], Any], *, seconds: float, what: str) -> Any:
    """Ask again and again until the answer is true; return it."""
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.5)
    return answer


@contextmanager
def _process(arguments: list[str], env: dict[str, str], log: Path) -> Iterator[None]:
    kept = {name: value for name, value in env.items() if value}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=log.parent, env=kept, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _healthy(server: PrefectServer) -> bool:
    try:
        return bool(server.call("/health"))
    except (urllib.error.URLError, OSError):
        return False
