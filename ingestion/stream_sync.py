"""The sync of one stream: its slices, one after the other, alone or beside other processes."""

from __future__ import annotations

import logging
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import psycopg

from crmhouse.errors import AlreadyRunningError, QuotaExhaustedError, WarehouseError
from ingestion.faults import FAULTS, of_ours
from ingestion.full_refresh import whole
from ingestion.landing import land_slice, moment_of
from ingestion.locks import require
from ingestion.raw_tables import prepare
from ingestion.runs import SliceRun, checkpoints, is_cut_short

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from uuid import UUID

    from crmhouse.errors import CrmhouseError
    from crmhouse.rules import RowRule
    from crmhouse.settings import Settings, SourceConfig
    from crmhouse.warehouse import Warehouse
    from ingestion.locks import Locks
    from ingestion.runs import Checkpoints, Status
    from ingestion.slices import Slice
    from ingestion.sources.connector import Connector
    from ingestion.streams import Stream

    Rules = Callable[[str, str], list[RowRule]]

logger = logging.getLogger(__name__)

NO_SLICE = "-"
"""Stands in `ops.sync_runs` for the slice of a failure that belongs to none, and for the stream."""

_ROWS_SECONDS = 3600


class Listener(Protocol):
    """Is told how a sync gets on."""

    def arrived(self, place: str, records: int, expected: int | None) -> None:
        """Hear how many records of a slice have arrived, and how many will, if that is known."""

    def landed(self, run: SliceRun) -> None:
        """Hear what a slice did that has landed."""


class Silent:
    """A listener that tells nobody."""

    def arrived(self, place: str, records: int, expected: int | None) -> None:
        """Pass over it."""

    def landed(self, run: SliceRun) -> None:
        """Pass over it."""


@dataclass(frozen=True)
class Asked:
    """What is to be synced of a stream; what is new, when nothing is said.

    Attributes:
        everything: a full refresh: all records, and so also which ones are gone.
        window: a backfill: records that changed from the first moment on, and before the second.
        plan: only what a first load begins with, so that others can land its slices.
        slices: only these slices of a first load that is under way.
    """

    everything: bool = False
    window: tuple[datetime, datetime] | None = None
    plan: bool = False
    slices: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Work:
    """What the sync of every stream of a source needs."""

    warehouse: Warehouse
    settings: Settings
    source: SourceConfig
    reader: Connector
    run_id: UUID
    rules: Rules
    listener: Listener
    locks: Locks

    def landed(self, stream: Stream) -> Checkpoints:
        """Return the checkpoints of a stream, by slice."""
        with self.warehouse.connect() as connection:
            return checkpoints(connection, self.source.name, stream.name)

    def place(self, stream: Stream) -> str:
        """Return source and stream, for locks and messages."""
        return f"{self.source.name}.{stream.name}"


def lead(work: Work, stream: Stream, asked: Asked, patience: float) -> bool:
    """Take the lead of a stream; say whether it was to be had, or help is welcome.

    Raises:
        AlreadyRunningError: another process leads, and there is nothing to help with.
    """
    if asked.slices:
        return False
    name = f"sync {work.place(stream)}"
    if asked.window:
        name += " from {} to {}".format(*asked.window)
    elif not work.locks.take(name) and not asked.everything:
        landed = work.landed(stream)
        if not landed.keys() >= {*work.reader.load_slices(stream, landed)}:
            return False
    require(work.locks, name, work.place(stream), patience=patience)
    return True


class Claims:
    """The slices of a stream that this process has taken for itself, while others take others.

    Attributes:
        landed: the checkpoints of the stream, by slice.
        since: the warehouse's time when the stream was begun; what is landed later is not missing
            in any of its slices.
    """

    def __init__(self, work: Work, stream: Stream) -> None:
        self._locks, self._place = work.locks, work.place(stream)
        self._look = partial(work.landed, stream)
        self._held: set[str] = set()
        with work.warehouse.connect() as connection:
            self.landed = checkpoints(connection, work.source.name, stream.name)
            self.since = moment_of(connection)

    def take(self, name: str) -> bool:
        """Claim a slice; say whether it is ours to land. What has landed meanwhile is looked up."""
        is_free = self._locks.take(self._lock_of(name))
        self.landed.update(self._look())
        if is_free:
            self._held.add(name)
        if name in self.landed:
            self.release()
            return False
        return is_free

    def release(self) -> None:
        """Leave all claimed slices to others: they have landed, or they failed."""
        while self._held:
            self._locks.release(self._lock_of(self._held.pop()))

    @contextmanager
    def released(self) -> Iterator[None]:
        """Leave them to others however the block ends."""
        try:
            yield
        finally:
            self.release()

    def _lock_of(self, name: str) -> str:
        return f"sync {self._place} {name}"


def _slices(
    work: Work, stream: Stream, asked: Asked, claims: Claims, *, leads: bool
) -> Generator[Slice]:
    if not leads:
        names = () if asked.plan else asked.slices or None
        return work.reader.shared(stream, claims.landed, claims.take, names)
    if asked.plan:
        return work.reader.plan(stream, claims.landed)
    if asked.window:
        return work.reader.window(stream, *asked.window)
    if asked.everything:
        return whole(work.reader, stream, claims.landed)
    return work.reader.slices(stream, claims.landed, claims.take)


def sync_stream(work: Work, stream: Stream, asked: Asked, *, leads: bool) -> Iterator[SliceRun]:
    """Land the slices of a stream that have something to do; record the one that fails."""
    part, started_at, idle = NO_SLICE, datetime.now(UTC), True
    source = work.source.name
    try:
        claims = Claims(work, stream)
        with (
            closing(_slices(work, stream, asked, claims, leads=leads)) as slices,
            claims.released(),
        ):
            for slice_ in slices:
                part, started_at, idle = slice_.name, datetime.now(UTC), False
                run = _land(work, stream, replace(slice_, since=claims.since), claims.landed)
                claims.release()
                if run is not None:
                    yield run
                part, started_at = NO_SLICE, datetime.now(UTC)
        if idle and not (asked.plan or asked.slices):
            # A bad file that was taken away leaves no slice that could end the failure.
            clean = SliceRun(work.run_id, source, stream.name, part, "succeeded", started_at)
            with work.warehouse.connect(autocommit=True) as connection:
                prepare(connection, source, stream, work.run_id)
                if is_cut_short(connection, source, stream.name):
                    clean.record(connection)
    except FAULTS as caught:
        error = of_ours(caught, f"{source}.{stream.name} {part}")
        failed = SliceRun(
            work.run_id, source, stream.name, part, status_of(error), started_at, error=str(error)
        )
        record_failure(work.warehouse, failed)
        raise error from None  # a chain would carry the database's own text, which quotes rows


def _land(work: Work, stream: Stream, part: Slice, landed: Checkpoints) -> SliceRun | None:
    """Land a slice; None where that has to wait until nobody else lands rows of the stream."""
    place = work.place(stream)
    is_shared = part.holds == "changes"
    rows = f"rows {place}"
    if not work.locks.take(rows, shared=is_shared, seconds=_ROWS_SECONDS if is_shared else 0):
        if part.holds == "keys":
            logger.info("%s: deleted records are looked for when nobody else lands rows", place)
            return None
        doing = "compares all rows" if is_shared else "lands rows"
        raise AlreadyRunningError(
            f"{place}: another process {doing} of this stream, so {part.name} was not landed. Wait "
            "for it to end."
        )
    remembered: dict[str, Any] = {}

    def checkpoint() -> Mapping[str, Any]:
        remembered.update(part.checkpoint())
        return remembered

    try:
        run = land_slice(
            work.warehouse,
            work.source.name,
            stream,
            replace(part, checkpoint=checkpoint),
            run_id=work.run_id,
            max_quarantine_share=work.settings.max_quarantine_share,
            rules=work.rules(work.reader.system, stream.name),
            contract=work.source.schema_contract,
            floor=work.settings.refresh_row_floor,
            on_records=lambda n: work.listener.arrived(f"{place} {part.name}", n, part.reported),
        )
    finally:
        work.locks.release(rows, shared=is_shared)
    landed[part.name] = remembered
    return run


def status_of(error: CrmhouseError) -> Status:
    """Return what a sync is that ended with this error: a quota that is used up is no failure."""
    return "partial" if isinstance(error, QuotaExhaustedError) else "failed"


def record_failure(warehouse: Warehouse, failed: SliceRun) -> None:
    """Write the record of a failure, unless it is the warehouse that has failed."""
    try:
        with warehouse.connect() as connection:
            failed.record(connection)
    except (WarehouseError, psycopg.Error) as error:
        logger.warning("The failure cannot be recorded in ops.sync_runs: %s", type(error).__name__)
