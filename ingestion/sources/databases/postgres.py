"""PostgreSQL to PostgreSQL: the source's COPY flows into the warehouse's, in binary.

What a raw column could not hold is left out by the source itself, and kept for quarantine.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from psycopg import pq
from psycopg.errors import error_from_result
from psycopg.rows import tuple_row
from sqlalchemy.dialects import postgresql

from ingestion.batches import Reject
from ingestion.copies import Copy
from ingestion.sources.databases import expressions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import psycopg
    from psycopg.pq.abc import PGconn

    from ingestion.copies import Meta
    from ingestion.sources.databases.connection import Database
    from ingestion.sources.databases.tables import Table
    from ingestion.streams import ColumnType

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
    is_unfit = sa.or_(sa.false(), *(condition for *_, condition in unfit)).is_(sa.true())

    @contextmanager
    def send(
        wanted: Mapping[str, ColumnType], meta: Meta | None
    ) -> Iterator[Iterator[tuple[int, bytes]]]:
        fields = expressions.converted(table, wanted)
        rows = sa.select(*fields).select_from(table.clause).where(where, sa.not_(is_unfit))
        statement = f"copy ({_with_meta(rows, meta)}) to stdout (format binary)"
        with ExitStack() as opened:
            with database.faults():
                cursor = opened.enter_context(source.cursor())
                copy = opened.enter_context(cursor.copy(statement.encode()))
            yield _chunks(
                database, copy, source.pgconn
            )  # what the warehouse raises meanwhile is its own

    def rejects(sent: int) -> Iterator[Reject]:
        if sent == count:
            return
        query = _rejected(table, unfit).where(where, is_unfit)
        with database.faults(), source.cursor(row_factory=tuple_row) as cursor:
            for row in cursor.execute(_text(query).encode()):
                yield Reject(*row)

    return Copy(table.types, send, rejects)


def _chunks(database: Database, copy: psycopg.Copy, server: PGconn) -> Iterator[tuple[int, bytes]]:
    """Yield the rows that PostgreSQL sends, and count them."""
    more = True
    while more:
        with database.faults():
            rows, more = _gather(copy, server)
        yield len(rows), b"".join(rows)


def _gather(copy: psycopg.Copy, server: PGconn) -> tuple[list[bytes], bool]:
    """Gather rows, which PostgreSQL sends one by one; say whether more may follow.

    What has arrived already is taken from libpq at once: psycopg waits for each row anew, which
    takes longer than the row itself.
    """
    rows: list[bytes] = []
    size = 0
    while size < _CHUNK_BYTES:
        length, row = server.get_copy_data(1)
        if length < 0:
            _require_success(server)
            return rows, False
        # Where nothing has arrived yet, psycopg waits for it; what it reads last is empty.
        data = bytes(row) if length else bytes(copy.read())
        if not data:
            return rows, False
        rows.append(data)
        size += len(data)
    return rows, True


def _require_success(server: PGconn) -> None:
    """Take the result of a COPY that has sent all its rows.

    Raises:
        psycopg.Error: it broke off.
    """
    while (result := server.get_result()) is not None:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            raise error_from_result(result)


def _with_meta(rows: sa.Select[Any], meta: Meta | None) -> str:
    """Add the meta columns."""
    if meta is None:
        return _text(rows)
    sent = rows.subquery("sent")
    version = sent.c[meta.version]
    columns = [*sent.c, version.label("_version"), expressions.uuid(meta.run_id)]
    if meta.deletion:
        flag, *time = (sent.c[name] for name in meta.deletion)
        columns.append(sa.case((flag, sa.func.coalesce(*time, version, sa.func.now()))))
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
