"""Private staging: the tables of one connection between the source and the merge."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as arrow_csv
from psycopg import sql

from crmhouse.errors import SourceRefusedError
from ingestion.batches import Batch, Reject
from ingestion.catalogue import filled_columns
from ingestion.fitting import fit_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg import Connection

    from crmhouse.rules import RowRule
    from ingestion.fitting import Misfits
    from ingestion.raw_tables import RawTable
    from ingestion.streams import Column

logger = logging.getLogger(__name__)

STAGED = sql.Identifier("pg_temp", "staged")
REJECTED = sql.Identifier("pg_temp", "rejected")

_COPY_BYTES = 1 << 20
_NAMES_SHOWN = 30
_REASONS_SHOWN = 5
_LINES = arrow_csv.WriteOptions(include_header=False, quoting_style="needed")


@dataclass
class Staging:
    """A connection's private staging tables, and what has been put into them.

    Attributes:
        connection: the tables vanish with it.
        table: the raw table that the rows will be merged into.
        place: source, stream and slice, for messages.
        extracted: records that arrived, the rejected ones among them.
        records: those of them that could be read.
        rejected: records in `rejected`.
        fields: the source's fields that the slice has, in their order.
        whole: whether it has them in every record.
        staged: columns of `staged`, by name.
    """

    connection: Connection
    table: RawTable
    place: str
    extracted: int = 0
    records: int = 0
    rejected: int = 0
    fields: dict[str, None] = field(default_factory=dict)
    whole: bool = False
    staged: dict[str, Column] = field(default_factory=dict)

    def create(self) -> None:
        """Create the two tables; they vanish with the connection."""
        self.connection.execute(
            "create temporary table rejected "
            "(record_key text, reason text, detail text, payload text)"
        )
        self.connection.execute("create temporary table staged ()")

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
        rejects = [*batch.rejects, *self._explain(batch, misfits)]
        self.extracted += batch.rows + len(batch.rejects)
        self.rejected += len(rejects)
        if rejects:
            self._copy_rejects(rejects)
        rows = pa.table(arrays)
        if misfits:
            good = [position for position in range(batch.rows) if position not in misfits]
            rows = rows.take(pa.array(good, pa.int64()))
        self.complete()
        self._copy(list(arrays), rows)

    def finish(self) -> None:
        """Look at the slice as a whole, once its last batch is staged.

        Raises:
            SourceRefusedError: no record has a field for the key or the version.
        """
        self._require_columns()
        self.complete()
        # JSON leaves a field out where it has no value; that none has one is nothing odd.
        if self.records and self.whole and (vanished := self._vanished()):
            logger.warning(
                "%s: has no %s any more. What raw holds there stays as it is.",
                self.place,
                _some(vanished),
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

    def _require_columns(self) -> None:
        for name in self.table.stream.required if self.records else ():
            source_field = self.table.field_of(name, self.fields)
            if source_field not in self.fields:
                what = "part of the key" if name in self.table.stream.key else "the version"
                raise SourceRefusedError(
                    f"{self.place}: no record has the field {source_field}, which is {what}. "
                    f"There are: {_some(list(self.fields)) or 'none'}. Nothing was landed; correct "
                    "the file, or the name in the configuration, and sync again."
                )

    def _explain(self, batch: Batch, misfits: Misfits) -> Iterator[Reject]:
        fields = {column.name: name for name, column in self.table.columns.items()}
        for position, (reason, detail) in misfits.items():
            values = (batch.fields.get(fields.get(name, "")) for name in self.table.stream.key)
            parts = [known[position] for known in values if known is not None]
            key = "|".join(str(part) for part in parts if part is not None)
            yield Reject(key or None, reason, detail, batch.payload(position))

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

    def _copy(self, names: list[str], rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(
            STAGED, sql.SQL(", ").join(map(sql.Identifier, names))
        )
        buffer = io.BytesIO()
        # One chunk: Arrow's writer emits garbage when a table begins with an empty one.
        arrow_csv.write_csv(rows.combine_chunks(), buffer, _LINES)
        with self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            view = buffer.getbuffer()
            for start in range(0, len(view), _COPY_BYTES):
                copy.write(view[start : start + _COPY_BYTES])

    def _copy_rejects(self, rejects: Sequence[Reject]) -> None:
        with (
            self.connection.cursor() as cursor,
            cursor.copy(sql.SQL("copy {} from stdin").format(REJECTED)) as copy,
        ):
            for reject in rejects:
                copy.write_row(tuple(map(_storable, reject)))

    def divert(self, rules: Sequence[RowRule]) -> None:
        """Move staged rows that break a rule to `rejected`, with the rule's name as the reason."""
        stream = self.table.stream
        for rule in rules:
            deleted = (
                sql.SQL("case when {} then now() end").format(sql.Identifier(stream.deleted))
                if stream.deleted
                else sql.SQL("null::timestamptz")
            )
            moved = self.connection.execute(
                sql.SQL(
                    """
                    with violating as (
                        select _row_id
                        from (select staged.ctid as _row_id, staged.*, {deleted} as _deleted_at
                              from {staged} as staged) as candidate
                        where {violation}
                    ),
                    moved as (
                        delete from {staged} as staged using violating
                        where staged.ctid = violating._row_id
                        returning staged.*
                    )
                    insert into {rejected}
                    select concat_ws('|', {key}), {name}, {detail},
                           jsonb_strip_nulls(to_jsonb(moved.*))::text
                    from moved
                    """
                ).format(
                    deleted=deleted,
                    staged=STAGED,
                    rejected=REJECTED,
                    violation=sql.SQL(rule.violation_sql),
                    key=sql.SQL(", ").join(map(sql.Identifier, stream.key)),
                    name=sql.Literal(rule.name),
                    detail=sql.Literal(rule.description),
                )
            )
            self.rejected += moved.rowcount

    def reasons(self) -> str:
        """Say why records were rejected, the most frequent reasons first; never with a value."""
        counted = self.connection.execute(
            sql.SQL(
                "select reason, detail, count(*) from {} group by 1, 2 order by 3 desc, 1, 2"
            ).format(REJECTED)
        ).fetchall()
        shown = [f"{count} x {why}, {detail}" for why, detail, count in counted[:_REASONS_SHOWN]]
        if len(counted) > _REASONS_SHOWN:
            shown.append(f"and {len(counted) - _REASONS_SHOWN} more kinds")
        return "; ".join(shown)


def _some(names: Sequence[str]) -> str:
    """List names for a message, not without end."""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


def _storable(text: str | None) -> str | None:
    """Escape what PostgreSQL's text cannot hold: NUL and lone surrogates."""
    if text is None:
        return None
    return text.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()
