"""Builds the image and runs it, where that is asked for and a container engine answers."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
BASE = "TEST_IMAGE_BASE"
OPTIONS = "TEST_IMAGE_BUILD_OPTIONS"

# As an orchestrator's strictest policy would run it.
LOCKED_DOWN = (
    "--rm", "--read-only", "--tmpfs", "/tmp", "--network", "none", "--cap-drop", "ALL",  # noqa: S108
    "--security-opt", "no-new-privileges",
)  # fmt: skip

pytestmark = [pytest.mark.xdist_group("image"), pytest.mark.timeout(3600)]


def call(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> str:
    """The command of a container engine that answers."""
    if not os.environ.get(BASE):
        pytest.skip(f"building the image is opt-in: {BASE}=<base image> pytest tests/image")
    for name in ("docker", "podman"):
        if shutil.which(name) and call(name, "info").returncode == 0:
            return name
    pytest.skip("no container engine answers (tried `docker info` and `podman info`)")


@pytest.fixture(scope="module")
def image(engine: str) -> Iterator[str]:
    """The image, built from this checkout; removed at the end."""
    tag = f"crmhouse-test:{uuid.uuid4().hex[:12]}"
    options = shlex.split(os.environ.get(OPTIONS, ""))
    base = f"BASE_IMAGE={os.environ[BASE]}"
    built = call(engine, "build", "--build-arg", base, "--tag", tag, *options, ".")
    assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-4000:]
    try:
        yield tag
    finally:
        call(engine, "rmi", tag)


def run(engine: str, image: str, *command: str) -> subprocess.CompletedProcess[str]:
    return call(engine, "run", *LOCKED_DOWN, image, *command)


def test_it_runs_as_its_own_user_and_writes_to_the_volume_alone(engine: str, image: str) -> None:
    who = run(engine, image, "id", "-u")
    assert who.stdout.strip() == "10001", who.stderr
    assert run(engine, image, "touch", "/app/file").returncode != 0
    assert run(engine, image, "touch", "/var/lib/crmhouse/file").returncode == 0


@pytest.mark.parametrize("tool", ["pip", "pip3", "gcc", "cc", "make", "hatchling", "pytest"])
def test_no_tool_that_builds_or_installs_is_inside(engine: str, image: str, tool: str) -> None:
    found = run(engine, image, "sh", "-c", f"command -v {tool}")
    assert found.returncode != 0, found.stdout


def test_every_module_is_compiled(engine: str, image: str) -> None:
    code = (
        "import importlib.util, pathlib, sysconfig\n"
        "roots = [pathlib.Path('/app'), pathlib.Path(sysconfig.get_path('purelib'))]\n"
        "files = [f for root in roots for f in root.rglob('*.py')]\n"
        "cached = importlib.util.cache_from_source\n"
        "print(len(files), sum(pathlib.Path(cached(str(f))).exists() for f in files))"
    )
    result = run(engine, image, "python", "-c", code)
    modules, compiled = map(int, result.stdout.split())
    assert modules == compiled > 1000


@pytest.mark.parametrize(
    "command",
    [
        ("crmhouse", "--version"),
        ("prefect", "flow-run", "execute", "--help"),
        ("python", "-c", "import flows.refresh, flows.sync"),
    ],
    ids=" ".join,
)
def test_the_commands_of_people_and_of_workers_start(
    engine: str, image: str, command: tuple[str, ...]
) -> None:
    result = run(engine, image, *command)
    assert result.returncode == 0, result.stderr


def test_the_demo_ends_well_without_any_network(engine: str, image: str) -> None:
    folder = "/var/lib/crmhouse/demo"
    result = run(engine, image, "crmhouse", "demo", "--folder", folder, "--persons", "60")
    assert result.returncode == 0, result.stderr[-4000:]
