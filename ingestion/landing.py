"""The landing engine: records of one slice into their raw table, all or nothing.

Batches are fitted to the column types and copied into a staging table that only this connection
can see. Then one transaction merges the rows, keeps the rejected records, moves the checkpoint and
writes the run record. Killed at any moment, a slice is either landed with all of these or with
none; landed again, it changes nothing. Memory is bounded by one batch.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from crmhouse.errors import RunFailedError, TooManyBadRecordsError
from ingestion.merge import Merged, merge, watermark
from ingestion.raw_tables import evolve, prepare, refresh_statistics
from ingestion.runs import SliceRun, quarantine, save_checkpoint
from ingestion.staging import REJECTED, STAGED, Staging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from uuid import UUID

    from crmhouse.rules import RowRule
    from crmhouse.warehouse import Warehouse
    from ingestion.batches import Batch
    from ingestion.streams import Stream

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Slice:
    """A part of a stream that is landed at once.

    Attributes:
        name: identifies the slice within its stream; stays the same when it is read again.
        read: reads the records, batch by batch.
        checkpoint: what to remember once the slice has landed; asked for after reading.
        reported: how many records the source said it would deliver; None when it cannot tell.
    """

    name: str
    read: Callable[[], Iterator[Batch]]
    checkpoint: Callable[[], Mapping[str, Any]]
    reported: int | None = None


def land_slice(
    warehouse: Warehouse,
    source: str,
    stream: Stream,
    part: Slice,
    *,
    run_id: UUID,
    max_quarantine_share: float,
    rules: Sequence[RowRule] = (),
) -> SliceRun:
    """Land one slice of a stream.

    Args:
        warehouse: where to.
        source: the configured source's name.
        stream: the declaration.
        part: the slice.
        run_id: the run this belongs to.
        max_quarantine_share: a larger share of bad records fails the slice (0 to 1).
        rules: rows that break one of these go to quarantine.

    Raises:
        TooManyBadRecordsError: nothing was landed.
    """
    run = SliceRun(run_id, source, stream.name, part.name, "succeeded", datetime.now(UTC))
    with warehouse.connect(autocommit=True) as connection:
        table = prepare(connection, source, stream, run_id)
        staging = Staging(connection, table)
        staging.create()
        for batch in part.read():
            staging.add(batch)
        staging.complete()
        checkpoint = part.checkpoint()
        with connection.transaction():
            staging.divert(rules)
            _refuse_bad_slice(staging, run, part, max_quarantine_share)
            if table.wanted:
                evolve(connection, table, run_id)
            merged = merge(connection, table, STAGED, run_id) if table.columns else Merged(0, 0, 0)
            run = replace(
                run,
                extracted=staging.extracted,
                inserted=merged.inserted,
                updated=merged.updated,
                deleted=merged.deleted,
                quarantined=staging.rejected,
                reported=part.reported,
            )
            quarantine(connection, run, REJECTED)
            newest = watermark(connection, table, STAGED) if table.columns else None
            save_checkpoint(connection, run, checkpoint, newest)
            run.record(connection)
            refresh_statistics(connection, table, run.changed)
    logger.info(
        "%s.%s %s: %d extracted, %d inserted, %d updated, %d unchanged, %d quarantined",
        source, stream.name, part.name, run.extracted, run.inserted, run.updated, run.unchanged,
        run.quarantined,
    )  # fmt: skip
    return run


def _refuse_bad_slice(
    staging: Staging, run: SliceRun, part: Slice, max_quarantine_share: float
) -> None:
    """Raise when the slice is not what it should be; the transaction then lands nothing."""
    name = f"{run.source}.{run.stream} {part.name}"
    if part.reported is not None and staging.extracted != part.reported:
        raise RunFailedError(
            f"{name}: the source reported {part.reported} records, {staging.extracted} arrived. "
            "Nothing was landed and the checkpoint has not moved: run the sync again."
        )
    if staging.rejected > max_quarantine_share * staging.extracted:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in staging.reasons())
        raise TooManyBadRecordsError(
            f"{name}: {staging.rejected} of {staging.extracted} records are bad ({reasons}), more "
            f"than the allowed share of {max_quarantine_share:g}. Nothing was landed. Repair the "
            "source, or raise max_quarantine_share to let the good records in."
        )
