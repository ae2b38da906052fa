"""Copies: records that another PostgreSQL hands over in the binary format of its COPY."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from psycopg import sql

from ingestion.naming import names
from ingestion.streams import WIDENS_TO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from ingestion.batches import Reject
    from ingestion.raw_tables import RawTable
    from ingestion.staging import Staging
    from ingestion.streams import ColumnType

_NARROWER = {wide: narrow for narrow, wide in WIDENS_TO.items()}


class Wanted(NamedTuple):
    """A column to be sent.

    Attributes:
        field: the source's name.
        type: the type it is to be sent as.
    """

    field: str
    type: ColumnType


class Deletion(NamedTuple):
    """How the source tells a deletion: the fields of the flag, and of its time if there is one."""

    flag: str
    time: tuple[str, ...]


@dataclass(frozen=True)
class Copy:
    """Rows that a source can send as COPY reads them.

    Attributes:
        types: the type of each field, in the order of the source's columns.
        send: opens the rows that can be landed, as chunks of one binary COPY: the wanted columns,
            then the version again if its field is given, then the time of deletion if that is told.
        rejects: the rows that cannot, given the number of those that could.
    """

    types: Mapping[str, ColumnType]
    send: Callable[
        [Sequence[Wanted], str | None, Deletion | None],
        AbstractContextManager[Iterator[bytes]],
    ]
    rejects: Callable[[int], Iterable[Reject]]


def takes(table: RawTable, copy: Copy) -> bool:
    """Say whether every field fits the table's columns, or ones that it may still get.

    Where not, the records have to be looked at one by one.
    """
    return all(_suits(table, *field) for field in copy.types.items())


def _suits(table: RawTable, source_field: str, kind: ColumnType) -> bool:
    known = table.columns.get(source_field)
    if known is not None and kind in {known.type, _NARROWER.get(known.type)}:
        return True
    if table.contract != "evolve":
        return False
    return known is None or (
        WIDENS_TO.get(known.type) is kind and known.name not in table.stream.pinned
    )


def copy_into(staging: Staging, copy: Copy) -> None:
    """Let the source's rows flow into the staging's target, without a look at them.

    Raises:
        SourceRefusedError: the key or the version is not among the fields.
    """
    table, stream = staging.table, staging.table.stream
    columns = {name: table.want(name, kind) for name, kind in copy.types.items()}
    staging.begin_copy(list(copy.types))
    wanted = [Wanted(name, column.type) for name, column in columns.items()]
    targets = [column.name for column in columns.values()]
    version = deletion = None
    if staging.has_meta:
        fields = {column.name: name for name, column in columns.items()}
        version = fields[str(stream.version)]
        targets.append("_source_updated_at")
        if stream.deleted in fields:
            time = (fields[stream.deleted_at],) if stream.deleted_at in fields else ()
            deletion = Deletion(fields[stream.deleted], time)
            targets.append("_deleted_at")
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(
        staging.target, names(targets)
    )
    with (
        copy.send(wanted, version, deletion) as chunks,
        staging.connection.cursor() as cursor,
    ):
        with cursor.copy(statement) as arriving:
            for chunk in chunks:
                arriving.write(chunk)
        staging.end_copy(cursor.rowcount, list(copy.rejects(cursor.rowcount)))
