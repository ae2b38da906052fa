"""PostgreSQL to PostgreSQL: the source's COPY flows into the warehouse's, in binary.

What a raw column could not hold is left out by the source itself, and kept for quarantine.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from psycopg.rows import tuple_row
from sqlalchemy.dialects import postgresql

from ingestion.batches import Reject
from ingestion.copies import Copy
from ingestion.sources.databases import expressions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg

    from ingestion.copies import Deletion, Wanted
    from ingestion.sources.databases.connection import Database
    from ingestion.sources.databases.tables import Table

_CHUNK_BYTES = 1 << 18
_DIALECT = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
_VERSION_UNIT = 10_000


def copy_of(
    database: Database,
    connection: sa.Connection,
    table: Table,
    where: sa.ColumnElement[bool],
    count: int,
) -> Copy:
    """Return the copy of a part of a table.

    Args:
        database: the source.
        connection: in a snapshot.
        table: what is read.
        where: which rows.
        count: how many these are; when all of them could be sent, none is looked at again.
    """
    driver: Any = connection.connection.driver_connection
    source: psycopg.Connection[Any] = driver
    unfit = expressions.unfit(table, source.info.server_version // _VERSION_UNIT)
    is_unfit = sa.or_(sa.false(), *(condition for *_, condition in unfit))

    @contextmanager
    def send(
        wanted: Sequence[Wanted], version: str | None, deletion: Deletion | None
    ) -> Iterator[Iterator[tuple[int, bytes]]]:
        fields = expressions.converted(table, {want.field: want.type for want in wanted})
        rows = sa.select(*fields).select_from(table.clause).where(where, sa.not_(is_unfit))
        statement = f"copy ({_with_meta(rows, version, deletion)}) to stdout (format binary)"
        with ExitStack() as opened:
            with database.faults():
                cursor = opened.enter_context(source.cursor())
                copy = opened.enter_context(cursor.copy(statement.encode()))
            yield _chunks(database, copy)  # what the warehouse raises meanwhile is its own

    def rejects(sent: int) -> Iterator[Reject]:
        if sent == count:
            return
        query = _rejected(table, unfit).where(where, is_unfit)
        with database.faults(), source.cursor(row_factory=tuple_row) as cursor:
            for row in cursor.execute(_text(query).encode()):
                yield Reject(*row)

    return Copy(table.types, send, rejects)


def _chunks(database: Database, copy: psycopg.Copy) -> Iterator[tuple[int, bytes]]:
    """Gather rows, which PostgreSQL sends one by one, and count them."""
    waiting: list[bytes] = []
    size = 0
    with database.faults():
        for row in copy:
            waiting.append(bytes(row))
            size += len(row)
            if size >= _CHUNK_BYTES:
                yield len(waiting), b"".join(waiting)
                waiting, size = [], 0
    yield len(waiting), b"".join(waiting)


def _with_meta(rows: sa.Select[Any], version: str | None, deletion: Deletion | None) -> str:
    """Add the columns that tell version and deletion."""
    if version is None:
        return _text(rows)
    sent = rows.subquery("sent")
    columns: list[sa.ColumnElement[Any]] = [*sent.c, sent.c[version].label("_version")]
    if deletion:
        times = [sent.c[name] for name in (*deletion.time, version)]
        columns.append(sa.case((sent.c[deletion.flag], sa.func.coalesce(*times, sa.func.now()))))
    return _text(sa.select(*columns))


def _rejected(
    table: Table, unfit: Sequence[tuple[str, str, sa.ColumnElement[bool]]]
) -> sa.Select[Any]:
    """Select what quarantine keeps of a row: key, reason, detail and the row as JSON."""
    types = {column.name: column.kind for column in table.key}
    keys = [key.element for key in expressions.converted(table, types)]
    return sa.select(
        sa.func.nullif(sa.func.concat_ws("|", *keys), "") if keys else sa.null(),
        sa.case(*((condition, expressions.quoted(reason)) for reason, _, condition in unfit)),
        sa.case(*((condition, expressions.quoted(detail)) for _, detail, condition in unfit)),
        sa.literal_column(_payload(table)),
    ).select_from(table.clause)


def _payload(table: Table) -> str:
    """Return the row as JSON, in the columns that are read and no others."""
    quote = _DIALECT.identifier_preparer.quote
    columns = ", ".join(
        f"{quote(table.stream.object)}.{quote(column.name)}" for column in table.columns
    )
    return f"(select row_to_json(part.*)::text from (select {columns}) as part)"  # noqa: S608  # quoted


def _text(query: sa.Select[Any]) -> str:
    """Write a query out, values included: COPY takes no parameters."""
    return str(query.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))
