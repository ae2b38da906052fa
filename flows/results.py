"""What the flows give back: values that the command line can print, without importing Prefect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from crmhouse.errors import QuotaExhaustedError, SyncFailedError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path
    from uuid import UUID

    from crmhouse.dbt_results import DbtNode
    from crmhouse.errors import CrmhouseError
    from crmhouse.publish import Published
    from identity.resolve import Resolution
    from ingestion.runs import SliceRun
    from quality import GateReport


@dataclass(frozen=True)
class StreamFailure:
    """A stream that could not be synced; what it had landed before stays.

    Attributes:
        is_quota: nothing is wrong but that the source's limit is used up.
        seconds_to_wait: until then, where the source tells it.
    """

    source: str
    stream: str
    message: str
    is_quota: bool = False
    seconds_to_wait: float | None = None

    @classmethod
    def of(cls, source: str, stream: str, error: CrmhouseError) -> StreamFailure:
        """Return the failure that an error is."""
        causes = (error.causes if isinstance(error, SyncFailedError) else ()) or (error,)
        quota = [cause for cause in causes if isinstance(cause, QuotaExhaustedError)]
        waits = [cause.seconds for cause in quota if cause.seconds is not None]
        return cls(
            source, stream, str(error), len(quota) == len(causes), max(waits) if waits else None
        )


@dataclass(frozen=True)
class SyncResult:
    """What a sync of one source did.

    Attributes:
        run_id: the run in `ops.sync_runs`.
        slices: what each slice did that had something to do, in the order in which they landed.
    """

    run_id: UUID
    slices: tuple[SliceRun, ...]


@dataclass(frozen=True)
class BackfillResult:
    """What a backfill did that came to its end.

    Attributes:
        backfill_id: in `ops.backfills`.
        streams: the streams that were read again.
        landed: how many slices this run has landed.
        slices: how many there are; the others had landed before.
    """

    backfill_id: UUID
    streams: tuple[str, ...]
    landed: int
    slices: int


@dataclass(frozen=True)
class RefreshResult:
    """What a refresh did that came to its end; one that did not raises instead.

    Attributes:
        run_id: the run in all tables of `ops`.
        status: `partial`: some streams failed, see `failures`; everything else went well.
        outcome: `crmhouse.pipeline.PUBLISHED`, or `NOTHING_NEW` when raw and marts are unchanged;
            then the fields from `as_of` on are empty.
        slices: what each slice did that had something to do, in the order in which they landed.
        failures: the streams that failed.
        as_of: the moment the figures are for, exclusive.
        dbt_nodes: every model and test of both dbt calls, in the order in which they ended.
        resolution: what identity found and changed.
        gates: the reports of the raw gate and the marts gate, both green.
        published: every mart, and what changed in it.
        gate_page: the HTML page of the gates.
        seconds: wall time of the whole run.
    """

    run_id: UUID
    status: Literal["succeeded", "partial"]
    outcome: str
    slices: tuple[SliceRun, ...]
    failures: tuple[StreamFailure, ...]
    seconds: float
    as_of: datetime | None = None
    dbt_nodes: tuple[DbtNode, ...] = ()
    resolution: Resolution | None = None
    gates: tuple[GateReport, ...] = ()
    published: tuple[Published, ...] = ()
    gate_page: Path | None = None
