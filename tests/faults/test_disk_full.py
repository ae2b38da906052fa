from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from fault_loads import Load, at, attempt, converge, land_calmly
from file_sources import write

from crmhouse.warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from faults import Faults

    from crmhouse.embedded import EmbeddedServer

pytestmark = pytest.mark.xdist_group("own-server")

SMALL, LARGE = "size=4m", "size=64m"


@pytest.fixture(scope="package")
def server(own_server: EmbeddedServer) -> Warehouse:
    return Warehouse(own_server.parameters, embedded=True)


@pytest.fixture(scope="module")
def small_disk(own_server: EmbeddedServer, server: Warehouse) -> Iterator[Path]:
    """A file system of 4 MB in memory, with the tablespace `small`."""
    disk = own_server.data.parent / "small"
    disk.mkdir()
    try:
        mount = ["mount", "-t", "tmpfs", "-o", SMALL, "tmpfs", str(disk)]
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("a full disk needs the program mount")
    if mounted.returncode:
        pytest.skip(f"a full disk needs the right to mount one: {mounted.stderr.strip()}")
    try:
        folder = disk / "tablespace"
        folder.mkdir(mode=0o700)
        if own_server.system_user:
            shutil.chown(folder, own_server.system_user)
        disk.chmod(0o755)
        with server.connect(autocommit=True) as connection:
            connection.execute(f"create tablespace small location '{folder}'")
        yield disk
        with server.connect(autocommit=True) as connection:
            connection.execute("drop tablespace small")
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{size}", disk], check=True)


def many_things(folder: Path, until: str | None = None) -> Load:
    """Deliveries of customers that need about 10 MB, the first one next to nothing."""
    few, many = range(5), range(30_000)
    for batch, numbers in (("batch_1", few if until else many), ("batch_2", many)):
        lines = (f"{n},{at(1 + (batch > 'batch_1'))},{n:0200}\n" for n in numbers)
        text = "id,updated_at,first_name\n" + "".join(lines)
        write(folder, f"{batch}/shopify/customers.csv", text)
        if not until:
            break
    options = {"path": str(folder)}
    return Load("shopify_export", "customers", options, until, batch_rows=5000)


def with_settings(warehouse: Warehouse, *settings: str) -> Warehouse:
    options = " ".join(f"-c {setting}" for setting in settings)
    return replace(warehouse, parameters={**warehouse.parameters, "options": options})


@pytest.mark.parametrize(
    ("until", "setting"),
    [
        pytest.param(None, "default_tablespace", id="first load into the table"),
        pytest.param("batch_1", "temp_tablespaces", id="load into staging"),
        pytest.param("batch_1", "default_tablespace", id="merge"),
    ],
)
def test_a_disk_that_is_full_in_the_middle_of_a_load_leaves_nothing_of_it(
    warehouse: Warehouse,
    tmp_path: Path,
    faults: Faults,
    small_disk: Path,
    until: str | None,
    setting: str,
) -> None:
    load = many_things(tmp_path, until)
    before, after = land_calmly(load, warehouse, "calm")
    small = with_settings(warehouse, f"{setting}=small")
    load.begin(small, "small")
    error = attempt(load, small, "small")
    assert "DiskFull, SQLSTATE 53100" in str(error)
    faults.inject("disk full")
    assert load.state(warehouse, "small") == before
    resize(small_disk, LARGE)
    converge(load, small, "small", after, faults)
    with warehouse.connect() as connection:
        connection.execute("drop schema raw_small cascade")
    resize(small_disk, SMALL)


def test_a_merge_beyond_the_quota_of_temporary_files_leaves_nothing_of_it(
    warehouse: Warehouse, tmp_path: Path, faults: Faults
) -> None:
    load = many_things(tmp_path, "batch_1")
    before, after = land_calmly(load, warehouse, "calm")
    load.begin(warehouse, "quota")
    limited = with_settings(warehouse, "temp_file_limit=64kB", "work_mem=64kB")
    error = attempt(load, limited, "quota")
    assert "ConfigurationLimitExceeded, SQLSTATE 53400" in str(error)
    faults.inject("quota exceeded")
    assert load.state(warehouse, "quota") == before
    converge(load, warehouse, "quota", after, faults)
