"""A refresh in one process, with a Prefect server that nobody started and that nobody must end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
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
result = run_refresh(load_settings(Path(sys.argv[1])), tell=lambda what, share: told.append(share))
print(json.dumps({
    "outcome": result.outcome, "status": result.status, "slices": len(result.slices),
    "told": told, "url": os.environ["PREFECT_API_URL"], "run_id": str(result.run_id),
}), flush=True)
time.sleep(600)
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
