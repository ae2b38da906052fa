"""Sync: bring the raw tables of a source up to date, stream by stream."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg

from crmhouse.errors import (
    AlreadyRunningError,
    ConfigurationError,
    CrmhouseError,
    SourceError,
    SyncFailedError,
    WarehouseError,
)
from crmhouse.log import about
from ingestion.locks import of_source, open_locks, require
from ingestion.runs import SliceRun, is_cut_short, note_check
from ingestion.sources import connector
from ingestion.stream_sync import (
    NO_SLICE,
    Asked,
    Silent,
    Work,
    lead,
    record_failure,
    status_of,
    sync_stream,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from crmhouse.rules import RowRule
    from crmhouse.settings import Settings, SourceConfig
    from crmhouse.warehouse import Warehouse
    from ingestion.sources.connector import Connector
    from ingestion.stream_sync import Listener, Rules
    from ingestion.streams import Stream

logger = logging.getLogger(__name__)


def no_rules(system: str, stream: str) -> list[RowRule]:  # noqa: ARG001  # the signature of Rules
    """Divert no row to quarantine but those that cannot be landed."""
    return []


def sync_source(
    warehouse: Warehouse,
    settings: Settings,
    source: SourceConfig,
    *,
    run_id: UUID,
    reader: Connector | None = None,
    streams: Collection[str] | None = None,
    asked: Asked | None = None,
    rules: Rules = no_rules,
    listener: Listener | None = None,
    patience: float = 0,
) -> list[SliceRun]:
    """Bring the streams of a source up to date; a stream that fails does not stop the others.

    Where another process leads the first load of a stream, this one helps with its slices.

    Args:
        warehouse: where to.
        settings: the project's settings.
        source: the configured source.
        run_id: the run this belongs to.
        reader: its connector, where streams that are synced one by one are to share what it knows.
        streams: names of the streams; all of the source's when None.
        asked: what of them; what is new, when None.
        rules: gives the row rules of a system's stream.
        listener: is told how it gets on.
        patience: seconds to wait for another process that holds the source or the stream.

    Returns:
        What each slice did that had something to do.

    Raises:
        SyncFailedError: some streams failed; its `runs` are what was landed all the same.
        ConfigurationError: an unknown stream, or one that cannot be read as asked.
        AlreadyRunningError: others sync all that could be synced, or build from the source.
        SourceError: the source does not tell its streams.
        WarehouseError: the connection was lost before anything was read.
    """
    asked, listener = asked or Asked(), listener or Silent()
    every = reader or connector(settings, source)
    reader = every if streams is None else every.only(streams)  # no other is then asked for
    chosen = _streams(warehouse, source, reader, run_id, streams)
    if unknown := sorted(set(streams or ()) - {stream.name for stream in chosen}):
        raise ConfigurationError(
            f"Source {source.name} has no stream {', '.join(unknown)}. "
            f"It has: {', '.join(stream.name for stream in every.streams())}."
        )
    runs: list[SliceRun] = []
    errors: dict[str, CrmhouseError] = {}
    with open_locks(warehouse) as locks:
        require(locks, of_source(source.name), source.name, shared=True, patience=patience)
        work = Work(warehouse, settings, source, reader, run_id, rules, listener, locks)
        for stream in chosen:
            with about(run_id=run_id, source=source.name, stream=stream.name):
                try:
                    leads = lead(work, stream, asked, patience)
                    for run in sync_stream(work, stream, asked, leads=leads):
                        runs.append(run)
                        listener.landed(run)
                    if leads and asked == Asked(everything=asked.everything):
                        _note_check(warehouse, source, stream, run_id)
                except CrmhouseError as error:
                    if asked.window and isinstance(error, ConfigurationError):
                        raise
                    logger.error("%s.%s failed: %s", source.name, stream.name, error)  # noqa: TRY400
                    errors[f"{source.name}.{stream.name}"] = error
    if errors and all(isinstance(error, AlreadyRunningError) for error in errors.values()):
        raise next(iter(errors.values()))
    if errors:
        message = "\n".join(f"{name}: {error}" for name, error in errors.items())
        raise SyncFailedError(message, runs, tuple(errors.values()))
    _end_failure(warehouse, source, run_id)
    return runs


def plan_first_load(
    warehouse: Warehouse,
    settings: Settings,
    source: SourceConfig,
    stream: str,
    *,
    run_id: UUID,
    reader: Connector,
    rules: Rules = no_rules,
    listener: Listener | None = None,
    patience: float = 0,
) -> None:
    """Begin the first load of a stream: what is small lands, what is large gets a plan.

    Args:
        warehouse: where to.
        settings: the project's settings.
        source: the configured source.
        stream: the name of one of its streams.
        run_id: the run this belongs to.
        reader: the source's connector.
        rules: gives the row rules of a system's stream, for what is small and landed at once.
        listener: is told how it gets on.
        patience: seconds to wait for another process that holds the source or the stream.

    Raises:
        SyncFailedError, AlreadyRunningError, SourceError, WarehouseError: as `sync_source`.
    """
    sync_source(
        warehouse, settings, source,
        run_id=run_id, reader=reader, streams=[stream], asked=Asked(plan=True), rules=rules,
        listener=listener, patience=patience,
    )  # fmt: skip


def _streams(
    warehouse: Warehouse,
    source: SourceConfig,
    reader: Connector,
    run_id: UUID,
    names: Collection[str] | None,
) -> tuple[Stream, ...]:
    """Ask a source for its streams. That it does not answer has a record of its own."""
    try:
        return reader.streams()
    except SourceError as error:
        for name in names or (NO_SLICE,):
            run = _of_source(source, run_id, name)
            record_failure(warehouse, replace(run, status=status_of(error), error=str(error)))
        raise


def _end_failure(warehouse: Warehouse, source: SourceConfig, run_id: UUID) -> None:
    """Note that a source answers again, which did not. What has landed has landed without it."""
    try:
        with warehouse.connect() as connection:
            if is_cut_short(connection, source.name, NO_SLICE):
                _of_source(source, run_id, NO_SLICE).record(connection)
    except (WarehouseError, psycopg.Error) as error:
        logger.warning(
            "%s answers again, which cannot be recorded: %s", source.name, type(error).__name__
        )


def _note_check(warehouse: Warehouse, source: SourceConfig, stream: Stream, run_id: UUID) -> None:
    try:
        with warehouse.connect() as connection:
            note_check(connection, source.name, stream.name, run_id)
    except (WarehouseError, psycopg.Error) as error:
        logger.warning(
            "%s.%s is up to date, which cannot be recorded: %s",
            source.name, stream.name, type(error).__name__,
        )  # fmt: skip


def _of_source(source: SourceConfig, run_id: UUID, stream: str) -> SliceRun:
    return SliceRun(run_id, source.name, stream, NO_SLICE, "succeeded", datetime.now(UTC))
