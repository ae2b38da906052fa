"""A refresh in one process, with a Prefect server that nobody started and that nobody must end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prefect_server import wait_for
from project import environment

if TYPE_CHECKING:
    from project import Project

    from crmhouse.warehouse import Warehouse

pytestmark = [pytest.mark.xdist_group("prefect-server"), pytest.mark.timeout(900)]

SCRIPT = """
import json, os, sys, time
from pathlib import Path
from crmhouse.settings import load_settings
from flows.local import run_refresh

told = []
settings = load_settings(Path(sys.argv[1]))
result = run_refresh(settings, tell=lambda what, share, detail: told.append(share))
print(json.dumps({
    "outcome": result.outcome, "status": result.status, "slices": len(result.slices),
    "told": told, "url": os.environ["PREFECT_API_URL"], "run_id": str(result.run_id),
}), flush=True)
time.sleep(600)
"""


STARTER = """
import sys
from pathlib import Path
from flows.local import use_server

print(use_server(Path(sys.argv[1])), flush=True)
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    print(client.api_healthcheck(), flush=True)
sys.stdin.read()
"""


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as response:  # noqa: S310
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.mark.usefixtures("refreshed")
def test_a_run_with_nothing_new_says_so_and_its_server_dies_with_it_even_when_it_is_killed(
    project: Project, project_warehouse: Warehouse
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(project.config)],
        cwd=project.folder, env=environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        said = json.loads(process.stdout.readline())
        assert said["outcome"] == "nothing new"
        assert said["status"] == "succeeded"
        assert said["slices"] == 0
        assert said["told"] == sorted(said["told"])
        assert said["told"][-1] == 1.0
        with project_warehouse.connect() as connection:
            recorded = connection.execute(
                "select outcome from ops.pipeline_runs where run_id = %s", [said["run_id"]]
            ).fetchone()
        assert recorded == ("nothing new",)
        assert (project.folder / ".crmhouse" / "prefect").is_dir()
        assert answers(said["url"])
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_for(lambda: not answers(said["url"]), seconds=30, what="the end of the server")
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def start(home: Path, **more: str) -> subprocess.Popen[str]:
    """Start a process with a server in this home; it prints the URL, and then its client's word."""
    return subprocess.Popen(
        [sys.executable, "-c", STARTER, str(home)],
        env={**environment(), **more}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def server_of(process: subprocess.Popen[str]) -> int | None:
    """The server that a process has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return next(
        (
            int(pid)
            for pid in children
            if "local_server" in Path(f"/proc/{pid}/cmdline").read_text()
        ),
        None,
    )


def waits(process: subprocess.Popen[str], seconds: float = 8) -> bool:
    """Whether a process does not start its server, though there was time to."""
    deadline = time.monotonic() + seconds
    while server_of(process) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    return process.poll() is None and server_of(process) is None


def test_a_proxy_is_not_asked_for_the_server_of_this_machine(tmp_path: Path) -> None:
    proxies = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY")
    dead = dict.fromkeys(proxies, "http://127.0.0.1:9")
    process = start(tmp_path, **dead, NO_PROXY="intranet.example")
    try:
        assert line(process).startswith("http://127.0.0.1:")
        assert line(process) == "None"  # no exception
    finally:
        process.communicate("")


def test_a_server_starts_after_those_of_killed_starters_are_gone_and_beside_those_of_living_ones(
    tmp_path: Path,
) -> None:
    processes = [start(tmp_path)]
    stopped: list[int] = []

    def kill_the_starters_but_not_their_servers() -> None:
        for process in processes:
            server = server_of(process)
            assert server
            os.kill(server, signal.SIGSTOP)
            stopped.append(server)
            process.kill()
            process.communicate()
        processes.clear()

    def let_the_servers_end() -> None:
        while stopped:
            os.kill(stopped.pop(), signal.SIGCONT)

    try:
        # Killed while its server makes the database.
        wait_for(lambda: server_of(processes[0]), seconds=60, what="the start of a server")
        kill_the_starters_but_not_their_servers()
        processes.append(start(tmp_path))
        assert waits(processes[0])
        let_the_servers_end()
        first = line(processes[0])
        assert answers(first)

        # Beside one that lives: at once.
        processes.append(start(tmp_path))
        second = line(processes[1])
        assert answers(first)
        assert answers(second)

        # Killed while their servers serve.
        kill_the_starters_but_not_their_servers()
        processes.append(start(tmp_path))
        assert waits(processes[0])
        let_the_servers_end()
        assert answers(line(processes[0]))
        assert not answers(first)
        assert not answers(second)
    finally:
        let_the_servers_end()
        for process in processes:
            process.communicate("")
