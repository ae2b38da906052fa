"""The steps of the flows as Prefect tasks: each calls one function of ours and nothing else.

Every step can be run again: what it writes, it writes in one transaction or from scratch. So all
are retried, but only where a second try can help.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import psycopg
from prefect import Task
from prefect.assets import materialize
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

import quality
from crmhouse import pipeline, publish, transform
from crmhouse.dbt_results import read_results
from crmhouse.errors import (
    PermissionMissingError,
    PublishRefusedError,
    RunFailedError,
    SourceUnavailableError,
    SyncFailedError,
    TransformFailedError,
    TransformInterruptedError,
    WarehouseError,
)
from flows import assets
from flows.limits import one_slot_of
from ingestion import sync
from ingestion.stream_sync import Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from prefect.client.schemas.objects import State, TaskRun
    from prefect.tasks import TaskOptions

    from crmhouse.dbt_process import DbtProcess
    from crmhouse.dbt_progress import NodeDone
    from crmhouse.dbt_results import DbtRun
    from crmhouse.publish import Published
    from crmhouse.settings import SourceConfig
    from flows.artifacts import Progress
    from flows.work import Work
    from identity.resolve import Resolution
    from ingestion.runs import SliceRun
    from ingestion.stream_sync import Asked
    from quality import Boundary

P = ParamSpec("P")
R = TypeVar("R")

PATIENCE = 3600.0
"""Seconds to wait for a process that syncs a source, or builds the marts from it."""

SECONDS_FOR_A_SYNC = 12 * 3600
"""After them a flow run that syncs a source, or refreshes, is ended: it hangs."""

SECONDS_FOR_A_FAN_OUT = 72 * 3600
"""The same for a flow run that waits for others which sync."""

_BAD = frozenset({"error", "fail", "runtime error", "warn"})
_TRY_AGAIN = (SourceUnavailableError, TransformInterruptedError, WarehouseError)


def a_retry_can_help(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001
    """Say whether a step that failed may succeed when nothing but time has changed."""
    error = state.data
    causes = error.causes if isinstance(error, SyncFailedError) else (error,)
    return any(
        isinstance(cause, _TRY_AGAIN) and not isinstance(cause, PermissionMissingError)
        for cause in causes
    )


OPTIONS: TaskOptions = {
    "retries": 2,
    "retry_delay_seconds": [5, 30],
    "retry_condition_fn": a_retry_can_help,
    "cache_policy": NO_CACHE,  # state is in PostgreSQL; inputs hold the password
    "persist_result": False,
}


def step(name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a task of a function.

    Args:
        name: of each of its runs; `{argument}` stands for the value of that argument.
    """

    def made(function: Callable[P, R]) -> Task[P, R]:
        options: TaskOptions = {**OPTIONS, "name": function.__name__, "task_run_name": name}
        return Task(function, **options)

    return made


def sync_stream(work: Work, source: SourceConfig, stream: str) -> None:
    """Bring one stream of a source up to date, as a task that names its raw table.

    Raises:
        SyncFailedError: the stream failed; what it had landed before stays.
        AlreadyRunningError: another process has held the source for too long.
    """
    options: TaskOptions = {
        **OPTIONS,
        "name": "sync stream",
        "task_run_name": f"sync {source.name}.{stream}",
        "asset_deps": [assets.source_asset(source, stream)],
    }
    raw = assets.raw_asset(work, source, stream)
    materialize(raw, by="crmhouse", **options)(_sync_stream)(work, source, stream)


class _Collector(Silent):
    """Keeps what each slice did."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def landed(self, run: SliceRun) -> None:
        """Keep it."""
        self._work.slices.append(run)


def _sync_stream(work: Work, source: SourceConfig, stream: str) -> None:
    with errors_of_ours(f"sync of {source.name}.{stream}"):
        _sync(work, source, [stream])


@step("sync source {source.name}")
def sync_whole(work: Work, source: SourceConfig) -> None:
    """Sync a source that did not tell its streams: it may answer now, or says what is wrong.

    Raises:
        CrmhouseError: it does not answer either.
    """
    with errors_of_ours(f"sync of {source.name}"):
        _sync(work, source, None)


@step("sync a part of {source.name}")
def sync_part(work: Work, source: SourceConfig, streams: list[str], asked: Asked) -> None:
    """Land a part of some streams of a source.

    Raises:
        SyncFailedError: some streams failed; what they had landed before stays.
        AlreadyRunningError: another process has held the source for too long.
    """
    with errors_of_ours(f"sync of {source.name}"):
        _sync(work, source, streams, asked)


def _sync(
    work: Work, source: SourceConfig, streams: list[str] | None, asked: Asked | None = None
) -> None:
    with one_slot_of(source.name, PATIENCE):
        sync.sync_source(
            work.warehouse,
            work.settings,
            source,
            run_id=work.run_id,
            reader=work.reader(source),
            streams=streams,
            asked=asked,
            rules=quality.row_rules,
            listener=_Collector(work),
            patience=PATIENCE,
        )


@step("plan the first load of {source.name}.{stream}")
def plan_first_load(work: Work, source: SourceConfig, stream: str) -> None:
    """Begin the first load of a stream, so that its slices are known to all who may land them.

    Raises:
        SyncFailedError: the stream failed.
        AlreadyRunningError: another process has held the source for too long.
    """
    with errors_of_ours(f"sync of {source.name}.{stream}"), one_slot_of(source.name, PATIENCE):
        sync.plan_first_load(
            work.warehouse,
            work.settings,
            source,
            stream,
            run_id=work.run_id,
            reader=work.reader(source),
            rules=quality.row_rules,
            listener=_Collector(work),
            patience=PATIENCE,
        )


@step("write run context")
def write_context(work: Work) -> datetime:
    """Tell dbt the moment the figures are for, and return it."""
    with errors_of_ours("run context"):
        return pipeline.write_context(work.warehouse, work.settings, work.run_id)


@step("gate {boundary}")
def gate(work: Work, boundary: Boundary, as_of: datetime) -> None:
    """Check all rules of a boundary and write the page.

    Raises:
        GateFailedError: the gate is red.
    """
    with errors_of_ours(f"{boundary} gate"):
        report = quality.run_gate(
            work.warehouse,
            boundary,
            run_id=work.run_id,
            sources=transform.system_sources(work.settings),
            as_of=as_of,
            streams={s.name: s.streams for s in work.settings.sources if s.streams is not None},
            accept=work.accept,
        )
        work.gates[boundary] = report
        work.gate_page = quality.write_page(
            work.warehouse, work.settings.home / "gates.html", run_id=work.run_id
        )
    report.raise_for_failures(work.gate_page)


@step("dbt {phase}")
def dbt(work: Work, process: DbtProcess, phase: str, progress: Progress) -> DbtRun:
    """Build and test one part of the dbt project; log each node as it finishes.

    Args:
        work: the run.
        process: with dbt, for all phases.
        phase: `identity inputs`: what identity reads; `marts`: everything else.
        progress: is told how far it is.

    Raises:
        TransformFailedError: a model or test failed.
    """
    build = transform.build_marts if phase == "marts" else transform.build_for_identity
    log = get_run_logger()

    def tell(node: NodeDone) -> None:
        log.log(logging.WARNING if node.status in _BAD else logging.INFO, "dbt, %s", node)
        progress.within(f"{node.name} ({node.number} of {node.total})", node.number / node.total)

    try:
        with errors_of_ours(f"dbt, {phase}"):
            run = build(work.warehouse, work.settings, process=process, listener=tell)
    except TransformFailedError:
        work.dbt_nodes[phase] = read_results(work.settings.home / "dbt")
        raise
    work.dbt_nodes[phase] = run.nodes
    return run


@step("resolve identities")
def resolve_identities(work: Work) -> Resolution:
    """Decide who is who."""
    from identity.resolve import resolve  # noqa: PLC0415  # a third of a start, and few get here

    with errors_of_ours("identity"):
        return resolve(work.warehouse, run_id=work.run_id)


@step("publish marts")
def publish_marts(work: Work) -> tuple[Published, ...]:
    """Make the marts equal to their candidates, and tell what each of them is made from.

    Raises:
        PublishRefusedError: publishing would break what others rely on.
    """
    with errors_of_ours("publication"):
        try:
            published = publish.publish(work.warehouse, run_id=work.run_id)
        except PublishRefusedError:
            assets.tell_of_marts(work, "failed")
            raise
        assets.tell_of_marts(work, "succeeded", published)
    return published


@contextmanager
def errors_of_ours(step: str) -> Iterator[None]:
    """Turn an error of the database into one of ours; its own text may quote personal data.

    It is not chained to ours either: Prefect writes the whole chain into the log of the run.
    """
    try:
        yield
    except psycopg.Error as error:
        what = f"{step}: {type(error).__name__}, SQLSTATE {error.sqlstate or 'unknown'}"
        if isinstance(error, psycopg.OperationalError):
            raise WarehouseError(
                f"The warehouse did not do its part ({what}). Nothing of this step was written; "
                "see the server's log, then run again."
            ) from None
        raise RunFailedError(
            f"The warehouse refused a statement ({what}). Nothing of this step was written; the "
            "server's log has the details."
        ) from None
