"""What the sides read: a folder of CSV or Parquet files, or a table of a PostgreSQL.

Every source begins with the first version of the table, then a tenth of its rows changes: a new
file brings these rows, or they are updated in the database.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from data import (
    CHANGED_EVERY,
    CHANGED_SINCE,
    COLUMNS,
    KEY,
    VERSION,
    WRITERS,
    Total,
    blocks,
    copy_csv,
    create_table,
    total,
)

if TYPE_CHECKING:
    from pathlib import Path

    from processes import Server

    from crmhouse.warehouse import Warehouse

SMALL_ROWS = 100_000
"""The most rows that the slow configurations of the others are measured with."""

_SCHEMA, _TABLE, _SMALL = "crm", "opportunities", "opportunities_small"


@dataclass(frozen=True)
class Files:
    """The rows as files.

    Attributes:
        kind: `csv` or `parquet`.
        rows: how many.
        folder: where the files are kept until they are delivered.
    """

    kind: str
    rows: int
    folder: Path

    @cached_property
    def totals(self) -> tuple[Total, ...]:
        """What the table holds: at first, after the change, after the change in place."""
        first, changed = total(self.rows), -(-self.rows // CHANGED_EVERY)
        return tuple(Total(self.rows, first.cents + version * changed) for version in range(3))

    @cached_property
    def small(self) -> Total:
        """What the small table holds."""
        return total(min(self.rows, SMALL_ROWS))

    @property
    def config(self) -> dict[str, Any]:
        """The source as crmhouse is configured for it."""
        kinds = {name: kind.split("(")[0] for name, kind in COLUMNS.items()}
        stream = {"glob": f"*.{self.kind}", "key": [KEY], "version": VERSION, "columns": kinds}
        options = {"path": str(self._inbox), "streams": {_TABLE: stream}}
        return {"name": "bench", "kind": "files", "options": options}

    def limit(self, part: str) -> dict[str, Any]:
        """Return what plain COPY reads; for Parquet too it is CSV: COPY knows no Parquet."""
        return {"csv": str(self.csv(part))}

    def csv(self, part: str) -> Path:
        """Return a part as CSV."""
        return self._file(part, "csv")

    def seen_by_peers(self, part: str) -> dict[str, Any]:
        """Return what the others read: `first`, `changes` or `small`."""
        return {"path": str(self._file(part, self.kind))}

    def start(self) -> None:
        """Deliver the first version."""
        self._inbox.mkdir(parents=True, exist_ok=True)
        for left in self._inbox.iterdir():
            left.unlink()
        self._deliver("first", "1")

    def change(self) -> None:
        """Deliver a second file with the changed rows."""
        self._deliver("changes", "2")

    def change_in_place(self) -> None:
        """Deliver the first file anew, with a tenth of its rows changed once more."""
        for left in self._inbox.iterdir():
            left.unlink()
        self._deliver("in_place", "1")

    def _deliver(self, part: str, name: str) -> None:
        os.link(self._file(part, self.kind), self._inbox / f"{name}.{self.kind}")

    def _file(self, part: str, kind: str) -> Path:
        """Return a file, which is made when it is needed for the first time."""
        path = self.folder / f"{part}.{kind}"
        if not path.exists():
            rows = min(self.rows, SMALL_ROWS) if part == "small" else self.rows
            version = {"first": 0, "small": 0, "changes": 1, "in_place": 2}[part]
            WRITERS[kind](path, blocks(rows, version, only_changed=part == "changes"))
        return path

    @property
    def _inbox(self) -> Path:
        return self.folder / f"inbox_{self.kind}"


@dataclass(frozen=True)
class Table:
    """The rows as a table of a source database, with an index on the time of change.

    Attributes:
        rows: how many.
        source: the database.
        server: of the database.
        files: the same rows as CSV.
    """

    rows: int
    source: Warehouse
    server: Server
    files: Files

    kind = "postgres"

    @property
    def totals(self) -> tuple[Total, ...]:
        """What the table holds: at first, after the change."""
        return self.files.totals[:2]

    @property
    def small(self) -> Total:
        """What the small table holds."""
        return self.files.small

    @property
    def config(self) -> dict[str, Any]:
        """The source as crmhouse is configured for it."""
        return self.with_table()

    def with_table(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # of the configuration
        """Return the configuration with more options of the table."""
        table = {"cursor": VERSION, **more}
        options = {"url": self.source.url(), "db_schema": _SCHEMA, "tables": {_TABLE: table}}
        return {"name": "bench", "kind": "database", "options": options}

    def limit(self, part: str) -> dict[str, Any]:
        """Return what plain COPY reads."""
        query = f"select {', '.join(COLUMNS)} from {_SCHEMA}.{_TABLE}"
        if part == "changes":
            query += f" where {VERSION} > '{CHANGED_SINCE}'"
        return {"source": self.source.conninfo, "query": query}

    def seen_by_peers(self, part: str) -> dict[str, Any]:
        """Return what the others read: `first`, `changes` or `small`."""
        table = _SMALL if part == "small" else _TABLE
        return {"parameters": self.source.parameters, "schema": _SCHEMA, "table": table}

    def start(self) -> None:
        """Fill the table with the first version."""
        with self.source.connect(autocommit=True) as connection:
            connection.execute(f"drop schema if exists {_SCHEMA} cascade")
            for table, part in ((_TABLE, "first"), (_SMALL, "small")):
                place = f"{_SCHEMA}.{table}"
                create_table(connection, _SCHEMA, table, key=True)
                copy_csv(connection, place, self.files.csv(part))
                connection.execute(f"create index on {place} ({VERSION})")
                connection.execute(f"vacuum analyze {place}")
        self.server.settle()

    def change(self) -> None:
        """Update a tenth of the rows."""
        with self.source.connect(autocommit=True) as connection:
            connection.execute(
                f"update {_SCHEMA}.{_TABLE} set amount = amount + 0.01, "
                f"{VERSION} = {VERSION} + interval '400 days' where right({KEY}, 1) = '0'"
            )
            connection.execute(f"vacuum analyze {_SCHEMA}.{_TABLE}")
        self.server.settle()
