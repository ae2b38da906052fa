"""Private staging: the tables of one connection between the source and the merge."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as arrow_csv
from psycopg import sql

from ingestion import conform
from ingestion.batches import Batch, Reject
from ingestion.streams import WIDENS_TO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg import Connection

    from crmhouse.rules import RowRule
    from ingestion.batches import Values
    from ingestion.raw_tables import RawTable
    from ingestion.streams import Column

STAGED = sql.Identifier("pg_temp", "staged")
REJECTED = sql.Identifier("pg_temp", "rejected")

_COPY_BYTES = 1 << 20
_LINES = arrow_csv.WriteOptions(include_header=False, quoting_style="needed")


@dataclass
class Staging:
    """A connection's private staging tables, and what has been put into them."""

    connection: Connection
    table: RawTable
    extracted: int = 0
    rejected: int = 0
    staged: dict[str, Column] = field(default_factory=dict)

    def create(self) -> None:
        """Create the two tables; they vanish with the connection."""
        self.connection.execute(
            "create temporary table rejected "
            "(record_key text, reason text, detail text, payload text)"
        )
        self.connection.execute("create temporary table staged ()")

    def add(self, batch: Batch) -> None:
        """Stage a batch: what fits goes to `staged`, what does not to `rejected`."""
        arrays, misfits = self._fit(batch)
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

    def _fit(self, batch: Batch) -> tuple[dict[str, pa.Array], dict[int, tuple[str, str]]]:
        """Fit every field; return the columns by name, and each misfit's reason and detail."""
        arrays: dict[str, pa.Array] = {}
        misfits: dict[int, tuple[str, str]] = {}
        for source_field, values in batch.fields.items():
            known = self.table.columns.get(source_field)
            if known is not None and not _wider(known, values):
                column = known
            elif (kind := conform.infer(values)) is not None:
                column = self.table.want(source_field, kind)
            else:
                continue
            arrays[column.name], bad = conform.fit(values, column.type)
            for position in bad:
                misfits.setdefault(
                    position,
                    (
                        "value_does_not_fit",
                        f"field {source_field}: the value is not a valid {column.type.value}",
                    ),
                )
        for name in self.table.stream.key:
            for position in _missing(arrays.get(name), batch.rows):
                misfits.setdefault(
                    position, ("missing_key", f"key column {name} has no value or no valid one")
                )
        return arrays, misfits

    def _explain(self, batch: Batch, misfits: dict[int, tuple[str, str]]) -> Iterator[Reject]:
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
                        select row_id
                        from (select staged.ctid as row_id, staged.*, {deleted} as _deleted_at
                              from {staged} as staged) as candidate
                        where {violation}
                    ),
                    moved as (
                        delete from {staged} as staged using violating
                        where staged.ctid = violating.row_id
                        returning staged.*
                    )
                    insert into {rejected}
                    select concat_ws('|', {key}), {name}, {detail},
                           jsonb_strip_nulls(to_jsonb(moved))::text
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

    def reasons(self) -> list[tuple[str, int]]:
        """Count the rejected records by reason, most frequent first."""
        return self.connection.execute(
            sql.SQL("select reason, count(*) from {} group by 1 order by 2 desc, 1").format(
                REJECTED
            )
        ).fetchall()


def _wider(column: Column, values: Values) -> bool:
    """Say whether the values need the wider type of their column."""
    return column.type in WIDENS_TO and conform.infer(values) is WIDENS_TO[column.type]


def _missing(array: pa.Array | None, rows: int) -> list[int]:
    """Return the positions that have no value."""
    if array is None:
        return list(range(rows))
    if not array.null_count:
        return []
    return [position for position, null in enumerate(array.is_null().to_pylist()) if null]


def _storable(text: str | None) -> str | None:
    """Escape what PostgreSQL's text cannot hold: NUL and lone surrogates."""
    if text is None:
        return None
    return text.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()
