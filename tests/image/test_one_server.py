"""The compose file's services, as they stand there, from the image: until a scheduled run is done.

Without Compose and without a network of the engine's own: on the machine's, one after the other.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import compose
import pytest
import yaml
from project import FX_RATES

from simulators.demo_data import generate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.xdist_group("image"), pytest.mark.timeout(3600)]
STACK = "crmhouse-test"
AUTH = "operator:correct-horse"
API = "http://127.0.0.1:4200/api"
LASTING = ("postgres", "prefect-server", "worker")
VOLUMES = ("own-postgres", "postgres", "prefect", "crmhouse")


class Stack:
    """Containers that were started, and what they said."""

    def __init__(self, engine: str, services: dict[str, Any]) -> None:
        self.engine = engine
        self.services = services

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.engine, *arguments], capture_output=True, text=True, check=False
        )

    def start(self, name: str) -> None:
        """Start a service that lasts, and wait until its own health check is content."""
        service = self.services[name]
        started = self.call("run", "--detach", *compose.docker_run(service, f"{STACK}_{name}"))
        assert started.returncode == 0, started.stderr
        check = service["healthcheck"]["test"][1:]
        deadline = time.monotonic() + 600
        while self.call("exec", f"{STACK}_{name}", *check).returncode:
            assert time.monotonic() < deadline, self.logs(name)
            time.sleep(2)

    def run(self, name: str) -> str:
        """Run a service that ends; return what it said."""
        arguments = compose.docker_run(self.services[name], f"{STACK}_{name}")
        ended = self.call("run", "--rm", *arguments)
        assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
        return ended.stdout + ended.stderr

    def logs(self, name: str) -> str:
        said = self.call("logs", f"{STACK}_{name}")
        return said.stdout[-4000:] + said.stderr[-4000:]

    def clear(self) -> None:
        for name in reversed(LASTING):
            self.call("stop", "--time", "60", f"{STACK}_{name}")
            self.call("rm", "--force", f"{STACK}_{name}")
        for volume in VOLUMES:
            self.call("volume", "rm", "--force", f"{STACK}_{volume}")


@pytest.fixture(scope="module")
def stack(engine: str, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything that lasts is up, everything that ends has ended, in the order of the file."""
    folder = tmp_path_factory.mktemp("one_server")
    folder.chmod(0o755)
    generate(folder / "data", persons=60, seed=3)
    configuration = folder / "conf"
    configuration.mkdir()
    write_configuration(configuration)
    content = compose.filled(
        compose.load("compose.yaml", "compose.own-postgres.yaml"),
        {
            "CRMHOUSE_IMAGE": image, "CONFIGURATION": str(configuration),
            "DATA": str(folder / "data"), "POSTGRES_PASSWORD": "one", "WAREHOUSE_PASSWORD": "two",
            "PREFECT_PASSWORD": "three", "PREFECT_AUTH_STRING": AUTH,
        },
    )  # fmt: skip
    stack = Stack(engine, content["services"])
    stack.clear()
    try:
        stack.start("postgres")
        stack.run("databases")
        stack.run("migrations")
        stack.start("prefect-server")
        stack.run("deploy")
        stack.start("worker")
        yield stack
    finally:
        stack.clear()


def write_configuration(folder: Path) -> None:
    sources = [
        {"name": name, "kind": f"{name}_export", "options": {"path": "/data", "until": "batch_1"}}
        for name in ("salesforce", "hubspot", "stripe", "shopify")
    ]
    reference = {
        "name": "reference", "kind": "files", "schedule": "* * * * *",
        "options": {"path": "/data", "streams": {"fx_rates_monthly": FX_RATES}},
    }  # fmt: skip
    content = {"sources": [*sources, reference], "fx_rates": "reference.fx_rates_monthly"}
    (folder / "crmhouse.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def ask(path: str, body: dict[str, Any]) -> Any:
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Basic {b64encode(AUTH.encode()).decode()}",
    }
    request = urllib.request.Request(API + path, json.dumps(body).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return json.load(answer)


def test_a_run_that_the_schedule_made_completes(stack: Stack) -> None:
    deadline = time.monotonic() + 600
    done: list[dict[str, Any]] = []
    while not done:
        assert time.monotonic() < deadline, stack.logs("worker")
        time.sleep(2)
        runs = ask("/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}})
        done = [run for run in runs if run["auto_scheduled"]]
    assert done[0]["name"] == "sync reference"


def test_the_whole_refresh_runs_in_the_worker(stack: Stack) -> None:
    command = ("prefect", "deployment", "run", "refresh/refresh", "--watch")
    ended = stack.call("exec", f"{STACK}_worker", *command)
    assert ended.returncode == 0, ended.stdout[-2000:] + stack.logs("worker")
    shown = stack.call("exec", f"{STACK}_worker", "crmhouse", "status", "--format", "json")
    status = json.loads(shown.stdout)
    assert status["runs"][0]["outcome"] == "published"
    assert len(status["marts"]) > 10


def test_its_own_postgresql_has_the_programs_for_a_backup(stack: Stack) -> None:
    script = "python3 /scripts/postgresql.py"
    restore = (
        f"{script} psql postgres -c 'create database copied owner crmhouse' && "
        f"{script} pg_dump crmhouse --format=custom | "
        f"{script} pg_restore copied --exit-on-error --no-owner --role=crmhouse"
    )
    done = stack.call("exec", f"{STACK}_postgres", "sh", "-c", restore)
    assert done.returncode == 0, done.stderr

    def customers(database: str) -> str:
        query = ("-At", "-c", "select count(*) from marts.dim_customers")
        shown = stack.call("exec", f"{STACK}_postgres", *script.split(), "psql", database, *query)
        return shown.stdout

    assert int(customers("copied")) == int(customers("crmhouse")) > 0


def test_starting_it_all_again_changes_nothing(stack: Stack) -> None:
    stack.run("databases")
    stack.run("migrations")
    said = stack.run("deploy")
    assert re.search(r"0 created, 0 changed, 0 removed, \d+ unchanged", said), said


def test_prefects_pages_are_shown(stack: Stack) -> None:  # noqa: ARG001
    page = API.removesuffix("api")
    with urllib.request.urlopen(page, timeout=60) as answer:  # noqa: S310
        script = re.search(r'src="/([^"]+\.js)"', answer.read().decode())
    assert script
    with urllib.request.urlopen(page + script[1], timeout=60) as answer:  # noqa: S310
        assert answer.status == 200


def test_nobody_uses_prefect_without_the_password(stack: Stack) -> None:  # noqa: ARG001
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{API}/version", timeout=60)  # noqa: S310


def test_the_worker_leaves_in_time_when_it_is_asked_to(stack: Stack) -> None:
    began = time.monotonic()
    stack.call("stop", "--time", "60", f"{STACK}_worker")
    assert time.monotonic() - began < 55
