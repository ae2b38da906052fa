"""Helpers of the ingestion tests: records in, rows out."""

from __future__ import annotations

import io
import json
import uuid
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as arrow_parquet
from psycopg import sql

from ingestion.landing import land_slice
from ingestion.readers import READERS
from ingestion.readers.json_lines import batch_of
from ingestion.slices import Slice
from ingestion.streams import Column, ColumnType, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from crmhouse.rules import RowRule
    from crmhouse.warehouse import Warehouse
    from ingestion.batches import Batch, Reject
    from ingestion.runs import SliceRun
    from ingestion.streams import Contract

VERSIONED = Stream(
    name="things",
    object="things",
    key=("id",),
    columns=(
        Column("id", ColumnType.TEXT),
        Column("amount", ColumnType.NUMERIC),
        Column("updatedAt", ColumnType.TIMESTAMPTZ),
        Column("isDeleted", ColumnType.BOOLEAN),
    ),
    version="updated_at",
    deleted="is_deleted",
)
UNVERSIONED = Stream(
    name="things",
    object="things",
    key=("id",),
    columns=(Column("id", ColumnType.TEXT), Column("amount", ColumnType.NUMERIC)),
)


def at(day: int) -> str:
    """A moment of January 2026."""
    return f"2026-01-{day:02d}T00:00:00Z"


def land(
    warehouse: Warehouse,
    stream: Stream,
    records: Sequence[dict[str, Any] | bytes],
    *,
    reported: int | None = None,
    batch_rows: int = 1000,
    meanwhile: Callable[[], object] = lambda: None,
    **options: Any,
) -> SliceRun:
    """Land records as the JSON Lines reader would deliver them; do something before the end."""
    lines = [
        record if isinstance(record, bytes) else json.dumps(record).encode() for record in records
    ]

    def read() -> Iterator[Batch]:
        for start in range(0, len(lines), batch_rows):
            yield batch_of(lines[start : start + batch_rows], stream.flatten)
        meanwhile()

    return land_batches(
        warehouse, stream, read, reported=reported, checkpoint={"lines": len(lines)}, **options
    )


def land_file(
    warehouse: Warehouse, stream: Stream, ending: str, content: bytes, **options: Any
) -> SliceRun:
    """Land a file of that ending."""
    return land_batches(
        warehouse, stream, lambda: READERS[ending](io.BytesIO(content), stream, 1000), **options
    )


def read_records(batches: Iterable[Batch]) -> tuple[list[dict[str, Any]], list[Reject]]:
    """Turn batches into records, and what was rejected."""
    records: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    for batch in batches:
        columns = {
            name: values.to_pylist() if isinstance(values, pa.Array | pa.ChunkedArray) else values
            for name, values in batch.fields.items()
        }
        records += [{n: v[i] for n, v in columns.items()} for i in range(batch.rows)]
        rejects += batch.rejects
    return records, rejects


def parquet(columns: dict[str, Any]) -> bytes:
    """The Parquet file of these columns."""
    file = io.BytesIO()
    arrow_parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def land_batches(
    warehouse: Warehouse,
    stream: Stream,
    read: Callable[[], Iterator[Batch]],
    *,
    name: str = "slice",
    run_id: uuid.UUID | None = None,
    share: float = 1.0,
    rules: Sequence[RowRule] = (),
    contract: Contract = "evolve",
    reported: int | None = None,
    checkpoint: dict[str, Any] | None = None,
) -> SliceRun:
    """Land a slice of the source `test`."""
    return land_slice(
        warehouse,
        "test",
        stream,
        Slice(name, read, lambda: checkpoint or {}, reported),
        run_id=run_id or uuid.uuid4(),
        max_quarantine_share=share,
        rules=rules,
        contract=contract,
    )


def rows(warehouse: Warehouse, columns: str, table: str = "things") -> list[tuple[Any, ...]]:
    """Read columns of a raw table, ordered by the first."""
    statement = sql.SQL(f"select {columns} from {{}} order by 1").format(
        sql.Identifier("raw_test", table)
    )
    return fetch(warehouse, statement)


def fetch(warehouse: Warehouse, statement: Any, parameters: Any = None) -> list[tuple[Any, ...]]:
    """Run a query."""
    with warehouse.connect() as connection:
        return connection.execute(statement, parameters).fetchall()
