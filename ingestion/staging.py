"""Staging: batches on their way into PostgreSQL, by COPY.

Rows go into a table that only this connection can see, for the merge; or, where the raw table is
still empty, straight into it.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from psycopg import sql

from crmhouse.errors import SourceRefusedError
from ingestion.batches import Batch, Reject
from ingestion.catalogue import filled_columns
from ingestion.fitting import fit_batch
from ingestion.naming import META_COLUMNS, key_text, names, some
from ingestion.rejected import (
    REJECTED,
    Rejected,
    copy_rejected,
    create_rejected,
    unreadable,
)
from ingestion.streams import ColumnType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from psycopg import Connection

    from crmhouse.rules import RowRule
    from ingestion.batches import PayloadKind, Values
    from ingestion.fitting import Misfits
    from ingestion.raw_tables import RawTable
    from ingestion.streams import Column

logger = logging.getLogger(__name__)

STAGED = sql.Identifier("pg_temp", "staged")

_COPY_BYTES = 1 << 20
_FORMAT = arrow_csv.WriteOptions(include_header=False, quoting_style="needed")


@dataclass
class Staging:
    """A connection's private staging tables, and what has been put into them.

    A context manager: while it is open a thread of its own copies, see `settle`.

    Attributes:
        connection: the tables vanish with it.
        table: the raw table that the rows will be merged into.
        place: source, stream and slice, for messages.
        extracted: records that arrived, the rejected ones among them.
        records: those of them that could be read.
        rejected: records in `rejected`.
        diverted: those of them that could have landed, but break a rule.
        newest: the newest time in the columns of the stream's watermark.
        fields: the source's fields that the slice has, in their order.
        whole: whether it has them in every record.
        vanished: fields that a whole slice does not have, but rows of the raw table have values of.
        staged: columns of `staged`, by name.
        parts: the fields that each slice has, where several are landed as one.
    """

    connection: Connection
    table: RawTable
    place: str
    extracted: int = 0
    records: int = 0
    rejected: int = 0
    diverted: int = 0
    newest: datetime | None = None
    fields: dict[str, None] = field(default_factory=dict)
    whole: bool = False
    vanished: tuple[str, ...] = ()
    staged: dict[str, Column] = field(default_factory=dict)
    parts: dict[int, set[str]] = field(default_factory=dict)

    _writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _writing: Future[None] | None = None

    def __enter__(self) -> Self:
        self.create()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.shutdown()  # the connection is free again when the last COPY has ended

    @property
    def target(self) -> sql.Identifier:
        """Return the table that the rows are copied into."""
        return STAGED

    def create(self) -> None:
        """Create the temporary tables; they vanish with the connection."""
        create_rejected(self.connection)
        self.connection.execute(
            "create temporary table staged (_quarantine_id bigint, _part integer)"
        )

    def add(self, batch: Batch) -> None:
        """Stage a batch: what fits goes to `staged`, what does not to `rejected`.

        Raises:
            SourceRefusedError: the file has no column for the key or the version.
        """
        self.fields |= dict.fromkeys(batch.fields)
        self.records += batch.rows
        self.whole |= batch.whole
        if batch.whole:
            self._require_columns()
        arrays, misfits = fit_batch(self.table, batch)
        rejects = [*map(unreadable, batch.rejects), *self._explain(batch, arrays, misfits)]
        self.extracted += batch.rows + len(batch.rejects)
        self.rejected += len(rejects)
        rows = pa.table(arrays)
        if batch.held:
            rows = rows.append_column("_quarantine_id", pa.array(batch.held, pa.int64()))
        if batch.part is not None:
            self.parts.setdefault(batch.part, set()).update(batch.fields)
            part = pa.array([batch.part] * rows.num_rows, pa.int32())
            rows = rows.append_column("_part", part)
        if misfits:
            good = [position for position in range(batch.rows) if position not in misfits]
            rows = rows.take(pa.array(good, pa.int64()))
        if rows.num_rows:
            self._note_newest(rows)
            rows = self._stamped(rows)
        lines = _lines(rows)
        self.settle()
        if rejects:
            copy_rejected(self.connection, rejects)
        self.complete()
        if rows.num_rows:
            self._writing = self._writer.submit(self._copy, rows.column_names, lines)

    def _note_newest(self, rows: pa.Table) -> None:
        kinds = {column.name: column.type for column in self.table.columns.values()}
        for name in self.table.stream.watermark:
            if name not in rows.column_names:
                continue
            if kinds[name] is ColumnType.BIGINT:
                seconds = pc.max(rows[name].cast(pa.int64())).as_py()
                newest = None if seconds is None else datetime.fromtimestamp(seconds, UTC)
            else:
                newest = pc.max(rows[name]).as_py()
            self.newest = max(filter(None, (self.newest, newest)), default=None)

    def begin_copy(self, fields: Sequence[str], *, is_whole: bool) -> None:
        """Make the target ready for rows with these fields.

        Raises:
            SourceRefusedError: the key or the version is not among them.
        """
        self.fields |= dict.fromkeys(fields)
        self.records, self.whole = 1, is_whole
        self._require_columns()
        self.complete()

    def end_copy(self, rows: int, rejects: Sequence[Reject]) -> None:
        """Note how many rows the target got, and keep those that it could not get."""
        self.records = rows
        self.extracted = rows + len(rejects)
        self.rejected = len(rejects)
        if rejects:
            copy_rejected(self.connection, [Rejected(reject, "table", None) for reject in rejects])

    def settle(self) -> None:
        """Wait until what was handed over is copied. COPY runs while the next batch is made ready.

        Raises:
            psycopg.Error: PostgreSQL did not take it.
        """
        if writing := self._writing:
            self._writing = None
            writing.result()

    def finish(self) -> None:
        """Look at the slice as a whole, once its last batch is staged.

        Raises:
            SourceRefusedError: no record has a field for the key or the version, or a field is gone
                and the table is frozen.
        """
        self.settle()
        self._require_columns()
        self.complete()
        # JSON leaves a field out where it has no value; that none has one is nothing odd.
        if not (self.records and self.whole):
            return
        self.vanished = tuple(self._vanished())
        if not self.vanished:
            return
        gone = some(self.vanished)
        if self.table.contract == "freeze":
            raise SourceRefusedError(
                f"{self.place}: has no {gone} any more, and schema_contract of the source is "
                "freeze. Nothing was landed: put the field back, or let the table evolve."
            )
        logger.warning(
            "%s: has no %s any more. What raw holds there stays as it is.", self.place, gone
        )

    def _vanished(self) -> list[str]:
        """Return the fields that the slice does not have, but that rows have values of."""
        missing = {c.name: f for f, c in self.table.columns.items() if f not in self.fields}
        if not missing:
            return []
        table = self.table
        filled = filled_columns(self.connection, table.schema, table.stream.name, list(missing))
        return [source_field for name, source_field in missing.items() if name in filled]

    @property
    def present(self) -> frozenset[str]:
        """Return the names of the columns that the slice has; it says nothing of the others."""
        columns = self.table.columns
        return frozenset(columns[field].name for field in self.fields if field in columns)

    @property
    def _absent(self) -> frozenset[str]:
        return frozenset(column.name for column in self.table.columns.values()) - self.present

    def _require_columns(self) -> None:
        for name in self.table.stream.required if self.records else ():
            source_field = self.table.field_of(name, self.fields)
            if source_field not in self.fields:
                what = "part of the key" if name in self.table.stream.key else "the version"
                raise SourceRefusedError(
                    f"{self.place}: no record has the field {source_field}, which is {what}. "
                    f"There are: {some(list(self.fields)) or 'none'}. Nothing was landed; correct "
                    "the file, or the name in the configuration, and sync again."
                )

    def _explain(
        self, batch: Batch, arrays: dict[str, pa.Array], misfits: Misfits
    ) -> Iterator[Rejected]:
        kind: PayloadKind = "table" if batch.whole else "json"
        fields = {column.name: name for name, column in self.table.columns.items()}
        keys = [
            (arrays.get(name), batch.fields.get(fields.get(name, "")))
            for name in self.table.stream.key
        ]
        for position, (reason, detail) in misfits.items():
            key = "|".join(filter(None, (_key_part(*part, position) for part in keys)))
            held = batch.held[position] if batch.held else None
            yield Rejected(Reject(key or None, reason, detail, batch.payload(position)), kind, held)

    def complete(self) -> None:
        """Give `staged` the columns that the raw table has or will have."""
        for column in self.table.columns.values():
            present = self.staged.get(column.name)
            if present is None:
                change = "add column {} " + column.type.value
            elif present.type is not column.type:
                change = "alter column {} type " + column.type.value
            else:
                continue
            self.connection.execute(
                sql.SQL("alter table {} " + change).format(STAGED, sql.Identifier(column.name))
            )
            self.staged[column.name] = column

    def _copy(self, columns: list[str], lines: pa.Buffer) -> None:
        statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(
            self.target, names(columns)
        )
        view = memoryview(lines)
        with self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            for start in range(0, len(view), _COPY_BYTES):
                copy.write(view[start : start + _COPY_BYTES])

    def divert(self, rules: Sequence[RowRule]) -> None:
        """Move staged rows that break a rule to `rejected`, with the rule's name as the reason."""
        for rule in rules:
            moved = self.connection.execute(
                sql.SQL(
                    """
                    with violating as (
                        select _row_id from {candidates} as candidate where {violation}
                    ),
                    moved as (
                        delete from {target} as staged using violating
                        where staged.ctid = violating._row_id
                        returning staged.*
                    )
                    insert into {rejected}
                    select {key}, {name}, {detail},
                           (to_jsonb(moved.*) - {left_out}::text[])::text, 'row',
                           (to_jsonb(moved.*) ->> '_quarantine_id')::bigint
                    from moved
                    """
                ).format(
                    candidates=self._candidates(),
                    target=self.target,
                    rejected=REJECTED,
                    violation=sql.SQL(rule.violation_sql),
                    key=key_text(self.table.stream.key),
                    name=sql.Literal(rule.name),
                    detail=sql.Literal(rule.description),
                    left_out=sql.Literal(sorted(META_COLUMNS | self._absent)),
                )
            )
            self.diverted += moved.rowcount
        self.rejected += self.diverted

    def _stamped(self, rows: pa.Table) -> pa.Table:
        """Add what the target has beyond the columns of the stream."""
        return rows

    def _candidates(self) -> sql.Composed:
        """Return the copied rows as rules see them: with `_deleted_at`."""
        deleted = self.table.stream.deleted
        time = (
            sql.SQL("case when {} then now() end").format(sql.Identifier(deleted))
            if deleted
            else sql.SQL("null::timestamptz")
        )
        return sql.SQL(
            "(select staged.ctid as _row_id, staged.*, {} as _deleted_at from {} as staged)"
        ).format(time, self.target)


def _key_part(fitted: pa.Array | None, arrived: Values | None, position: int) -> str | None:
    """Write a value of the key as PostgreSQL does; one that does not fit, as it arrived."""
    value = None if fitted is None else fitted[position].as_py()
    if value is None and arrived is not None:
        value = arrived[position]
        value = value.as_py() if isinstance(value, pa.Scalar) else value
    match value:
        case None:
            return None
        case bool():
            return "t" if value else "f"
        case datetime():
            utc = value.astimezone(UTC) if value.tzinfo else value
            text = utc.replace(tzinfo=None).isoformat(sep=" ")
            return (text.rstrip("0") if "." in text else text) + "+00"
        case _:
            return str(value)


def _lines(rows: pa.Table) -> pa.Buffer:
    """Write rows as COPY reads them: CSV, times in UTC without saying so."""
    columns = [
        column.cast(pa.timestamp("us")) if pa.types.is_timestamp(column.type) else column
        for column in rows.columns
    ]
    plain = pa.table(columns, names=rows.column_names)
    sink = pa.BufferOutputStream()
    # One chunk: Arrow's writer emits garbage when a table begins with an empty one.
    arrow_csv.write_csv(plain.combine_chunks(), sink, _FORMAT)
    return sink.getvalue()
