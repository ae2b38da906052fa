"""Runs dbt: one call per phase, its results as values, its failure as one readable error.

dbt runs as a subprocess, because in one process it needs four times the time and three times the
memory. The process has a group of its own that is ended as a whole. The password travels in the
environment, never among the arguments.
"""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import sql

from crmhouse.dbt_process import DbtCall, DbtProcess
from crmhouse.dbt_progress import NodeLog
from crmhouse.dbt_results import DbtRun, failure_text, last_lines, read_results
from crmhouse.errors import (
    ConfigurationError,
    TransformFailedError,
    TransformInterruptedError,
)
from ingestion.sources import kind_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from crmhouse.dbt_progress import NodeListener
    from crmhouse.settings import Settings
    from crmhouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

IDENTITY_INPUTS = ("int_person_records", "int_person_references", "int_account_records")
# Unit tests judge the code on rows of their own: once per change of the code, not once per run.
_DATA_ONLY = ("--exclude-resource-type", "unit_test")
_INPUTS = tuple(f"+{name}" for name in IDENTITY_INPUTS)
# Every node belongs to exactly one phase; a test to the one that builds the last of its models
# (`cautious`): otherwise one that compares a mart with a staging view would run before the mart.
BEFORE_IDENTITY = ("--select", *_INPUTS, *_DATA_ONLY, "--indirect-selection", "cautious")
AFTER_IDENTITY = ("--exclude", *_INPUTS, *_DATA_ONLY, "--indirect-selection", "cautious")
CANDIDATE_SCHEMA = "marts_build"

# libpq's parameters that dbt's profile cannot carry, by the variables that libpq reads.
_LIBPQ_VARIABLES = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "channel_binding": "PGCHANNELBINDING",
    "hostaddr": "PGHOSTADDR",
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}


def system_sources(settings: Settings) -> dict[str, list[str]]:
    """Return the names of the configured sources by kind of system."""
    names: dict[str, list[str]] = {}
    for source in settings.sources:
        names.setdefault(kind_of(source).system, []).append(source.name)
    return names


def dbt_variables(settings: Settings) -> dict[str, Any]:
    """Return the variables of the dbt project for these settings."""
    return {
        "sources": {k: v for k, v in system_sources(settings).items() if k != "files"},
        "source_currencies": {s.name: s.currency for s in settings.sources if s.currency},
        "fx_rates": settings.fx_rates,
        "source_trust": list(settings.source_trust),
    }


def project_folder() -> Path:
    """Find the dbt project: packaged with us, or beside the package in a checkout.

    Raises:
        ConfigurationError: says where it was looked for.
    """
    package = Path(__file__).parent
    places = (package / "dbt_project", package.parent / "dbt")
    for place in places:
        if (place / "dbt_project.yml").is_file():
            return place
    looked = " and ".join(map(str, places))
    raise ConfigurationError(f"The dbt project is missing; looked in {looked}. Install again.")


def dbt_process(warehouse: Warehouse, settings: Settings) -> DbtProcess:
    """Return a process for several calls of dbt: it loads dbt once, from `with` on."""
    folder = settings.home / "dbt"
    folder.mkdir(parents=True, exist_ok=True)
    return DbtProcess(folder, _environment(warehouse, settings))


def build_for_identity(
    warehouse: Warehouse,
    settings: Settings,
    *,
    process: DbtProcess | None = None,
    project: Path | None = None,
    stop: threading.Event | None = None,
    listener: NodeListener | None = None,
) -> DbtRun:
    """Build and test what identity reads, and everything that stands before it.

    Args:
        warehouse: the open warehouse.
        settings: the project's settings.
        process: of `dbt_process`, for several calls; one of its own when left out.
        project: the dbt project's folder; ours when left out.
        stop: when it is set from another thread, dbt is ended.
        listener: is told each node as it finishes.

    Raises:
        TransformFailedError: names every model and test that failed.
    """
    return build(
        warehouse, settings, "identity_inputs", BEFORE_IDENTITY,
        process=process, project=project, stop=stop, listener=listener,
    )  # fmt: skip


def build_marts(
    warehouse: Warehouse,
    settings: Settings,
    *,
    process: DbtProcess | None = None,
    project: Path | None = None,
    stop: threading.Event | None = None,
    listener: NodeListener | None = None,
) -> DbtRun:
    """Build and test everything else: the marts as candidates, in the schema `marts_build`.

    Arguments and errors are those of `build_for_identity`.
    """
    run = build(
        warehouse, settings, "marts", AFTER_IDENTITY,
        process=process, project=project, stop=stop, listener=listener,
    )  # fmt: skip
    _drop_leftovers(warehouse, settings.home / "dbt" / "manifest.json")
    return run


def build(
    warehouse: Warehouse,
    settings: Settings,
    phase: str,
    selection: Sequence[str],
    *,
    verb: str = "build",
    process: DbtProcess | None = None,
    project: Path | None = None,
    stop: threading.Event | None = None,
    listener: NodeListener | None = None,
) -> DbtRun:
    """Run `dbt build` and read its results.

    Args:
        warehouse: the open warehouse.
        settings: the project's settings.
        phase: names the log of this call.
        selection: dbt's arguments that choose nodes.
        verb: dbt's command; `test` is the one that can run unit tests alone.
        process: of `dbt_process`, for several calls; one of its own when left out.
        project: the dbt project's folder; ours when left out.
        stop: when it is set from another thread, dbt is ended.
        listener: is told each node as it finishes.

    Raises:
        TransformFailedError: names every model and test that failed.
    """
    project = project or project_folder()
    target = settings.home / "dbt"
    logs = target / "logs" / phase
    (target / "run_results.json").unlink(missing_ok=True)
    arguments = [
        "--no-use-colors", "--log-path", str(logs),
        "--log-format-file", "json", "--log-level-file", "info",
        verb, "--project-dir", str(project), "--profiles-dir", str(project),
        "--target-path", str(target),
        "--vars", json.dumps(dbt_variables(settings)), *selection,
    ]  # fmt: skip
    output = target / f"{phase}.log"
    nodes_done = NodeLog(logs, listener) if listener else None
    started = time.monotonic()
    logger.info("dbt builds %s", phase)
    call = DbtCall(
        arguments, output, settings.dbt.timeout_seconds, stop,
        watch=nodes_done.look if nodes_done else None,
    )  # fmt: skip
    with dbt_process(warehouse, settings) if process is None else nullcontext(process) as running:
        code = running.run(call)
    seconds = round(time.monotonic() - started, 3)
    nodes = read_results(target)
    if failed := [node for node in nodes if node.failed]:
        is_over = all(node.was_interrupted for node in failed)
        error = TransformInterruptedError if is_over else TransformFailedError
        raise error(failure_text(failed, nodes, output))
    if code != 0:
        said = "\n  ".join(last_lines(output))
        raise TransformFailedError(
            f"dbt could not start on {phase} (it ended with {code}); the published marts are "
            f"unchanged. It said:\n  {said}\nIts log: {output}"
        )
    logger.info("dbt built %s: %d nodes in %.1f s", phase, len(nodes), seconds)
    return DbtRun(nodes, seconds)


def _environment(warehouse: Warehouse, settings: Settings) -> dict[str, str]:
    """Return the environment of dbt: ours without stray DBT_ variables, and the connection."""
    get = warehouse.parameters.get
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DBT_")}
    libpq = {
        variable: warehouse.parameters[name]
        for name, variable in _LIBPQ_VARIABLES.items()
        if name in warehouse.parameters
    }
    # A statement whose client was killed ends within a second instead of holding its locks.
    options = f"-c client_connection_check_interval=1s {get('options', '')}".strip()
    return {
        **kept,
        **libpq,
        "PGOPTIONS": options,
        "DO_NOT_TRACK": "1",
        "CRMHOUSE_DBT_HOST": get("host", "localhost"),
        "CRMHOUSE_DBT_PORT": get("port", "5432"),
        "CRMHOUSE_DBT_USER": get("user", ""),
        "CRMHOUSE_DBT_PASSWORD": get("password", ""),
        "CRMHOUSE_DBT_DBNAME": get("dbname", ""),
        "CRMHOUSE_DBT_THREADS": str(settings.dbt.threads),
    }


def _drop_leftovers(warehouse: Warehouse, manifest: Path) -> None:
    """Drop candidates of models that the project no longer has; dbt leaves them behind."""
    nodes = json.loads(manifest.read_text(encoding="utf-8"))["nodes"].values()
    alive = [node["alias"] for node in nodes if node.get("schema") == CANDIDATE_SCHEMA]
    with warehouse.connect() as connection:
        leftovers = connection.execute(
            "select tablename from pg_tables where schemaname = %s and tablename <> all(%s)",
            [CANDIDATE_SCHEMA, alive],
        ).fetchall()
        for (name,) in leftovers:
            connection.execute(
                sql.SQL("drop table {} cascade").format(sql.Identifier(CANDIDATE_SCHEMA, name))
            )
            logger.info("dropped the candidate of a mart that is no more: %s", name)
