"""The image, built from this checkout, where that is asked for and a container engine answers."""

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
BUILT = "TEST_IMAGE"
OPTIONS = "TEST_IMAGE_BUILD_OPTIONS"


def call(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
    )  # fmt: skip


@pytest.fixture(scope="session")
def engine() -> str:
    """The command of a container engine that answers."""
    if not {BASE, BUILT} & os.environ.keys():
        pytest.skip(f"building the image is opt-in: {BASE}=<base image> pytest tests/image")
    for name in ("docker", "podman"):
        if shutil.which(name) and call(name, "info").returncode == 0:
            return name
    pytest.skip("no container engine answers (tried `docker info` and `podman info`)")


@pytest.fixture(scope="session")
def image(engine: str) -> Iterator[str]:
    """The image, built from this checkout and removed at the end, or one that is there."""
    if given := os.environ.get(BUILT):
        yield given
        return
    tag = f"crmhouse-test:{uuid.uuid4().hex[:12]}"
    options = shlex.split(os.environ.get(OPTIONS, ""))
    base = f"BASE_IMAGE={os.environ[BASE]}"
    built = call(engine, "build", "--build-arg", base, "--tag", tag, *options, ".")
    assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-4000:]
    try:
        yield tag
    finally:
        call(engine, "rmi", tag)
