"""The book of one run: who runs, whether there is anything to do, for which moment, how it ended.

Knows nothing of the orchestrator. One run per warehouse at a time: a run holds an advisory lock
on a connection of its own, which PostgreSQL frees when the process dies.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psycopg

from crmhouse.errors import (
    AlreadyRunningError,
    ConfigurationError,
    CrmhouseError,
    RunFailedError,
)
from crmhouse.log import about
from crmhouse.transform import dbt_variables, project_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from uuid import UUID

    from psycopg import Connection

    from crmhouse.settings import Settings
    from crmhouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

Status = Literal["succeeded", "partial", "failed"]

PUBLISHED = "published"
NOTHING_NEW = "nothing new"

_RUN_LOCK = 0x63726D72756E  # "crmrun"
# What lands in raw shows in the slices; everything after that is made by these.
_PACKAGES = ("quality", "identity")
_LIBRARIES = ("dbt-core", "dbt-postgres", "anyascii", "phonenumbers")
_DBT_FOLDERS = ("models", "macros", "seeds", "snapshots", "tests")


@contextmanager
def begin(warehouse: Warehouse) -> Iterator[UUID]:
    """Open a run, and close it as failed when the block raises or forgets to `finish`.

    Args:
        warehouse: the open warehouse.

    Yields:
        The run's id.

    Raises:
        AlreadyRunningError: another run works on this warehouse.
    """
    with warehouse.connect(autocommit=True) as lock, _run_lock(lock):
        run_id = uuid.uuid4()
        _close_dead_runs(lock)
        lock.execute(
            "insert into ops.pipeline_runs (run_id, status, started_at) "
            "values (%s, 'running', now())",
            [run_id],
        )
        try:
            with about(run_id=run_id):
                yield run_id
        except BaseException as error:
            _close(warehouse, run_id, _reason(error))
            raise
        _close(warehouse, run_id, "the run ended without saying how")


def finish(
    warehouse: Warehouse,
    run_id: UUID,
    status: Status,
    outcome: str,
    *,
    fingerprint: str | None = None,
    error: str | None = None,
) -> None:
    """Close the run.

    Args:
        warehouse: the open warehouse.
        run_id: the run.
        status: `partial` when a source failed and the rest went well.
        outcome: `PUBLISHED`, `NOTHING_NEW`, or what the run did instead, in one line.
        fingerprint: of the inputs that the published marts were built from; given only by a run
            that published.
        error: what went wrong, for `partial` and `failed`.

    Raises:
        RunFailedError: the run is not open any more.
    """
    with warehouse.connect() as connection:
        closed = connection.execute(
            """
            update ops.pipeline_runs
            set status = %s, outcome = %s, input_fingerprint = %s, error = %s, finished_at = now()
            where run_id = %s and status = 'running'
            """,
            [status, outcome, fingerprint, error, run_id],
        ).rowcount
    if not closed:
        raise RunFailedError(f"Run {run_id} was already closed; its outcome was not recorded.")


def fingerprint(warehouse: Warehouse, settings: Settings) -> str:
    """Return a digest of everything the marts are made from.

    That is: which run last changed each slice of each raw table, the moment and the currency the
    figures are for, the configured sources, and the code and rules of every step.
    """
    digest = hashlib.sha256()
    with warehouse.connect() as connection:
        slices = connection.execute(
            """
            select source, stream, slice, changed_run_id::text from ops.stream_state
            where changed_run_id is not null
            order by source, stream, slice
            """
        ).fetchall()
        as_of = settings.as_of or _newest_source_time(connection)
    inputs = {
        "slices": slices,
        "as_of": as_of.astimezone(UTC).isoformat() if as_of else None,
        "currency": settings.reporting_currency,
        "variables": dbt_variables(settings),
        "libraries": [f"{name} {version(name)}" for name in _LIBRARIES],
    }
    digest.update(json.dumps(inputs, sort_keys=True).encode())
    for name, content in _code():
        digest.update(f"\0{name}\0".encode())
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def is_current(warehouse: Warehouse, fingerprint: str) -> bool:
    """Say whether the last run that published was made from the same inputs."""
    with warehouse.connect() as connection:
        row = connection.execute(
            """
            select input_fingerprint from ops.pipeline_runs
            where input_fingerprint is not null
            order by finished_at desc limit 1
            """
        ).fetchone()
    return row is not None and row[0] == fingerprint


def write_context(warehouse: Warehouse, settings: Settings, run_id: UUID) -> datetime:
    """Tell dbt the moment and the currency the figures are for; return the moment.

    The moment is exclusive. Left to us it is just after the newest source time that has landed,
    so that the newest record counts, but never in the future; without any source time it is now.

    Raises:
        ConfigurationError: the configured moment lies before the newest record. Facts hold what has
            landed, so the figures of one mart would be for another moment than those of the next.
    """
    now = datetime.now(UTC)
    with warehouse.connect() as connection:
        newest = min(_newest_source_time(connection) or now, now)
        as_of = settings.as_of or newest
        if settings.as_of and as_of < newest:
            raise ConfigurationError(
                f"as_of is {as_of.isoformat()}, but records up to {newest.isoformat()} have "
                "landed, and they count in every fact. Take as_of out of the configuration, or set "
                "a later moment."
            )
        connection.execute(
            """
            insert into ops.run_context (run_id, as_of, reporting_currency)
            values (%(run_id)s, %(as_of)s, %(currency)s)
            on conflict (only_row) do update set
                run_id = excluded.run_id, as_of = excluded.as_of,
                reporting_currency = excluded.reporting_currency
            """,
            {"run_id": run_id, "as_of": as_of, "currency": settings.reporting_currency},
        )
        connection.execute(
            "update ops.pipeline_runs set as_of = %s where run_id = %s", [as_of, run_id]
        )
    return as_of


def _newest_source_time(connection: Connection) -> datetime | None:
    row = connection.execute(
        "select max(cursor_at) from ops.stream_state where isfinite(cursor_at)"
    ).fetchone()
    return row[0] + timedelta(microseconds=1) if row and row[0] else None


@contextmanager
def _run_lock(connection: Connection) -> Iterator[None]:
    """Hold the warehouse for one run; PostgreSQL lets go of it when this process dies."""
    _take_lock(connection)
    try:
        yield
    finally:
        # Closing alone would free it too, but only when the server has noticed. A connection that
        # was lost meanwhile has freed it, and how the run ended is recorded already.
        with suppress(psycopg.OperationalError):
            connection.execute("select pg_advisory_unlock(%s)", [_RUN_LOCK])


def _take_lock(connection: Connection) -> None:
    row = connection.execute("select pg_try_advisory_lock(%s)", [_RUN_LOCK]).fetchone()
    if row and row[0]:
        return
    running = connection.execute(
        "select run_id, started_at from ops.pipeline_runs where status = 'running' "
        "order by started_at desc limit 1"
    ).fetchone()
    which = f" ({running[0]}, since {running[1]:%Y-%m-%d %H:%M:%S} UTC)" if running else ""
    raise AlreadyRunningError(f"Another run works on this warehouse{which}. Wait for it to end.")


def _close_dead_runs(connection: Connection) -> None:
    """Close what says it runs: we hold the lock, so it does not."""
    dead = connection.execute(
        """
        update ops.pipeline_runs
        set status = 'failed', outcome = 'died', finished_at = now(),
            error = 'The process ended without closing its run (killed, or the machine stopped).'
        where status = 'running'
        returning run_id
        """
    ).fetchall()
    for (run_id,) in dead:
        logger.warning("closed run %s, whose process is gone", run_id)


def _close(warehouse: Warehouse, run_id: UUID, error: str) -> None:
    with warehouse.connect() as connection:
        connection.execute(
            "update ops.pipeline_runs set status = 'failed', outcome = 'failed', error = %s, "
            "finished_at = now() where run_id = %s and status = 'running'",
            [error, run_id],
        )


def _reason(error: BaseException) -> str:
    """Return what may be kept: our own messages hold no personal value, others might."""
    if isinstance(error, CrmhouseError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return f"ended by {type(error).__name__}"


def _code() -> Iterable[tuple[str, bytes]]:
    """Yield the files that decide what comes out: the dbt project, and our packages' sources."""
    project = project_folder()
    yield "dbt_project.yml", (project / "dbt_project.yml").read_bytes()
    for folder in _DBT_FOLDERS:
        yield from _files(project / folder, f"dbt/{folder}", {".sql", ".yml", ".csv", ".py"})
    for package in _PACKAGES:
        spec = find_spec(package)
        if spec and spec.submodule_search_locations:
            root = Path(spec.submodule_search_locations[0])
            yield from _files(root, package, {".py", ".yaml", ".toml", ".sql", ".csv"})


def _files(root: Path, name: str, endings: set[str]) -> Iterable[tuple[str, bytes]]:
    for path in sorted(root.rglob("*")):
        if path.suffix in endings and path.is_file():
            yield f"{name}/{path.relative_to(root).as_posix()}", path.read_bytes()
