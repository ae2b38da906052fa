"""Direct: rows straight into a raw table that has none of them yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from ingestion.raw_tables import RUN_SETTING, evolve
from ingestion.rejected import create_rejected
from ingestion.staging import Staging

if TYPE_CHECKING:
    from uuid import UUID


@dataclass
class Direct(Staging):
    """A raw table that has none of a slice yet, as the place that rows are copied into.

    Attributes:
        run_id: the run, for the meta column.
    """

    run_id: UUID = field(kw_only=True)

    @property
    def target(self) -> sql.Identifier:
        """Return the raw table."""
        return self.table.identifier

    def create(self) -> None:
        """Create the temporary table of rejected records; let the rows be told the run."""
        create_rejected(self.connection)
        self.connection.execute("select set_config(%s, %s, true)", [RUN_SETTING, str(self.run_id)])

    def complete(self) -> None:
        """Give the raw table the columns that it will have."""
        if self.table.wanted:
            evolve(self.connection, self.table, self.run_id)

    def _stamped(self, rows: pa.Table) -> pa.Table:
        """Add the meta columns that have no default."""
        stream = self.table.stream
        version = rows[str(stream.version)]
        rows = rows.append_column("_source_updated_at", version)
        if stream.deleted not in rows.column_names:
            return rows
        time = rows[stream.deleted_at] if stream.deleted_at in rows.column_names else version
        return rows.append_column(
            "_deleted_at",
            pc.if_else(
                pc.fill_null(rows[stream.deleted], fill_value=False),
                pc.coalesce(time, version),
                pa.scalar(None, version.type),
            ),
        )

    def _candidates(self) -> sql.Composed:
        return sql.SQL("(select staged.ctid as _row_id, staged.* from {} as staged)").format(
            self.target
        )
