"""Replay: held records through the landing engine again, with what is configured now.

The records that a slice has left behind are landed together, the oldest slice first, each time
with their resolution in one transaction. What is newer in raw stays: the merge sees to that where
the source has versions; where it has none, or where they are equal, the time of arrival decides.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from psycopg import sql

from crmhouse.errors import ConfigurationError, CrmhouseError
from ingestion.faults import FAULTS, of_ours
from ingestion.landing import land_slice
from ingestion.leftovers import Leftovers
from ingestion.locks import hold_sources
from ingestion.quarantine import SELECTED, counts, require_ids
from ingestion.runs import REPLAY, SliceRun
from ingestion.slices import Slice
from ingestion.sources import connector
from ingestion.stream_sync import record_failure
from ingestion.sync import no_rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from crmhouse.rules import RowRule
    from crmhouse.settings import Settings
    from crmhouse.warehouse import Warehouse
    from ingestion.quarantine import Selection
    from ingestion.sources.connector import Connector
    from ingestion.stream_sync import Rules
    from ingestion.streams import Contract, Stream

NOT_REPLAYABLE: Mapping[str, str] = MappingProxyType(
    {
        "invalid_json": "the line is not JSON",
        "not_a_record": "the line is no JSON object",
        "ragged_row": "the line has not one value for each column",
        "invalid_encoding": "its bytes are not UTF-8, so its text is not known",
        "excel_error": "a cell of it holds an error instead of a value",
    }
)
"""Why records that are held for these reasons are not replayed: they could never be read."""

NOT_KEPT = "it has a value that JSON has no form for, as a NaN or bytes that are no text"
"""Why a record that is held for any other reason may not be replayable all the same."""


@dataclass(frozen=True)
class Replayed:
    """What became of the chosen records of one stream.

    Attributes:
        replayed: they have landed.
        superseded: resolved without landing: raw holds something newer, or as new.
        still_held: they still do not fit.
        not_replayable: they cannot be tried; by the reason for which they are held.
    """

    source: str
    stream: str
    replayed: int = 0
    superseded: int = 0
    still_held: int = 0
    not_replayable: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Say whether none of the records is held any longer."""
        return not self.still_held and not self.not_replayable


@dataclass(frozen=True)
class ReplayResult:
    """What became of all chosen records.

    Attributes:
        streams: what was done; of a stream that failed, what was done before.
        errors: why a stream failed, by source and stream.
    """

    streams: tuple[Replayed, ...]
    errors: Mapping[str, str]


def replay_records(
    warehouse: Warehouse,
    settings: Settings,
    selection: Selection,
    *,
    run_id: UUID,
    rules: Rules = no_rules,
) -> ReplayResult:
    """Land the chosen records that fit now; a stream that fails does not stop the others.

    Args:
        warehouse: where they are held, and where they land.
        settings: the project's settings: declarations and contracts as they are now.
        selection: which records.
        run_id: the run this belongs to.
        rules: gives the row rules of a system's stream.

    Raises:
        ConfigurationError: one of the ids is not that of a held record; nothing was done.
    """
    with warehouse.connect() as connection:
        require_ids(connection, selection)
        held = counts(connection, selection)
    done: list[Replayed] = []
    errors: dict[str, str] = {}
    for source, stream in dict.fromkeys((count.source, count.stream) for count in held):
        work = _StreamReplay(warehouse, source, stream, selection, run_id)
        try:
            work.run(settings, rules)
        except CrmhouseError as error:
            errors[f"{source}.{stream}"] = str(error)
        done.append(work.outcome)
    return ReplayResult(tuple(done), errors)


@dataclass
class _StreamReplay:
    """The replay of one stream's records.

    Attributes:
        outcome: what became of the records, up to the last slice that has landed.
    """

    warehouse: Warehouse
    source: str
    stream: str
    selection: Selection
    run_id: UUID
    outcome: Replayed = field(init=False)

    def __post_init__(self) -> None:
        self.selection = replace(self.selection, targets=(f"{self.source}.{self.stream}",))
        self.outcome = Replayed(self.source, self.stream)

    def run(self, settings: Settings, rules: Rules) -> None:
        """Replay what can be.

        Raises:
            ConfigurationError: the stream is not configured any more.
            AlreadyRunningError: another process syncs the source.
            CrmhouseError: landing failed; what landed before is kept.
        """
        began = datetime.now(UTC)
        source = settings.source(self.source)
        reader = connector(settings, source)
        stream = self._declared(reader)
        with hold_sources(self.warehouse, [self.source]):
            self._count_unreadable()
            try:
                for name in self._slices():
                    self._land(
                        self._left_by(name, stream, settings.batch_rows),
                        rules(reader.system, self.stream),
                        source.schema_contract,
                    )
            except FAULTS as caught:
                error = of_ours(caught, f"{self.source}.{self.stream} {REPLAY}")
                failed = SliceRun(
                    self.run_id, self.source, self.stream, REPLAY, "failed", began, error=str(error)
                )
                record_failure(self.warehouse, failed)
                raise error from None  # a chain would carry text that quotes rows

    def _declared(self, reader: Connector) -> Stream:
        declared = {stream.name: stream for stream in reader.streams()}
        if self.stream not in declared:
            raise ConfigurationError(
                f"{self.source}.{self.stream}: the source has no such stream any more, so its held "
                "records cannot be replayed. Configure the stream, or discard them."
            )
        if not declared[self.stream].key:
            raise ConfigurationError(
                f"{self.source}.{self.stream}: its records have no key, so its held ones cannot be "
                "told from its rows. Sync it instead: that reads all its records again."
            )
        return declared[self.stream]

    def _count_unreadable(self) -> None:
        with self.warehouse.connect() as connection:
            rows = connection.execute(
                sql.SQL(
                    "select reason, count(*) from ops.quarantine "
                    "where payload_kind = 'unreadable' and {} group by reason"
                ).format(SELECTED),
                self.selection.parameters,
            ).fetchall()
        self.outcome = replace(self.outcome, not_replayable=dict(rows))

    def _slices(self) -> list[str]:
        """Return the slices that left records behind, in the order in which they arrived."""
        with self.warehouse.connect() as connection:
            rows = connection.execute(
                sql.SQL(
                    "select slice from ops.quarantine where payload_kind <> 'unreadable' and {} "
                    "group by slice order by max(arrived_at), slice"
                ).format(SELECTED),
                self.selection.parameters,
            ).fetchall()
        return [name for (name,) in rows]

    def _left_by(self, slice_name: str, stream: Stream, batch_rows: int) -> Leftovers:
        return Leftovers(
            warehouse=self.warehouse,
            source=self.source,
            stream=stream,
            selection=self.selection,
            slice=slice_name,
            batch_rows=batch_rows,
        )

    def _land(self, left: Leftovers, rules: Sequence[RowRule], contract: Contract) -> None:
        land_slice(
            self.warehouse,
            self.source,
            left.stream,
            Slice(REPLAY, left.read, dict, held=left),
            run_id=self.run_id,
            max_quarantine_share=1,  # they are bad already: none of them blocks the others
            rules=rules,
            contract=contract,
        )
        known = self.outcome
        self.outcome = replace(
            known,
            replayed=known.replayed + left.replayed,
            superseded=known.superseded + left.superseded,
            still_held=known.still_held + left.still_held,
            not_replayable=dict(Counter(known.not_replayable) + left.not_kept),
        )
