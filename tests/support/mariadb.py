"""A MariaDB server of the tests' own: Debian's package, started on a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SECONDS = 60
_INSTALL = ("apt-get", "install", "-y", "-qq", "mariadb-server")


def program(name: str) -> str | None:
    """Where a program of MariaDB is; services are not on everybody's path."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def install() -> bool:
    """Install Debian's package where it is missing and may be; say whether it is there."""
    if program("mariadbd"):
        return True
    asroot = [] if os.geteuid() == 0 else ["sudo", "-n"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        for command in (("apt-get", "update", "-qq"), _INSTALL):
            subprocess.run(
                [*asroot, *command], check=True, capture_output=True, env=environment, timeout=300
            )
    except (OSError, subprocess.SubprocessError):
        return False
    return program("mariadbd") is not None


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Start a server that listens on a socket in the folder only; give the socket's path."""
    data, socket = folder / "data", folder / "mariadb.sock"
    user = ["--user=root"] if os.geteuid() == 0 else []
    setup = program("mariadb-install-db") or program("mysql_install_db") or "mariadb-install-db"
    subprocess.run(
        [setup, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
         "--skip-test-db", *user],
        check=True, capture_output=True,
    )  # fmt: skip
    server = subprocess.Popen(
        [program("mariadbd") or "mariadbd", "--no-defaults", f"--datadir={data}",
         f"--socket={socket}", "--skip-networking", "--innodb-buffer-pool-size=64M",
         "--innodb-flush-log-at-trx-commit=0", "--default-time-zone=+02:00", *user],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait(socket, server)
        yield str(socket)
    finally:
        server.terminate()
        server.wait(timeout=_SECONDS)


def _wait(socket: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        if socket.exists():  # it listens before it makes the file known
            return
        time.sleep(0.1)
    raise TimeoutError("MariaDB did not start")
