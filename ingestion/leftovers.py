"""Leftovers: the held records of one slice, as batches for the landing engine."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
from psycopg import sql

from ingestion.batches import Batch
from ingestion.catalogue import read_table
from ingestion.quarantine import SELECTED
from ingestion.readers.json_lines import BATCH_BYTES, decoder, flat
from ingestion.settling import resolve, withdraw_older

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from psycopg import Connection

    from crmhouse.warehouse import Warehouse
    from ingestion.batches import PayloadKind, Values
    from ingestion.quarantine import Selection
    from ingestion.runs import SliceRun
    from ingestion.staging import Staging
    from ingestion.streams import Stream


@dataclass
class Leftovers:
    """The records that one slice has left behind, on their way into raw once more.

    Attributes:
        slice: the slice that they came with.
        offered: ids of those that could be read.
        not_kept: those whose payload is no JSON object, by the reason for which they are held.
    """

    warehouse: Warehouse
    source: str
    stream: Stream
    selection: Selection
    slice: str
    batch_rows: int
    offered: list[int] = field(default_factory=list)
    not_kept: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    superseded: int = 0
    still_held: int = 0

    def read(self) -> Iterator[Batch]:
        """Read the records as their source has delivered them, in the order of their arrival."""
        with self.warehouse.connect() as connection:
            present = read_table(connection, f"raw_{self.source}", self.stream.name)
            columns = present.columns.values() if present else self.stream.columns
            fields = {column.name: column.field for column in columns}
            for chunk in self._chunks(connection):
                rows = connection.execute(
                    "select quarantine_id, reason, payload_kind, payload from ops.quarantine "
                    "where quarantine_id = any(%s) order by arrived_at, quarantine_id",
                    [chunk],
                )
                if batch := self._batch([_Kept(*row) for row in rows], fields):
                    yield batch

    def _chunks(self, connection: Connection) -> Iterator[list[int]]:
        """Yield ids of records of one kind, as many as a batch may hold."""
        rows = connection.execute(
            sql.SQL(
                "select quarantine_id, payload_kind, octet_length(payload) from ops.quarantine "
                "where slice = %(slice)s and payload_kind <> 'unreadable' and {} "
                "order by arrived_at, quarantine_id"
            ).format(SELECTED),
            {**self.selection.parameters, "slice": self.slice},
        ).fetchall()
        chunk: list[int] = []
        size, kind = 0, ""
        for record_id, its_kind, its_size in rows:
            is_full = len(chunk) == self.batch_rows or size + its_size > BATCH_BYTES
            if chunk and (is_full or its_kind != kind):
                yield chunk
                chunk, size = [], 0
            chunk.append(record_id)
            size, kind = size + its_size, its_kind
        if chunk:
            yield chunk

    def _batch(self, kept: list[_Kept], fields: Mapping[str, str]) -> Batch | None:
        """Make a batch of records of one kind; None where none of them can be read."""
        records: list[dict[str, Any]] = []
        readable: list[_Kept] = []
        for one in kept:
            record = one.record(self.stream, fields)
            if record is None:
                self.not_kept[one.reason] += 1
                continue
            records.append(record)
            readable.append(one)
        if not records:
            return None
        ids = [one.quarantine_id for one in readable]
        self.offered += ids
        # A record without a key is held back again; a slice without the field would be refused.
        names = dict.fromkeys(fields.get(name, name) for name in self.stream.required)
        names |= dict.fromkeys(name for record in records for name in record)
        values: dict[str, Values] = {n: [record.get(n) for record in records] for n in names}
        if kept[0].kind == "table":
            values = {name: _as_in_a_table(column) for name, column in values.items()}
        return Batch(values, len(records), lambda at: readable[at].payload, held=ids)

    def withdraw(self, staging: Staging) -> None:
        """Take back the staged records that raw has something newer for."""
        if self.offered and staging.table.columns:
            withdraw_older(staging)

    def settle(self, staging: Staging, run: SliceRun) -> None:
        """Resolve what is held no longer."""
        self.still_held = staging.rejected
        self.replayed, self.superseded = resolve(staging, run, self.offered)


class _Kept(NamedTuple):
    """What is kept of a held record."""

    quarantine_id: int
    reason: str
    kind: PayloadKind
    payload: str

    def record(self, stream: Stream, fields: Mapping[str, str]) -> dict[str, Any] | None:
        """Return the record's values by field; None where the payload is no JSON object.

        Args:
            stream: the declaration.
            fields: the source's fields by the names of their columns.
        """
        try:
            record = decoder.decode(self.payload)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            return None
        if not isinstance(record, dict):
            return None
        if self.kind == "row":
            return {fields.get(name, name): value for name, value in record.items()}
        return flat(record, stream.flatten)


def _as_in_a_table(values: Sequence[Any]) -> Values:
    """Return texts as a table file has them: an empty one is NULL in a column of another type."""
    if all(value is None or isinstance(value, str) for value in values):
        return pa.array(values, pa.string())
    return values
