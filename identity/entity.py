"""The two kinds of things that are resolved, and moving rows of theirs in and out of tables."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as pa_csv
from psycopg import sql

if TYPE_CHECKING:
    import pandas as pd
    import psycopg

_TABLES = ("links", "former_links", "edges", "moves", "merges", "splits")
_COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class Entity:
    """Persons or organisations: the tables of both are alike but for their names.

    Attributes:
        name: `customer` or `account`, as in the names of tables and columns.
        prefix: of the ids.
    """

    name: str
    prefix: str

    def sql(self, statement: str, **parts: str) -> sql.Composed:
        """Fill the names of this entity's tables and columns into a statement.

        `{links}`, `{edges}` and so on are tables, `{ids}` is the table of all ids, `{new_links}`
        and `{new_edges}` are temporary tables, `{id}`, `{from_id}`, `{to_id}` are columns. `parts`
        are pieces of SQL for further placeholders.
        """
        return sql.SQL(statement).format(
            **{kind: sql.Identifier("identity", f"{self.name}_{kind}") for kind in _TABLES},
            ids=sql.Identifier("identity", f"{self.name}s"),
            new_links=sql.Identifier(f"new_{self.name}_links"),
            new_edges=sql.Identifier(f"new_{self.name}_edges"),
            id=sql.Identifier(f"{self.name}_id"),
            from_id=sql.Identifier(f"from_{self.name}_id"),
            **{name: sql.SQL(part) for name, part in parts.items()},
            to_id=sql.Identifier(f"to_{self.name}_id"),
        )


CUSTOMER = Entity("customer", "per")
ACCOUNT = Entity("account", "org")


def copy_in(cursor: psycopg.Cursor, target: sql.Composed, frame: pd.DataFrame) -> None:
    """Append a frame to a table; `target` names the table and, in parentheses, its columns."""
    buffer = io.BytesIO()
    # One chunk per column: for an empty chunk pyarrow's CSV writer emits what its buffer held.
    table = pa.Table.from_pandas(frame, preserve_index=False).combine_chunks()
    pa_csv.write_csv(table, buffer, pa_csv.WriteOptions(include_header=False))
    content = buffer.getbuffer()
    statement = sql.SQL("copy {} from stdin (format csv)").format(target)
    with cursor.copy(statement) as copy:
        for start in range(0, len(content), _COPY_BYTES):
            copy.write(content[start : start + _COPY_BYTES])
