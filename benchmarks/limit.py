"""The limit: plain COPY of the same rows into a table with the same columns and key."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
from child import serve
from data import COLUMNS, copy_csv, create_table

_CHUNK_BYTES = 1 << 18


def work(job: dict[str, Any]) -> None:
    """COPY the rows.

    Args:
        job: `to`, the connection string of the warehouse; `csv`, a file, or `source`, the
            connection string of the source database, and `table` in it.
    """
    with psycopg.connect(job["to"]) as connection:
        create_table(connection, "plain", "opportunities", key=True)
        if "csv" in job:
            copy_csv(connection, "plain.opportunities", Path(job["csv"]))
        else:
            _pipe(job, connection)


def _pipe(job: dict[str, Any], connection: psycopg.Connection) -> None:
    """Let the binary COPY of the source flow into that of the warehouse."""
    columns = ", ".join(COLUMNS)
    out = f"copy (select {columns} from {job['table']}) to stdout (format binary)"
    into = f"copy plain.opportunities ({columns}) from stdin (format binary)"
    with ExitStack() as stack:
        source = stack.enter_context(psycopg.connect(job["source"]))
        rows = stack.enter_context(stack.enter_context(source.cursor()).copy(out.encode()))
        copy = stack.enter_context(stack.enter_context(connection.cursor()).copy(into.encode()))
        waiting = bytearray()
        for row in rows:  # PostgreSQL sends them one by one
            waiting += row
            if len(waiting) >= _CHUNK_BYTES:
                copy.write(waiting)
                waiting = bytearray()
        copy.write(waiting)


if __name__ == "__main__":
    serve(work)
