"""Sync: bring the raw tables of a source up to date, stream by stream, slice by slice."""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg

from crmhouse.errors import (
    AlreadyRunningError,
    ConfigurationError,
    CrmhouseError,
    SyncFailedError,
    WarehouseError,
)
from ingestion.faults import FAULTS, of_ours
from ingestion.landing import land_slice
from ingestion.raw_tables import prepare
from ingestion.runs import SliceRun, checkpoints, is_failing
from ingestion.sources import connector

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from uuid import UUID

    from crmhouse.rules import RowRule
    from crmhouse.settings import Settings, SourceConfig
    from crmhouse.warehouse import Warehouse
    from ingestion.sources import Connector
    from ingestion.streams import Stream

    Rules = Callable[[str, str], list[RowRule]]
    Progress = Callable[[SliceRun], None]

logger = logging.getLogger(__name__)

NO_SLICE = "-"
"""Stands in `ops.sync_runs` for the slice of a failure that belongs to none."""


def no_rules(system: str, stream: str) -> list[RowRule]:  # noqa: ARG001  # the signature of Rules
    """Divert no row to quarantine but those that cannot be landed."""
    return []


def no_progress(run: SliceRun) -> None:
    """Tell nobody."""


def sync_source(
    warehouse: Warehouse,
    settings: Settings,
    source: SourceConfig,
    *,
    run_id: UUID,
    streams: Collection[str] | None = None,
    rules: Rules = no_rules,
    on_progress: Progress = no_progress,
    patience: float = 0,
) -> list[SliceRun]:
    """Bring the streams of a source up to date; a stream that fails does not stop the others.

    Args:
        warehouse: where to.
        settings: the project's settings.
        source: the configured source.
        run_id: the run this belongs to.
        streams: names of the streams; all of the source's when None.
        rules: gives the row rules of a system's stream.
        on_progress: is told each slice that has landed.
        patience: seconds to wait for another process that holds the source.

    Returns:
        What each slice did that had something to do.

    Raises:
        SyncFailedError: some streams failed; its `runs` are what was landed all the same.
        ConfigurationError: an unknown stream.
        AlreadyRunningError: another process syncs this source, or builds from it.
        WarehouseError: the connection was lost before anything was read.
    """
    reader = connector(settings, source)
    chosen = _chosen(source, reader, streams)
    runs: list[SliceRun] = []
    errors: dict[str, CrmhouseError] = {}
    with hold_sources(warehouse, [source.name], patience=patience):
        for stream in chosen:
            try:
                for run in _sync_stream(
                    warehouse,
                    settings,
                    source,
                    reader,
                    stream,
                    run_id=run_id,
                    rules=rules,
                ):
                    runs.append(run)
                    on_progress(run)
            except CrmhouseError as error:
                logger.error("%s.%s failed: %s", source.name, stream.name, error)  # noqa: TRY400
                errors[f"{source.name}.{stream.name}"] = error
    if errors:
        message = "\n".join(f"{name}: {error}" for name, error in errors.items())
        raise SyncFailedError(message, runs, tuple(errors.values()))
    return runs


def _sync_stream(
    warehouse: Warehouse,
    settings: Settings,
    source: SourceConfig,
    reader: Connector,
    stream: Stream,
    *,
    run_id: UUID,
    rules: Rules,
) -> Iterator[SliceRun]:
    """Land the slices of a stream that have something to do; record the one that fails."""
    part, started_at, idle = NO_SLICE, datetime.now(UTC), True
    try:
        with warehouse.connect(autocommit=True) as connection:
            prepare(connection, source.name, stream, run_id)
            landed = checkpoints(connection, source.name, stream.name)
        row_rules = rules(reader.system, stream.name)
        for slice_ in reader.slices(stream, landed):
            part, started_at, idle = slice_.name, datetime.now(UTC), False
            yield land_slice(
                warehouse,
                source.name,
                stream,
                slice_,
                run_id=run_id,
                max_quarantine_share=settings.max_quarantine_share,
                rules=row_rules,
                contract=source.schema_contract,
            )
            part, started_at = NO_SLICE, datetime.now(UTC)
        if idle:  # a bad file that was taken away leaves no slice that could end the failure
            clean = SliceRun(run_id, source.name, stream.name, part, "succeeded", started_at)
            with warehouse.connect() as connection:
                if is_failing(connection, source.name, stream.name):
                    clean.record(connection)
    except FAULTS as caught:
        error = of_ours(caught, f"{source.name}.{stream.name} {part}")
        failed = SliceRun(
            run_id, source.name, stream.name, part, "failed", started_at, error=str(error)
        )
        _record(warehouse, failed)
        raise error from None  # a chain would carry the database's own text, which quotes rows


def _record(warehouse: Warehouse, failed: SliceRun) -> None:
    """Write the record of a failure, unless it is the warehouse that has failed."""
    try:
        with warehouse.connect() as connection:
            failed.record(connection)
    except (WarehouseError, psycopg.Error) as error:
        logger.warning("The failure cannot be recorded in ops.sync_runs: %s", type(error).__name__)


def _chosen(source: SourceConfig, reader: Connector, names: Collection[str] | None) -> list[Stream]:
    offered = {stream.name: stream for stream in reader.streams()}
    if names is None:
        return list(offered.values())
    if unknown := sorted(set(names) - offered.keys()):
        raise ConfigurationError(
            f"Source {source.name} has no stream {', '.join(unknown)}. "
            f"It has: {', '.join(offered)}."
        )
    return [stream for name, stream in offered.items() if name in names]


@contextmanager
def hold_sources(
    warehouse: Warehouse, sources: Collection[str], *, patience: float = 0
) -> Iterator[None]:
    """Let no other process sync these sources while the block runs.

    PostgreSQL lets go of them when this process dies.

    Args:
        warehouse: where they land.
        sources: names of configured sources.
        patience: seconds to wait for a process that holds one of them.

    Raises:
        AlreadyRunningError: another process still holds one.
        WarehouseError: the warehouse did not do its part.
    """
    with warehouse.connect(autocommit=True) as connection:
        for source in sorted(sources):  # one order for all, so that nobody waits in a circle
            if _lock(connection, source, seconds=0):
                continue
            if patience:
                logger.info("%s is held by another process: waiting up to %.0f s", source, patience)
            if not (patience and _lock(connection, source, seconds=patience)):
                raise AlreadyRunningError(
                    f"Another process is syncing {source}, or builds the marts from it, at this "
                    "moment. Wait for it to end."
                )
        try:
            yield
        finally:
            # Closing alone would free them too, but only when the server has noticed. Where the
            # connection is lost the locks are too, and what has landed has landed.
            with suppress(psycopg.OperationalError):
                connection.execute("select pg_advisory_unlock_all()")


def _lock(connection: psycopg.Connection, source: str, *, seconds: float) -> bool:
    milliseconds = max(1, round(seconds * 1000))  # 0 would wait for ever
    try:
        connection.execute("select set_config('lock_timeout', %s, false)", [str(milliseconds)])
        connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [f"sync {source}"])
    except psycopg.errors.LockNotAvailable:
        return False
    except psycopg.Error as error:
        raise WarehouseError(
            f"The warehouse did not let {source} be locked ({type(error).__name__}, SQLSTATE "
            f"{error.sqlstate or 'unknown'}). Nothing was started; see the server's log, then run "
            "again."
        ) from None
    return True
