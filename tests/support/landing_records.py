"""Helpers of the ingestion tests: records in, rows out."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from psycopg import sql

from ingestion.landing import Slice, land_slice
from ingestion.readers.json_lines import batch_of
from ingestion.streams import Column, ColumnType, Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crmhouse.rules import RowRule
    from crmhouse.warehouse import Warehouse
    from ingestion.runs import SliceRun

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
    name: str = "slice",
    run_id: uuid.UUID | None = None,
    share: float = 1.0,
    rules: Sequence[RowRule] = (),
    reported: int | None = None,
    batch_rows: int = 1000,
) -> SliceRun:
    """Land records as the JSON Lines reader would deliver them."""
    lines = [
        record if isinstance(record, bytes) else json.dumps(record).encode() for record in records
    ]
    part = Slice(
        name,
        lambda: (
            batch_of(lines[start : start + batch_rows], stream.flatten)
            for start in range(0, len(lines), batch_rows)
        ),
        lambda: {"lines": len(lines)},
        reported,
    )
    return land_slice(
        warehouse,
        "test",
        stream,
        part,
        run_id=run_id or uuid.uuid4(),
        max_quarantine_share=share,
        rules=rules,
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
