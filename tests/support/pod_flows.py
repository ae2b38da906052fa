"""A flow of the tests that runs in a pod until it is told to end."""

from __future__ import annotations

import time
from pathlib import Path

from prefect import flow


@flow(name="wait")
def wait(until: str) -> None:
    """Wait for a file."""
    Path(f"{until}.started").touch()
    while not Path(until).exists():
        time.sleep(0.1)
