"""A real Prefect server and a process worker, each a process of its own on this machine.

The server is set up as in production: PostgreSQL as its database, authentication, and the settings
of `deployments/prefect_server.env`.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from project import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from crmhouse.warehouse import Warehouse

POOL = "crmhouse"
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
DATABASE = "prefect"
CREDENTIALS = "operator:correct horse"
DEPLOYMENTS = Path(__file__).parents[2] / "deployments"
SETTINGS = DEPLOYMENTS / "prefect_server.env"
TEMPLATE = DEPLOYMENTS / "work_pools" / "process.json"
_AUTHORIZATION = f"Basic {base64.b64encode(CREDENTIALS.encode()).decode()}"


@dataclass(frozen=True)
class PrefectServer:
    """A running server.

    Attributes:
        home: PREFECT_HOME of the server and of everything that talks to it.
        database: the URL of its database.
    """

    home: Path
    port: int
    database: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of whoever talks to the server."""
        return {
            **environment(),
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.url,
            "PREFECT_API_AUTH_STRING": CREDENTIALS,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            **more,
        }

    def own_environment(self) -> dict[str, str]:
        """Return the environment of the server itself."""
        return {
            **environment(),
            **settings(),
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_DATABASE_CONNECTION_URL": self.database,
            "PREFECT_SERVER_API_AUTH_STRING": CREDENTIALS,
            "PREFECT_API_AUTH_STRING": CREDENTIALS,
            "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
        }

    def service(self) -> Service:
        """Return the server's process, not yet started."""
        address = ["--host", "127.0.0.1", "--port", str(self.port)]
        command = ["server", "start", *address, "--no-ui"]
        return Service(command, self.own_environment(), self.home / "server.log")

    def wait_until_it_answers(self) -> None:
        wait_for(lambda: _healthy(self), seconds=300, what="Prefect's server")

    def call(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """Ask the API; with a body it is a POST unless the method is given.

        A server that is busy with its database answers 503: Prefect's own client tries again, too.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": _AUTHORIZATION}
        request = urllib.request.Request(  # noqa: S310  # our own loopback
            self.url + path, data, headers, method=method
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


class Service:
    """One of Prefect's long-running programs; it may be killed and started again."""

    def __init__(self, arguments: list[str], env: dict[str, str], log: Path) -> None:
        self._arguments = arguments
        self._env = env
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "prefect", *self._arguments],
                cwd=self._log.parent, env=self._env, stdout=output, stderr=output,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """Send SIGKILL to the program alone; what it has started lives on."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self, *, seconds: float = 30) -> None:
        """End it as a deploy would, or by force when it takes too long."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()


@contextmanager
def prefect_server(home: Path, postgres: Warehouse) -> Iterator[PrefectServer]:
    """Start a server on a free port and end it.

    Args:
        home: an empty folder.
        postgres: a database of the PostgreSQL that gets the server's own.
    """
    server = new_server(home, postgres)
    with server.service():
        server.wait_until_it_answers()
        yield server


def new_server(home: Path, postgres: Warehouse, database: str | None = None) -> PrefectServer:
    """Return a server that is not yet started, with an empty database."""
    return PrefectServer(home, free_port(), create_database(postgres, database))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def create_database(postgres: Warehouse, name: str | None = None) -> str:
    """Create an empty database for a Prefect server, of a name of its own; return its URL."""
    name = name or f"{DATABASE}_{uuid.uuid4().hex[:8]}"
    with postgres.connect(autocommit=True) as connection:
        connection.execute(f"create database {name}")
    return url_of_database(postgres, name)


def url_of_database(postgres: Warehouse, name: str) -> str:
    get = postgres.parameters.get
    return f"postgresql+asyncpg://{get('user')}@/{name}?host={get('host')}"


def settings() -> dict[str, str]:
    """Return the settings of a server that we recommend."""
    lines = SETTINGS.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


@contextmanager
def worker(server: PrefectServer, **more: str) -> Iterator[Service]:
    """Have a process worker serve the pool of the deployments."""
    make_pool(server, POOL)
    command = ["worker", "start", "--pool", POOL, "--type", "process"]
    with Service(command, server.environment(**more), server.home / "worker.log") as service:
        yield service


def make_pool(server: PrefectServer, name: str) -> None:
    """Make a work pool for process workers with our template, unless it is there."""
    if name not in {pool["name"] for pool in server.call("/work_pools/filter", {})}:
        template = json.loads(TEMPLATE.read_text(encoding="utf-8"))
        body = {"name": name, "type": "process", "base_job_template": template}
        server.call("/work_pools/", body)


def wait_for(found: Callable[[], Any], *, seconds: float, what: str) -> Any:
    """Ask again and again until the answer is true; return it."""
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.5)
    return answer


def _healthy(server: PrefectServer) -> bool:
    try:
        return bool(server.call("/health"))
    except (urllib.error.URLError, OSError):
        return False
