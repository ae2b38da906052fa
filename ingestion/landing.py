"""The landing engine: records of one slice into their raw table, all or nothing.

Batches are fitted to the column types and copied into a staging table that only this connection
can see. Then one transaction merges the rows, keeps the rejected records, moves the checkpoint and
writes the run record. While a raw table is empty there is nothing to merge with: that transaction
then copies into it. Killed at any moment, a slice is either landed with all of these or with
none; landed again, it changes nothing. Memory is bounded by one batch.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from crmhouse.errors import RunFailedError, TooManyBadRecordsError
from ingestion.catalogue import refresh_statistics
from ingestion.copies import copy_into, suits, takes
from ingestion.direct import Direct
from ingestion.merge import Merged, is_empty, merge, share, tombstones, watermark
from ingestion.raw_tables import evolve, note_vanished, prepare
from ingestion.rejected import REJECTED, reasons
from ingestion.runs import SliceRun, forget, quarantine, save_checkpoint, supersede
from ingestion.snapshots import replace_rows, sweep
from ingestion.staging import STAGED, Staging

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from psycopg import Connection

    from crmhouse.rules import RowRule
    from crmhouse.warehouse import Warehouse
    from ingestion.slices import Slice
    from ingestion.streams import Contract, Stream

logger = logging.getLogger(__name__)

_A_HANDFUL = 10
_TEMP_BUFFERS = "64MB"  # what staging may take of the server's memory before it goes to its disk
_MERGE_DECIDES = (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected)


def land_slice(
    warehouse: Warehouse,
    source: str,
    stream: Stream,
    part: Slice,
    *,
    run_id: UUID,
    max_quarantine_share: float,
    rules: Sequence[RowRule] = (),
    contract: Contract = "evolve",
    floor: float = 0,
    on_records: Callable[[int], object] = bool,
) -> SliceRun:
    """Land one slice of a stream.

    Args:
        warehouse: where to.
        source: the configured source's name.
        stream: the declaration.
        part: the slice.
        run_id: the run this belongs to.
        max_quarantine_share: a larger share of bad records fails the slice (0 to 1). Fewer than
            ten fail it only where there is no good one, or where the share is 0.
        rules: rows that break one of these go to quarantine.
        contract: whether records may change the table.
        floor: where the slice holds all records: the least that must arrive, as a share of the
            rows that are there and not deleted.
        on_records: is told now and then how many records have arrived.

    Raises:
        TooManyBadRecordsError: nothing was landed.
        RunFailedError: the source reported another number of records, or far fewer than there were;
            nothing was landed.
        SourceRefusedError: no record has a field for the key or the version, or the table would
            have to change and is frozen.
        WarehouseError: another run changed the table meanwhile: sync again.
        ConfigurationError: the table was made from another declaration.
    """
    run = SliceRun(
        run_id, source, stream.name, part.name, "succeeded", datetime.now(UTC), window=part.window
    )
    limits = _Limits(max_quarantine_share, rules, contract, floor, on_records)
    if part.holds == "keys":
        stream, limits = replace(stream, version_optional=True), limits._replace(rules=())
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("select set_config('temp_buffers', %s, false)", [_TEMP_BUFFERS])
        landed = None
        if stream.version and part.holds != "keys" and not part.held:
            with suppress(*_MERGE_DECIDES):
                landed = _land_without_merge(connection, run, stream, part, limits)
        run, held = landed or _land_by_merge(connection, run, stream, part, limits)
    logger.info(
        "%s.%s %s: %d extracted, %d inserted, %d updated, %d unchanged, %d quarantined",
        source, stream.name, part.name, run.extracted, run.inserted, run.updated, run.unchanged,
        run.quarantined,
    )  # fmt: skip
    if held:
        logger.warning(
            "%s: %d records held back in ops.quarantine: %s", run.place, run.quarantined, held
        )
    return run


class _Limits(NamedTuple):
    """What a slice must keep to, and whom it tells how it gets on."""

    max_quarantine_share: float
    rules: Sequence[RowRule]
    contract: Contract
    floor: float
    on_records: Callable[[int], object]


def _land_without_merge(
    connection: Connection, run: SliceRun, stream: Stream, part: Slice, limits: _Limits
) -> tuple[SliceRun, str] | None:
    """Copy a slice straight into its raw table, if that has none of its records.

    The versions of a stream say which record is current, so nothing has to be compared; and a key
    that is there already, or comes twice, breaks the primary key. The transaction is open while the
    source is read. Several may copy side by side; merges wait for them, readers do not.

    Returns:
        The run and why records were held back; None where this is not the way to land it.

    Raises:
        psycopg.errors.UniqueViolation: two records have one key; nothing was landed.
        psycopg.errors.DeadlockDetected: two slices have the same keys; nothing was landed.
    """
    table = prepare(connection, run.source, stream, run.run_id, limits.contract)
    if part.is_shared and all(suits(table, *field) for field in part.types.items()):
        # Made beforehand: slices that share the table would wait for each other to make them.
        for source_field, kind in part.types.items():
            table.want(source_field, kind)
        if table.wanted:
            with connection.transaction():
                evolve(connection, table, run.run_id)
    with connection.transaction():
        if not (table.columns and share(connection, table, wait=part.is_first)):
            return None
        if not (part.is_first or is_empty(connection, table)):
            return None
        with Direct(connection, table, run.place, run_id=run.run_id) as staging:
            _stage(staging, part, limits.on_records, run.run_id)
            checkpoint = part.checkpoint()
            staging.divert(limits.rules)
        _refuse_bad_slice(staging, part, limits.max_quarantine_share)
        merged = Merged(staging.extracted - staging.rejected, 0, tombstones(connection, table))
        return _finish(staging, run, part, checkpoint, merged)


def _land_by_merge(
    connection: Connection, run: SliceRun, stream: Stream, part: Slice, limits: _Limits
) -> tuple[SliceRun, str]:
    """Copy a slice into private staging, then merge it."""
    table = prepare(connection, run.source, stream, run.run_id, limits.contract)
    since = part.since or moment_of(connection)
    with Staging(connection, table, run.place) as staging:
        _stage(staging, part, limits.on_records)
    checkpoint = part.checkpoint()
    with connection.transaction():
        staging.divert(limits.rules)
        _refuse_bad_slice(staging, part, limits.max_quarantine_share)
        if table.wanted:
            evolve(connection, table, run.run_id)
            staging.complete()
        if part.held:
            part.held.withdraw(staging)
        merged = Merged(0, 0, 0)
        if not table.columns:
            pass  # no record ever came, so there is no table
        elif part.holds == "all":
            merged = replace_rows(staging, run.run_id, since, limits.floor)
        elif part.holds == "keys":
            merged = sweep(staging, run.run_id, since, limits.floor)
        elif staging.present:
            merged = merge(connection, table, STAGED, run.run_id, staging.present)
        return _finish(staging, run, part, checkpoint, merged)


def _stage(
    staging: Staging,
    part: Slice,
    on_records: Callable[[int], object],
    run_id: UUID | None = None,
) -> None:
    if part.copy and takes(staging.table, part.copy):
        copy_into(staging, part.copy, on_records, run_id)
    else:
        for batch in part.read():
            staging.add(batch)
            on_records(staging.extracted)
    staging.finish()


def moment_of(connection: Connection) -> datetime:
    """Return the warehouse's time, which `_loaded_at` is of."""
    row = connection.execute("select clock_timestamp()").fetchone()
    return row[0] if row else datetime.now(UTC)


def _finish(
    staging: Staging, run: SliceRun, part: Slice, checkpoint: Mapping[str, Any], merged: Merged
) -> tuple[SliceRun, str]:
    """Write down what a slice did, in the transaction that landed its rows.

    Returns:
        The run, and why records were held back.
    """
    connection, table = staging.connection, staging.table
    run = replace(
        run,
        extracted=staging.extracted,
        inserted=merged.inserted,
        updated=merged.updated,
        deleted=merged.deleted,
        missing=merged.missing,
        quarantined=staging.rejected,
        reported=part.reported,
    )
    if staging.whole:
        note_vanished(connection, table, run.run_id, staging.vanished)
    if part.held:
        part.held.settle(staging, run)
    else:
        quarantine(connection, run, REJECTED)
    held = reasons(connection) if run.quarantined else ""
    newest = staging.newest or part.newest
    if staging.diverted:  # what was seen on the way is then not what has landed
        newest = watermark(connection, table, staging.target)
    save_checkpoint(connection, run, checkpoint, newest)
    for name, other in part.also().items():
        save_checkpoint(connection, replace(run, slice=name), other, newest)
    if part.overtakes:
        forget(connection, run, part.overtakes)
    if table.columns and not part.held:
        supersede(connection, run, table, staging.target if part.holds != "keys" else None)
    run.record(connection)
    refresh_statistics(connection, table.identifier, run.changed)
    return run, held


def _refuse_bad_slice(staging: Staging, part: Slice, max_quarantine_share: float) -> None:
    """Raise when the slice is not what it should be; the transaction then lands nothing."""
    if part.reported is not None and staging.extracted != part.reported:
        raise RunFailedError(
            f"{staging.place}: the source reported {part.reported} records, {staging.extracted} "
            "arrived. Nothing was landed and the checkpoint has not moved: run the sync again."
        )
    bad, all_of_them = staging.rejected, staging.extracted
    # A handful says nothing of a source: one bad record of a small slice must not block a stream.
    counts = bad >= _A_HANDFUL or bad == all_of_them or max_quarantine_share == 0
    if counts and bad > max_quarantine_share * all_of_them:
        raise TooManyBadRecordsError(
            f"{staging.place}: {bad} of {all_of_them} records are bad "
            f"({reasons(staging.connection)}), more than the allowed share of "
            f"{max_quarantine_share:g}. Nothing was landed. Repair the "
            "source, or raise max_quarantine_share to let the good records in."
        )
