"""A project in a folder, and the command line as a process, as a user calls it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from command_line import Cli, clean_environment

from crmhouse.embedded import EmbeddedServer
from simulators.demo_data import generate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crmhouse.warehouse import Warehouse


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of all four systems, small."""
    folder = tmp_path_factory.mktemp("exports")
    generate(folder, persons=50, seed=3)
    return folder


@pytest.fixture
def cli(tmp_path: Path, warehouse: Warehouse) -> Cli:
    """Commands on the test's own database of the shared server."""
    return Cli(tmp_path, {**clean_environment(), "CRMHOUSE_WAREHOUSE_URL": warehouse.url()})


@pytest.fixture
def embedded_cli(tmp_path: Path) -> Iterator[Cli]:
    """Commands on an embedded server below their folder."""
    yield Cli(tmp_path, clean_environment())
    server = EmbeddedServer.of(tmp_path / ".crmhouse")
    if server.data.exists():
        server.stop()
        shutil.rmtree(server.data.parent, ignore_errors=True)
