"""One Prefect server for all runs of a test process: each would start one of its own otherwise."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from prefect_server import wait_for
from project import SHARED, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="package")
def lasting_prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The API and home of a server as `crmhouse run` would start it, for this folder's tests."""
    home = tmp_path_factory.mktemp("shared_prefect")
    quiet = {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.local_server"], env={**environment(), **quiet},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    try:
        assert process.stdout
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}/api"
        wait_for(lambda: answers(url), seconds=300, what="Prefect's server")
        yield url, home
    finally:
        process.communicate()  # closes its input: it ends


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=10):  # noqa: S310  # our own loopback
            return True
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def shared_prefect(lasting_prefect: tuple[str, Path]) -> Iterator[None]:
    """Have the commands of a module use the lasting server."""
    url, home = lasting_prefect
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(f"{SHARED}PREFECT_API_URL", url)
        patch.setenv(f"{SHARED}PREFECT_HOME", str(home))
        yield
