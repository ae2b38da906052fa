"""Fixtures that every test may use: real parts, one embedded PostgreSQL per test process."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crmhouse.embedded import EmbeddedServer
from crmhouse.warehouse import Warehouse, migrate
from simulators.demo_data import generate

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
CRM_DEMO = ROOT.parent / "shared" / "data" / "crm_demo"

TEMPLATE = "migrated"
_MEMORY = 3e9  # bytes that must be free, for all test processes together

os.environ.setdefault("DO_NOT_TRACK", "1")

pytest_plugins = ["faults"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what may take longest: at the end, one process would work and the others wait."""
    items.sort(key=_most_seconds, reverse=True)


def _most_seconds(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else 0.0


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """The server of this test process, before any database of a test."""
    home = in_memory() or tmp_path_factory.mktemp("home")
    embedded = EmbeddedServer.of(home)
    with embedded.use():
        server = Warehouse(embedded.parameters, embedded=True)
        with server.connect(autocommit=True) as connection:
            # No test switches the machine off.
            connection.execute("alter system set fsync = off")
            connection.execute("alter system set max_wal_size = '256MB'")
            connection.execute("select pg_reload_conf()")
        yield server
    shutil.rmtree(embedded.data.parent)  # for root it may be outside of the temporary folder
    shutil.rmtree(home, ignore_errors=True)


def in_memory() -> Path | None:
    """Make a folder in memory, where that has room: the database of each test is 300 files."""
    memory = Path("/dev/shm")  # noqa: S108  # a folder of a name that nobody can guess
    if not memory.is_dir() or shutil.disk_usage(memory).free < _MEMORY:
        return None
    folder = Path(tempfile.mkdtemp(prefix="crmhouse-tests-", dir=memory))
    folder.chmod(0o755)  # the server of root runs as another user
    return folder


@pytest.fixture
def warehouse(server: Warehouse) -> Iterator[Warehouse]:
    """A migrated database of the test's own."""
    with fresh_database(server) as warehouse:
        yield warehouse


@pytest.fixture(scope="module")
def module_warehouse(server: Warehouse) -> Iterator[Warehouse]:
    """A migrated database that the tests of one module share."""
    with fresh_database(server) as warehouse:
        yield warehouse


def of_name(server: Warehouse, name: str) -> Warehouse:
    """A database of the server."""
    return replace(server, parameters={**server.parameters, "dbname": name})


@contextmanager
def fresh_database(server: Warehouse) -> Iterator[Warehouse]:
    """Create a migrated database, and drop it at the end. The first one is the others' template."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with server.connect(autocommit=True) as connection:
        known = connection.execute("select from pg_database where datname = %s", [TEMPLATE])
        if known.fetchone() is None:
            connection.execute(f"create database {TEMPLATE}")
            migrate(of_name(server, TEMPLATE))
        connection.execute(f"create database {name} template {TEMPLATE}")
    try:
        yield of_name(server, name)
    finally:
        with server.connect(autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def crm_demo() -> Path:
    """The folder of the reference data; the test is skipped where it is absent."""
    if not CRM_DEMO.is_dir():
        pytest.skip(f"reference data not present: {CRM_DEMO.relative_to(ROOT.parent)}")
    return CRM_DEMO


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of both batches and their truth: the reference data, or generated ones."""
    if CRM_DEMO.is_dir():
        return CRM_DEMO
    return generate(tmp_path_factory.mktemp("company"), persons=400, seed=11).folder
