"""Quarantine: which records are held back, and what is kept of them.

`ingestion.replay` puts them through the landing engine again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql
from psycopg.rows import class_row

from crmhouse.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from psycopg import Connection

    from crmhouse.settings import Settings
    from crmhouse.warehouse import Warehouse

SELECTED = sql.SQL("""
    (
        cardinality(%(targets)s::text[]) = 0
        or source = any(%(targets)s) or source || '.' || stream = any(%(targets)s)
    )
    and (cardinality(%(ids)s::bigint[]) = 0 or quarantine_id = any(%(ids)s))
    and (%(reason)s::text is null or reason = %(reason)s)
    and (%(resolved)s or resolved_at is null)
""")
"""The condition of a selection, over `ops.quarantine`."""


@dataclass(frozen=True)
class Selection:
    """Which held records are meant: those that all of these agree on.

    Attributes:
        targets: sources, and streams as `source.stream`; all of them when empty.
        ids: of records; all of them when empty.
        reason: why they are held; any reason when None.
        resolved: whether records that are held no longer are meant too.
    """

    targets: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    reason: str | None = None
    resolved: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters of `SELECTED`."""
        return {
            "targets": list(self.targets),
            "ids": list(self.ids),
            "reason": self.reason,
            "resolved": self.resolved,
        }


@dataclass(frozen=True)
class HeldRecord:
    """A row of `ops.quarantine`, without the values of the record.

    Attributes:
        times_seen: how often it failed, replays among them.
        resolution: how it was resolved; None while it is held.
    """

    quarantine_id: int
    source: str
    stream: str
    reason: str
    detail: str
    slice: str
    first_seen_at: datetime
    last_seen_at: datetime
    times_seen: int
    resolved_at: datetime | None
    resolution: str | None


@dataclass(frozen=True)
class HeldRecordInFull(HeldRecord):
    """Everything that is kept of a record: its values too.

    Attributes:
        payload: the record as it arrived.
        payload_kind: what that is; see the column of `ops.quarantine`.
        arrived_at: when its source delivered it last.
    """

    record_key: str | None
    payload: str
    payload_kind: str
    run_id: UUID
    arrived_at: datetime


@dataclass(frozen=True)
class HeldCount:
    """How many records of a stream are selected that are held for one reason."""

    source: str
    stream: str
    reason: str
    records: int


@dataclass(frozen=True)
class Listing:
    """Held records, the newest first.

    Attributes:
        counts: all that are selected, by stream and reason.
        records: as many of them as were asked for.
    """

    counts: tuple[HeldCount, ...]
    records: tuple[HeldRecord, ...]

    @property
    def total(self) -> int:
        """Return how many records are selected."""
        return sum(count.records for count in self.counts)


def list_records(warehouse: Warehouse, selection: Selection, limit: int) -> Listing:
    """Return the selected records, at most `limit` of them."""
    with warehouse.connect() as connection:
        records = connection.cursor(row_factory=class_row(HeldRecord)).execute(
            sql.SQL("""
            select quarantine_id, source, stream, reason, detail, slice, first_seen_at,
                last_seen_at, times_seen, resolved_at, resolution
            from ops.quarantine where {}
            order by last_seen_at desc, quarantine_id desc limit %(limit)s
            """).format(SELECTED),
            {**selection.parameters, "limit": limit},
        )
        return Listing(counts(connection, selection), tuple(records.fetchall()))


def counts(connection: Connection, selection: Selection) -> tuple[HeldCount, ...]:
    """Count the selected records by stream and reason."""
    found = connection.cursor(row_factory=class_row(HeldCount)).execute(
        sql.SQL(
            "select source, stream, reason, count(*) as records from ops.quarantine "
            "where {} group by source, stream, reason order by source, stream, reason"
        ).format(SELECTED),
        selection.parameters,
    )
    return tuple(found.fetchall())


def show_records(warehouse: Warehouse, ids: Sequence[int]) -> list[HeldRecordInFull]:
    """Return everything of these records, in the order asked for.

    Raises:
        ConfigurationError: there is no record of that id; names it.
    """
    selection = Selection(ids=tuple(ids), resolved=True)
    with warehouse.connect() as connection:
        require_ids(connection, selection)
        records = connection.cursor(row_factory=class_row(HeldRecordInFull)).execute(
            sql.SQL("""
            select quarantine_id, source, stream, reason, detail, slice, first_seen_at,
                last_seen_at, times_seen, resolved_at, resolution, record_key, payload,
                payload_kind, run_id, arrived_at
            from ops.quarantine where {}
            """).format(SELECTED),
            selection.parameters,
        )
        found = {record.quarantine_id: record for record in records}
    return [found[record_id] for record_id in dict.fromkeys(ids)]


def count_records(warehouse: Warehouse, selection: Selection) -> int:
    """Return how many records are selected.

    Raises:
        ConfigurationError: one of the ids is not that of such a record; names it.
    """
    with warehouse.connect() as connection:
        require_ids(connection, selection)
        return sum(count.records for count in counts(connection, selection))


def discard_records(warehouse: Warehouse, selection: Selection) -> int:
    """Resolve the selected records as `discarded`; return how many.

    One that arrives again is held again.
    """
    with warehouse.connect() as connection:
        return connection.execute(
            sql.SQL(
                "update ops.quarantine set resolved_at = now(), resolution = 'discarded' "
                "where resolved_at is null and {}"
            ).format(SELECTED),
            selection.parameters,
        ).rowcount


def require_ids(connection: Connection, selection: Selection) -> None:
    """Raise unless each id that was asked for is that of a selected record.

    Raises:
        ConfigurationError: names those that are not, and says why.
    """
    rows = connection.execute(
        sql.SQL(
            "select quarantine_id, resolution, {} from ops.quarantine "
            "where quarantine_id = any(%(ids)s)"
        ).format(SELECTED),
        selection.parameters,
    ).fetchall()
    known = {record_id: (resolution, selected) for record_id, resolution, selected in rows}
    problems: list[str] = []
    for record_id in dict.fromkeys(selection.ids):
        if record_id not in known:
            problems.append(f"{record_id} does not exist")
        elif not known[record_id][1]:
            resolution = known[record_id][0]
            why = f"is resolved already ({resolution})" if resolution else "is none of those chosen"
            problems.append(f"{record_id} {why}")
    if problems:
        raise ConfigurationError(
            f"Held records: {'; '.join(problems)}. Nothing was done. "
            "`crmhouse quarantine list --all` shows the ids that there are."
        )


def require_targets(warehouse: Warehouse, settings: Settings, targets: Sequence[str]) -> None:
    """Raise unless each target is a configured source, or anything that was ever synced.

    Raises:
        ConfigurationError: names those that are not, and what there is.
    """
    with warehouse.connect() as connection:
        rows = connection.execute(
            "select source, source || '.' || stream from ops.sync_runs "
            "union select source, source || '.' || stream from ops.quarantine"
        ).fetchall()
    known = {source.name for source in settings.sources} | {name for row in rows for name in row}
    if unknown := sorted(set(targets) - known):
        raise ConfigurationError(
            f"Nothing is known of {', '.join(unknown)}: no source of that name is configured, and "
            f"no such stream was ever synced. There are: {', '.join(sorted(known)) or 'none'}. "
            "Nothing was done."
        )
