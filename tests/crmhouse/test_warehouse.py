"""The warehouse: the embedded server under stress, URLs, migrations."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from pydantic import SecretStr

from crmhouse.embedded import EmbeddedServer
from crmhouse.errors import ConfigurationError, WarehouseError
from crmhouse.settings import Settings
from crmhouse.warehouse import Warehouse, migrate, open_warehouse, warehouse_of

if TYPE_CHECKING:
    from collections.abc import Iterator

USE = """
import sys
from pathlib import Path
from crmhouse.settings import Settings
from crmhouse.warehouse import open_warehouse

with open_warehouse(Settings(home=Path(sys.argv[1]))) as warehouse:
    with warehouse.connect() as connection:
        print(connection.execute("select count(*) from ops.migrations").fetchone()[0], flush=True)
    if sys.argv[2:] == ["wait"]:
        sys.stdin.read()
"""


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server of the test's own; nothing of it is left at the end."""
    embedded = EmbeddedServer.of(tmp_path / "home")
    yield embedded
    if embedded.data.exists():
        embedded.stop()
    assert not embedded.is_running
    shutil.rmtree(embedded.data.parent, ignore_errors=True)


def user(home: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USE, str(home), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def home_of(embedded: EmbeddedServer, tmp_path: Path) -> Path:
    assert embedded == EmbeddedServer.of(tmp_path / "home")
    return tmp_path / "home"


def test_processes_that_start_it_at_once_share_one_server_and_the_last_one_stops_it(
    embedded: EmbeddedServer, tmp_path: Path
) -> None:
    users = [user(home_of(embedded, tmp_path), "wait") for _ in range(3)]
    counts = {process.stdout.readline().strip() for process in users if process.stdout}
    assert len(counts) == 1
    assert int(counts.pop()) >= 1
    assert embedded.is_running
    for process in users:
        assert process.communicate("") is not None
        assert process.returncode == 0
    assert not embedded.is_running


def test_the_server_of_a_killed_user_serves_the_next_one_who_stops_it(
    embedded: EmbeddedServer, tmp_path: Path
) -> None:
    killed = user(home_of(embedded, tmp_path), "wait")
    assert killed.stdout
    assert killed.stdout.readline()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert embedded.is_running
    said, errors = user(home_of(embedded, tmp_path)).communicate()
    assert int(said) >= 1, errors
    assert not embedded.is_running


def test_data_survives_a_server_that_was_killed(embedded: EmbeddedServer) -> None:
    with embedded.use():
        warehouse = Warehouse(embedded.parameters, embedded=True)
        with warehouse.connect() as connection:
            connection.execute("create table kept as select 42 as answer")
        pid = int((embedded.data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    with embedded.use(), warehouse.connect() as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)


def test_an_initdb_that_was_interrupted_is_done_again(embedded: EmbeddedServer) -> None:
    unfinished = embedded.data.with_name(f"{embedded.data.name}.new")
    unfinished.mkdir(parents=True)
    (unfinished / "rubbish").write_text("half a cluster")
    with embedded.use():
        assert embedded.is_running
    assert not unfinished.exists()


def test_it_runs_on_until_it_is_stopped_when_asked_to(embedded: EmbeddedServer) -> None:
    embedded.keep_running()
    with embedded.use():
        pass
    assert embedded.is_running
    with embedded.use():
        assert embedded.stop() is False  # in use: it stops when the last user leaves
        assert embedded.is_running
    assert not embedded.is_running


def test_it_listens_on_no_network_address(embedded: EmbeddedServer) -> None:
    with embedded.use():
        warehouse = Warehouse(embedded.parameters, embedded=True)
        with warehouse.connect() as connection:
            assert connection.execute("show listen_addresses").fetchone() == ("",)
        assert (embedded.socket_folder.stat().st_mode & 0o777) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another user")
def test_root_runs_it_as_nobody(embedded: EmbeddedServer) -> None:
    with embedded.use():
        pid = (embedded.data / "postmaster.pid").read_text().splitlines()[0]
        assert Path(f"/proc/{pid}").owner() == "nobody"


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write anywhere")
def test_it_runs_as_ourselves(embedded: EmbeddedServer) -> None:
    with embedded.use():
        pid = (embedded.data / "postmaster.pid").read_text().splitlines()[0]
        assert Path(f"/proc/{pid}").stat().st_uid == os.geteuid()


def test_a_socket_folder_that_is_a_link_is_refused(
    embedded: EmbeddedServer, tmp_path: Path
) -> None:
    embedded.socket_folder.symlink_to(tmp_path)
    try:
        with pytest.raises(WarehouseError, match="belongs to another user"), embedded.use():
            pass
    finally:
        embedded.socket_folder.unlink()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_url_is_split_and_its_password_is_not_shown(scheme: str) -> None:
    settings = Settings(
        warehouse_url=SecretStr(f"{scheme}://me:p%40ss@db.example:6543/crm?sslmode=require")
    )
    warehouse = warehouse_of(settings)
    assert warehouse.parameters == {
        "host": "db.example", "port": "6543", "user": "me", "password": "p@ss", "dbname": "crm",
        "sslmode": "require",
    }  # fmt: skip
    assert "p@ss" not in repr(warehouse)
    assert warehouse.url() == "postgresql://me:p%40ss@db.example:6543/crm?sslmode=require"
    assert warehouse.sqlalchemy_url("psycopg2").drivername == "postgresql+psycopg2"


@pytest.mark.parametrize(
    "url", ["mysql://me:geheim@host/db", "postgresql://me:geheim@host:port/db"]
)
def test_a_url_that_is_none_of_postgresql_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises((ConfigurationError, WarehouseError)) as caught:
        warehouse_of(Settings(warehouse_url=SecretStr(url))).connect()
    assert "geheim" not in str(caught.value)


def test_a_server_that_does_not_answer_is_named_with_what_to_do() -> None:
    settings = Settings(warehouse_url=SecretStr("postgresql://me:geheim@127.0.0.1:1/db"))
    with (
        pytest.raises(WarehouseError, match=r"127\.0\.0\.1:1/db.*CRMHOUSE_WAREHOUSE_URL") as caught,
        open_warehouse(settings),
    ):
        pass
    assert "geheim" not in str(caught.value)


def test_a_url_opens_the_same_warehouse_with_its_schemas(warehouse: Warehouse) -> None:
    settings = Settings(warehouse_url=SecretStr(warehouse.url()))
    with open_warehouse(settings) as opened, opened.connect() as connection:
        assert opened.embedded is False
        found = connection.execute("select nspname from pg_namespace").fetchall()
    schemas = {"ops", "identity", "staging", "intermediate", "marts_build", "marts"}
    assert {name for (name,) in found} >= schemas


def test_sqlalchemy_reaches_a_server_on_a_socket(warehouse: Warehouse) -> None:
    import sqlalchemy  # noqa: PLC0415

    for driver in ("psycopg", "psycopg2"):
        engine = sqlalchemy.create_engine(warehouse.sqlalchemy_url(driver))
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("select 1")).scalar() == 1
        engine.dispose()


def test_connections_speak_utc(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        assert connection.execute("show timezone").fetchone() == ("UTC",)


def test_processes_that_migrate_at_once_apply_each_migration_once(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute("drop schema ops cascade")
        connection.execute("drop schema identity cascade")
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(lambda _: migrate(warehouse), range(4)))
    assert sorted(map(bool, applied)) == [False, False, False, True]
    assert migrate(warehouse) == []


def test_a_migration_that_was_edited_is_refused(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute("update ops.migrations set sha256 = 'x' where name like '0001%'")
    with pytest.raises(WarehouseError, match=r"0001_operations\.sql differs"):
        migrate(warehouse)


def test_a_failed_block_is_rolled_back(warehouse: Warehouse) -> None:
    def fail() -> None:
        with warehouse.connect() as connection:
            connection.execute("create table half (id int)")
            connection.execute("select 1 / 0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        fail()
    with warehouse.connect() as connection:
        assert connection.execute("select to_regclass('half')").fetchone() == (None,)
