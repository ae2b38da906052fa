"""The embedded server under stress: killed, crashed, started at once, as root and as ourselves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crmhouse.embedded import EmbeddedServer
from crmhouse.embedded_files import copied_to
from crmhouse.errors import WarehouseError
from crmhouse.warehouse import Warehouse

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


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is no PostgreSQL, of the user who runs ours."""
    user = {"user": "nobody"} if os.geteuid() == 0 else {}
    process = subprocess.Popen(["sleep", "600"], cwd="/", **user)  # type: ignore[call-overload]
    yield process
    process.kill()
    process.wait()


def leave_a_pid_file(embedded: EmbeddedServer, pid: int) -> None:
    """Leave the pid file of a crash behind, whose number another process has by now."""
    with embedded.use():
        lines = (embedded.data / "postmaster.pid").read_text().splitlines(keepends=True)
    file = embedded.data / "postmaster.pid"
    file.write_text("".join([f"{pid}\n", *lines[1:]]))
    shutil.chown(file, embedded.data.owner())
    file.chmod(0o600)


def test_a_server_starts_where_the_number_of_a_crashed_one_is_another_process_by_now(
    embedded: EmbeddedServer, stranger: subprocess.Popen[bytes]
) -> None:
    leave_a_pid_file(embedded, stranger.pid)
    assert not embedded.is_running
    with embedded.use(), Warehouse(embedded.parameters, embedded=True).connect() as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    assert stranger.poll() is None


def test_a_process_that_is_not_ours_is_never_stopped(
    embedded: EmbeddedServer, stranger: subprocess.Popen[bytes]
) -> None:
    leave_a_pid_file(embedded, stranger.pid)
    assert embedded.stop() is True
    assert stranger.poll() is None


def test_the_server_of_another_project_is_a_stranger_too(
    embedded: EmbeddedServer, tmp_path: Path
) -> None:
    other = EmbeddedServer.of(tmp_path / "other")
    with other.use():
        pid = int((other.data / "postmaster.pid").read_text().splitlines()[0])
        leave_a_pid_file(embedded, pid)
        with embedded.use():
            assert embedded.is_running
        assert other.is_running
    shutil.rmtree(other.data.parent)


def test_a_server_that_still_starts_when_its_starter_is_killed_serves_the_next_one(
    embedded: EmbeddedServer, tmp_path: Path
) -> None:
    starter = user(home_of(embedded, tmp_path))
    while not (embedded.data / "postmaster.pid").exists():
        assert starter.poll() is None
        time.sleep(0.001)
    starter.kill()
    starter.communicate()
    said, errors = user(home_of(embedded, tmp_path)).communicate()
    assert said, errors
    assert not embedded.is_running


def test_variables_that_are_meant_for_other_servers_do_not_change_ours(
    embedded: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "6543")
    with embedded.use(), Warehouse(embedded.parameters, embedded=True).connect() as connection:
        assert connection.execute("show port").fetchone() == ("5432",)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may pass through, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another user")
@pytest.mark.parametrize("place", ["private", "open", "deep in open", "closed by its owner"])
def test_root_can_start_it_under_a_umask_that_shuts_others_out(
    tmp_path: Path, open_folder: Path, place: str
) -> None:
    home = {"private": tmp_path, "open": open_folder}.get(place, open_folder / "not/there") / "home"
    if place == "closed by its owner":
        home.mkdir(parents=True, mode=0o700)
    process = subprocess.run(
        [sys.executable, "-c", USE, str(home)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, umask=0o077,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    data = EmbeddedServer.of(home).data
    assert data.is_relative_to(home) == (place in {"open", "deep in open"})
    assert (data.stat().st_mode & 0o777) == 0o700
    if place == "closed by its owner":
        assert (home.stat().st_mode & 0o777) == 0o700
    shutil.rmtree(data.parent)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root copies the programs")
def test_projects_that_copy_the_programs_at_once_share_one_copy(open_folder: Path) -> None:
    (open_folder / "copy.new" / "half").mkdir(parents=True)  # one that was interrupted
    programs = copied_to(open_folder / "copy")
    servers = [
        replace(EmbeddedServer.of(open_folder / name), programs=programs) for name in ("a", "b")
    ]

    def start(server: EmbeddedServer) -> bool:
        with server.use():
            return server.is_running

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(start, servers)) == [True, True]
    assert {path.name for path in open_folder.glob("copy*")} == {"copy", "copy.lock"}
    assert not (open_folder / "copy" / "half").exists()


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
