"""The command itself: what it prints, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Project

pytestmark = [pytest.mark.xdist_group("deploy"), pytest.mark.timeout(600)]


def run(project: Project, *options: str, url: str) -> subprocess.CompletedProcess[str]:
    project.write()
    return subprocess.run(
        [sys.executable, "-m", "crmhouse.cli", "--config", str(project.path), "deploy", *options],
        cwd=project.folder, env=project.server.environment(PREFECT_API_URL=url),
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_plan_is_what_it_does_by_default_and_programs_can_read_it(project: Project) -> None:
    project.apply()
    project.config["sources"][0]["parallel_slices"] = 9
    project.proxy.reset()
    result = run(project, "--format", "json", url=project.proxy.url)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["applied"] is False
    assert found["changes"] == [{
        "action": "change", "kind": "concurrency limit", "name": "source-shop",
        "fields": [{"field": "limit", "old": 4, "new": 9}],
    }]  # fmt: skip
    assert project.proxy.writes == []


def test_without_a_server_it_says_what_to_set(project: Project) -> None:
    result = run(project, url="")
    assert result.returncode == 2
    assert "PREFECT_API_URL" in result.stderr
