"""The PostgreSQL of the evaluation, from the image's own wheel.

python3 postgresql.py start         initialises the data folder once, then becomes the server
python3 postgresql.py stop          ends it at once but orderly, before the pod's SIGTERM
python3 postgresql.py psql DATABASE [ARGUMENT]...    and pg_dump and pg_restore in the same manner

The superuser and its password are those of DATABASE_ADMIN_URL, at the first start.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from crmhouse.embedded_files import PROGRAMS

_VOLUME = Path(os.environ.get("POSTGRESQL_VOLUME", "/var/lib/postgresql"))
_DATA = _VOLUME / "data"
_PORT = os.environ.get("POSTGRESQL_PORT", "5432")
_CLIENTS = ("psql", "pg_dump", "pg_restore")


def main() -> int:
    """Do what the first argument says."""
    action, *arguments = sys.argv[1:]
    admin = urlsplit(os.environ["DATABASE_ADMIN_URL"])
    user, password = unquote(admin.username or "postgres"), unquote(admin.password or "")
    if action == "start":
        _initialise(user, password)
        _become("postgres", "-D", str(_DATA), "-p", _PORT)
    if action == "stop":
        _become("pg_ctl", "stop", "-m", "fast", "-w", "-D", str(_DATA))
    if action not in _CLIENTS:
        raise SystemExit(f"{action}? It is one of start, stop, {', '.join(_CLIENTS)}.")
    database, *more = arguments
    os.environ["PGPASSWORD"] = password
    _become(action, "-h", "127.0.0.1", "-p", _PORT, "-U", user, "-d", database, *more)
    return 1


def _initialise(user: str, password: str) -> None:
    """Create the data folder; one that was not finished is thrown away."""
    if (_DATA / "PG_VERSION").exists():
        _DATA.chmod(0o700)  # a volume's fsGroup may have opened it, and PostgreSQL refuses that
        return
    unfinished = _VOLUME / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    with tempfile.NamedTemporaryFile("w") as secret:
        secret.write(password)
        secret.flush()
        subprocess.run(  # noqa: S603  # our own program
            [
                PROGRAMS / "bin" / "initdb", "-D", unfinished, "-U", user, "--encoding=UTF8",
                "--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions",
                "--auth=scram-sha-256", f"--pwfile={secret.name}",
            ],
            check=True, stdout=sys.stderr,
        )  # fmt: skip
    (unfinished / "pg_hba.conf").write_text("host all all all scram-sha-256\n", encoding="utf-8")
    with (unfinished / "postgresql.conf").open("a", encoding="utf-8") as file:
        # No socket: the file system of the pod has no place for it, and nobody who would use it.
        file.write("listen_addresses = '*'\nunix_socket_directories = ''\n")
        file.write("max_connections = 100\nshared_buffers = 128MB\nwork_mem = 16MB\n")
    unfinished.rename(_DATA)


def _become(program: str, *arguments: str) -> None:
    path = str(PROGRAMS / "bin" / program)
    os.execv(path, [path, *arguments])  # noqa: S606  # our own program, no shell


if __name__ == "__main__":
    raise SystemExit(main())
