"""Sync: bring the raw tables of a source up to date, stream by stream, slice by slice."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg

from crmhouse.errors import (
    AlreadyRunningError,
    ConfigurationError,
    CrmhouseError,
    RunFailedError,
    SyncFailedError,
    WarehouseError,
)
from ingestion.landing import land_slice
from ingestion.raw_tables import prepare
from ingestion.runs import SliceRun, checkpoints
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

    Returns:
        What each slice did that had something to do.

    Raises:
        SyncFailedError: some streams failed; its `runs` are what was landed all the same.
        ConfigurationError: an unknown stream.
        AlreadyRunningError: another process syncs this source.
    """
    reader = connector(settings, source)
    chosen = _chosen(source, reader, streams)
    runs: list[SliceRun] = []
    errors: dict[str, CrmhouseError] = {}
    with _one_sync_per_source(warehouse, source.name):
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
    with warehouse.connect(autocommit=True) as connection:
        prepare(connection, source.name, stream, run_id)
        landed = checkpoints(connection, source.name, stream.name)
    row_rules = rules(reader.system, stream.name)
    for part in reader.slices(stream, landed):
        started_at = datetime.now(UTC)
        try:
            yield land_slice(
                warehouse,
                source.name,
                stream,
                part,
                run_id=run_id,
                max_quarantine_share=settings.max_quarantine_share,
                rules=row_rules,
            )
        except (CrmhouseError, psycopg.Error) as caught:
            error = _of_ours(caught, f"{source.name}.{stream.name} {part.name}")
            failed = SliceRun(
                run_id, source.name, stream.name, part.name, "failed", started_at, error=str(error)
            )
            with warehouse.connect() as connection:
                failed.record(connection)
            raise error from caught


def _of_ours(error: CrmhouseError | psycopg.Error, name: str) -> CrmhouseError:
    """Turn an error of the database into one of ours; its own text may quote the data."""
    if isinstance(error, CrmhouseError):
        return error
    what = f"{type(error).__name__}, SQLSTATE {error.sqlstate or 'unknown'}"
    if isinstance(error, psycopg.OperationalError):
        return WarehouseError(
            f"{name}: the warehouse did not do its part ({what}). Nothing of the slice was "
            "landed; see the server's log, then sync again."
        )
    return RunFailedError(
        f"{name}: the warehouse refused the rows ({what}). Nothing of the slice was landed; "
        "the server's log has the details."
    )


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
def _one_sync_per_source(warehouse: Warehouse, source: str) -> Iterator[None]:
    """Hold the source for this process; PostgreSQL lets go of it when the process dies."""
    with warehouse.connect(autocommit=True) as connection:
        row = connection.execute(
            "select pg_try_advisory_lock(hashtextextended(%s, 0))", [f"sync {source}"]
        ).fetchone()
        if not (row and row[0]):
            raise AlreadyRunningError(
                f"Another process is syncing {source} at this moment. Wait for it to end."
            )
        try:
            yield
        finally:
            # Closing alone would free it too, but only when the server has noticed.
            if not connection.broken:
                connection.execute("select pg_advisory_unlock_all()")
