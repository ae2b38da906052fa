"""Reading a table within one snapshot: what there is, where to cut it, and its rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ingestion.sources.databases import expressions, rows
from ingestion.sources.databases.bounds import Bounds, Mark, literal, mark
from ingestion.sources.databases.postgres import copy_of
from ingestion.streams import ColumnType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ingestion.batches import Batch
    from ingestion.copies import Copy
    from ingestion.sources.databases.connection import Database
    from ingestion.sources.databases.tables import Table


@dataclass(frozen=True)
class Extent:
    """What a part of a table holds.

    Attributes:
        rows: how many.
        newest: the greatest value of the cursor column; None where there is no cursor or no value.
    """

    rows: int
    newest: Mark | None


@dataclass(frozen=True)
class Reader:
    """A table as one snapshot shows it.

    Attributes:
        database: the source.
        connection: in the snapshot.
        table: what is read.
        batch_rows: rows in memory at once.
    """

    database: Database
    connection: sa.Connection
    table: Table
    batch_rows: int

    def touch(self) -> None:
        """Read the first row, or find that there is none."""
        query = (
            sa.select(*expressions.plain(self.table, self.table.types))
            .select_from(self.table.clause)
            .limit(1)
        )
        with self.database.faults():
            self.connection.execute(query).first()

    def extent(self, *parts: Bounds) -> Extent:
        """Count the rows within all these bounds, and find the newest."""
        cursor = self.table.options.cursor
        newest: sa.ColumnElement[Any] = sa.null()
        if cursor:
            newest = self._written(sa.func.max(self.table.clause.c[cursor]), cursor)
        query = sa.select(sa.func.count(), newest).select_from(self.table.clause)
        with self.database.faults():
            found = self.connection.execute(query.where(self._where(*parts))).one()
        return Extent(found[0], mark(found[1]))

    def batches(self, *parts: Bounds) -> Iterator[Batch]:
        """Yield the rows within all these bounds."""
        return self._rows(self.table.types, *parts)

    def keys(self) -> Iterator[Batch]:
        """Yield the key of every row."""
        return self._rows(self._keys)

    def _rows(self, types: Mapping[str, ColumnType], *parts: Bounds) -> Iterator[Batch]:
        table = self.table
        columns: list[sa.ColumnElement[Any]]
        if self._is_postgres:
            columns = [*map(expressions.as_text, expressions.converted(table, types))]
        else:
            columns = expressions.plain(table, types)
        query = sa.select(*columns).select_from(table.clause).where(self._where(*parts))
        with self.database.faults():
            yield from rows.batches(self.connection, table, query, self.batch_rows, types)

    def copy(self, extent: Extent, *parts: Bounds) -> Copy | None:
        """Return the fast way to the rows within these bounds, where there is one."""
        if not self._can_copy:
            return None
        return copy_of(self.database, self.connection, self.table, self._where(*parts), extent.rows)

    def copy_keys(self, extent: Extent) -> Copy | None:
        """Return the fast way to the keys of all rows, where there is one."""
        if not self._can_copy:
            return None
        # Of the keys alone, so that no value of another column keeps a row back.
        table = replace(self.table, columns=self.table.key)
        copy = copy_of(self.database, self.connection, table, sa.true(), extent.rows)
        return replace(copy, types=self._keys, is_whole=False)

    def cuts(self, column: str, size: int) -> list[Mark]:
        """Return the values of a column that cut the table into slices of about so many rows.

        Walks along the index of the key; nothing is read but the index, and it once.
        """
        value = self.table.clause.c[column]
        found: list[Mark] = []
        while True:
            query = sa.select(self._written(value, column)).select_from(self.table.clause)
            if found:
                query = query.where(Bounds(column, low=found[-1]).condition(*self._to))
            with self.database.faults():
                row = self.connection.execute(
                    query.where(value.is_not(None)).order_by(value).offset(size).limit(1)
                ).one_or_none()
            cut = mark(row[0]) if row else None
            if cut is None:
                return found
            if found and cut == found[-1]:  # more rows than a slice holds have this one value
                cut = self._next(column, cut)
                if cut is None:
                    return found
            found.append(cut)

    def _next(self, column: str, after: Mark) -> Mark | None:
        """Return the value that follows in a column."""
        value = self.table.clause.c[column]
        not_greater = Bounds(column, high=after).condition(*self._to)
        same = value == literal(after, self.connection.dialect.name)
        query = sa.select(self._written(value, column)).select_from(self.table.clause)
        with self.database.faults():
            row = self.connection.execute(
                query.where(sa.not_(not_greater), sa.not_(same)).order_by(value).limit(1)
            ).one_or_none()
        return mark(row[0]) if row else None

    @property
    def _keys(self) -> dict[str, ColumnType]:
        return {column.name: column.kind for column in self.table.key}

    @property
    def _can_copy(self) -> bool:
        return self._is_postgres and expressions.is_sendable(self.table)

    @property
    def _is_postgres(self) -> bool:
        return self.connection.dialect.name == "postgresql"

    @property
    def _to(self) -> tuple[Table, str]:
        return self.table, self.connection.dialect.name

    def _where(self, *parts: Bounds) -> sa.ColumnElement[bool]:
        return sa.and_(sa.true(), *(part.condition(*self._to) for part in parts))

    def _written(self, value: sa.ColumnElement[Any], column: str) -> sa.ColumnElement[Any]:
        """Let PostgreSQL write its values as text, except for whole numbers."""
        if not self._is_postgres or self.table.column(column).kind is ColumnType.BIGINT:
            return value
        return expressions.as_text(value)
