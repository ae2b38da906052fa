"""Copies: records that another PostgreSQL hands over in the binary format of its COPY."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from psycopg import sql

from ingestion.naming import names
from ingestion.streams import WIDENS_TO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from uuid import UUID

    from ingestion.batches import Reject
    from ingestion.raw_tables import RawTable
    from ingestion.staging import Staging
    from ingestion.streams import ColumnType

_NARROWER = {wide: narrow for narrow, wide in WIDENS_TO.items()}


class Meta(NamedTuple):
    """The meta columns that are sent after the wanted ones, for rows that go straight into raw.

    Attributes:
        version: field of the version.
        deletion: where deletions are told: the field of the flag, and that of the time if known.
        run_id: the run.
    """

    version: str
    deletion: tuple[str, ...]
    run_id: UUID

    @property
    def columns(self) -> list[str]:
        """Return the names of the columns, in the order in which they are sent."""
        return ["_source_updated_at", "_run_id", *(["_deleted_at"] if self.deletion else [])]


@dataclass(frozen=True)
class Copy:
    """Rows that a source can send as COPY reads them.

    Attributes:
        types: the type of each field, in the order of the source's columns.
        is_whole: whether these are all the fields that the records have.
        send: opens the rows that can be landed, as chunks of one binary COPY with the number of
            rows in each; given the type of each field that is wanted, and the meta columns if any.
        rejects: the rows that cannot, given the number of those that could.
    """

    types: Mapping[str, ColumnType]
    send: Callable[
        [Mapping[str, ColumnType], Meta | None], AbstractContextManager[Iterator[tuple[int, bytes]]]
    ]
    rejects: Callable[[int], Iterable[Reject]]
    is_whole: bool = True


def takes(table: RawTable, copy: Copy) -> bool:
    """Say whether every field fits the table's columns, or ones that it may still get.

    Where not, the records have to be looked at one by one.
    """
    return all(suits(table, *field) for field in copy.types.items())


def suits(table: RawTable, source_field: str, kind: ColumnType) -> bool:
    """Say whether a field of that type fits its column, or one that the table may still get."""
    known = table.columns.get(source_field)
    if known is not None and kind in {known.type, _NARROWER.get(known.type)}:
        return True
    if table.contract != "evolve":
        return False
    return known is None or (
        WIDENS_TO.get(known.type) is kind and known.name not in table.stream.pinned
    )


def copy_into(
    staging: Staging, copy: Copy, on_records: Callable[[int], object], run_id: UUID | None
) -> None:
    """Let the source's rows flow into the staging's target, without a look at them.

    Args:
        staging: where to.
        copy: the source's rows.
        on_records: is told now and then how many have arrived.
        run_id: the run, where that is the raw table itself, which has the meta columns too.

    Raises:
        SourceRefusedError: the key or the version is not among the fields.
    """
    table = staging.table
    columns = {name: table.want(name, kind) for name, kind in copy.types.items()}
    staging.begin_copy(list(copy.types), is_whole=copy.is_whole)
    wanted = {name: column.type for name, column in columns.items()}
    meta = _meta(run_id, table) if run_id else None
    targets = [*(column.name for column in columns.values()), *(meta.columns if meta else ())]
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(
        staging.target, names(targets)
    )
    with copy.send(wanted, meta) as chunks, staging.connection.cursor() as cursor:
        arrived = 0
        with cursor.copy(statement) as arriving:
            for rows, chunk in chunks:
                arriving.write(chunk)
                arrived += rows
                on_records(arrived)
        landed = cursor.rowcount
    staging.end_copy(landed, list(copy.rejects(landed)))


def _meta(run_id: UUID, table: RawTable) -> Meta:
    stream, fields = table.stream, {c.name: name for name, c in table.columns.items()}
    deletion = [fields[name] for name in (stream.deleted, stream.deleted_at) if name in fields]
    return Meta(fields[str(stream.version)], tuple(deletion), run_id)
