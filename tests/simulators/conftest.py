"""The demo data that the tests of the generator read: written once per test process."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulators.demo_data import DemoSummary, generate

Rows = list[dict[str, Any]]
Reader = Callable[[Path], Rows]


@pytest.fixture(scope="session")
def summary(tmp_path_factory: pytest.TempPathFactory) -> DemoSummary:
    return generate(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="session")
def generated(summary: DemoSummary) -> Path:
    return summary.folder


@pytest.fixture(scope="session")
def read() -> Reader:
    def rows(path: Path) -> Rows:
        with path.open(encoding="utf-8", newline="") as file:
            if path.suffix == ".csv":
                return list(csv.DictReader(file))
            return [json.loads(line) for line in file]

    return rows
