"""A database as a source: the first load in slices, then what has changed, and what was deleted.

Checkpoints of a stream, by slice:

    load         the plan of the first load: where it is cut, and the newest cursor when it began
    load 0001    a slice of it that has landed; there is one for each cut, and one more
    changes      the newest cursor that has landed
    deletions    when all keys were read last
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from crmhouse.errors import ConfigurationError, CrmhouseError, SourceRefusedError
from ingestion.slices import Slice
from ingestion.sources.connector import always
from ingestion.sources.databases.bounds import Bounds, at, back, moment, not_in_future
from ingestion.sources.databases.connection import Database, database
from ingestion.sources.databases.options import DatabaseOptions
from ingestion.sources.databases.reader import Extent, Reader
from ingestion.sources.databases.tables import Broken, Table, reflect
from ingestion.sources.schedule import is_due, read_now, window_name
from ingestion.streams import ColumnType

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Mapping
    from datetime import datetime

    from ingestion.sources.connector import Claim, Given
    from ingestion.sources.databases.bounds import Mark
    from ingestion.streams import Stream

logger = logging.getLogger(__name__)

LOAD, CHANGES, DELETIONS = "load", "changes", "deletions"
_LOOKBACK_SECONDS, _LOOKBACK_UNITS = 300, 1000
_WAIT_SECONDS = 0.2
_CANNOT_CUT = frozenset({ColumnType.BOOLEAN, ColumnType.JSONB})
_TIMES = frozenset({ColumnType.DATE, ColumnType.TIMESTAMPTZ, ColumnType.TEXT})


@dataclass(frozen=True)
class DatabaseConnector:
    """Reads the tables of one database.

    Attributes:
        database: the source.
        options: as configured.
        batch_rows: rows in memory at once.
        chosen: names of the streams that are synced; all of them when None.
    """

    database: Database
    options: DatabaseOptions
    batch_rows: int
    chosen: frozenset[str] | None = None

    system = "database"

    @cached_property
    def _tables(self) -> dict[str, Table | Broken]:
        with self.database.snapshot() as connection, self.database.faults():
            found = reflect(connection, self.database.name, self.options, self.chosen)
        return {table.stream.name: table for table in found}

    def only(self, streams: Collection[str]) -> DatabaseConnector:
        """Return this connector, restricted to these streams."""
        return replace(self, chosen=frozenset(streams))

    def streams(self) -> tuple[Stream, ...]:
        """Return the streams, as the database has them now."""
        return tuple(table.stream for table in self._tables.values())

    def check(self) -> list[str]:
        """Say what keeps the tables from being read; nothing when all is well."""
        try:
            return [*self._problems()]
        except CrmhouseError as error:  # of the database as a whole
            return [str(error)]

    def _problems(self) -> Iterator[str]:
        for stream in self.streams():
            try:
                with self._reader(stream) as reader:
                    reader.touch()
            except (ConfigurationError, SourceRefusedError) as error:
                yield str(error)

    def slices(
        self, stream: Stream, landed: Mapping[str, Mapping[str, Any]], claim: Claim = always
    ) -> Generator[Slice]:
        """Yield what is to be landed, in order.

        Args:
            stream: one of this connector's.
            landed: the checkpoints of the stream, by slice; kept up to date while slices land.
            claim: claims a slice of the first load.
        """
        if stream.snapshot:
            yield from self.everything(stream)
            return
        if not landed.get(CHANGES):
            yield from self.plan(stream, landed)
            if landed.get(CHANGES):
                return
            yield from self._load(stream, landed, claim)
        yield from self._changes(stream, landed)
        yield from self._deletions(stream, landed)

    def plan(self, stream: Stream, landed: Mapping[str, Mapping[str, Any]]) -> Generator[Slice]:
        """Yield the first load of a small table, or the plan of the slices of a large one."""
        if not (stream.snapshot or landed.get(CHANGES) or landed.get(LOAD)):
            yield from self._first(stream)

    def load_slices(self, stream: Stream, landed: Mapping[str, Mapping[str, Any]]) -> list[str]:  # noqa: ARG002  # the signature of Connector
        """Name the slices of a first load under way."""
        if landed.get(CHANGES) or not landed.get(LOAD):
            return []
        return list(_parts(landed[LOAD]))

    def shared(
        self,
        stream: Stream,
        landed: Mapping[str, Mapping[str, Any]],
        claim: Claim,
        names: Collection[str] | None = None,
    ) -> Generator[Slice]:
        """Yield the slices of a first load that is under way."""
        if self.load_slices(stream, landed):
            yield from self._load(stream, landed, claim, names)

    def everything(self, stream: Stream) -> Generator[Slice]:
        """Yield one slice with all rows, of one moment."""
        with self._reader(stream) as reader:
            extent = reader.extent()
            newest = self._mark(reader.table, extent.newest)
            yield _slice(
                reader, CHANGES, extent, {"cursor": newest}, holds="all", also=_all_read
            )  # fmt: skip

    def window(self, stream: Stream, start: datetime, end: datetime) -> Generator[Slice]:
        """Yield the slice of the rows whose time of change lies in `start` <= time < `end`.

        Raises:
            ConfigurationError: the stream has no cursor that is a time.
        """
        if reason := self.no_window(stream):
            raise ConfigurationError(reason)
        table = self._table(stream)
        cursor = str(table.options.cursor)
        with self._reader(stream) as reader:
            newest, zone = reader.extent().newest, table.zone_of(cursor)
            is_text = table.column(cursor).kind is ColumnType.TEXT
            if is_text and newest is not None and moment(newest, zone) is None:
                raise ConfigurationError(self._is_no_time(stream, cursor))
            low, high = (at(when, newest, zone) for when in (start, end))
            part = Bounds(cursor, low, high)
            yield _slice(
                reader,
                window_name(start, end),
                reader.extent(part),
                {"landed": True},
                part,
                window=(start, end),
            )

    def no_window(self, stream: Stream) -> str | None:
        """Say why a table cannot be read by a window of time; None where it can."""
        table = self._table(stream)
        cursor = table.options.cursor
        if cursor is not None and table.column(cursor).kind in _TIMES:
            return None
        return self._is_no_time(stream, cursor)

    def _is_no_time(self, stream: Stream, cursor: str | None) -> str:
        return (
            f"Source {self.database.name}, stream {stream.name}: it cannot be read by a window of "
            f"time, for its cursor is {cursor or 'missing'} and no time of change."
        )

    def _first(self, stream: Stream) -> Generator[Slice]:
        with self._reader(stream) as reader:
            table, extent = reader.table, reader.extent()
            newest = self._mark(table, extent.newest)
            key = table.key[0]
            size = table.options.slice_rows
            can_cut = extent.rows > size and key.kind not in _CANNOT_CUT
            cuts = reader.cuts(key.name, size) if can_cut else []
            if not cuts:
                yield _slice(
                    reader, CHANGES, extent, {"cursor": newest}, is_first=True, also=_all_read
                )  # fmt: skip
                return
        plan = {"column": key.name, "cuts": cuts, "cursor": newest}
        # What is deleted while the slices land, the next search for deletions finds.
        yield Slice(LOAD, lambda: iter(()), lambda: plan, also=_all_read)

    def _load(
        self,
        stream: Stream,
        landed: Mapping[str, Mapping[str, Any]],
        claim: Claim,
        names: Collection[str] | None = None,
    ) -> Generator[Slice]:
        """Yield the slices of the first load that have not landed; others may land some of them."""
        parts = {
            name: part
            for name, part in _parts(landed[LOAD]).items()
            if names is None or name in names
        }
        while missing := [name for name in parts if name not in landed]:
            claimed = 0
            for name in missing:
                if name in landed or not claim(name):
                    continue
                claimed += 1
                with self._reader(stream) as reader:
                    part = parts[name]
                    yield _slice(
                        reader, name, reader.extent(part), {"landed": True}, part,
                        is_first=True, is_shared=True,
                    )  # fmt: skip
            if not claimed:  # others land what is left
                time.sleep(_WAIT_SECONDS)

    def _changes(self, stream: Stream, landed: Mapping[str, Mapping[str, Any]]) -> Generator[Slice]:
        known = (landed.get(CHANGES) or landed[LOAD])["cursor"]
        with self._reader(stream) as reader:
            table = reader.table
            parts = []
            if known is not None:
                column = table.column(str(table.options.cursor))
                zone = table.zone_of(column.name)
                low = back(known, self._lookback(table), column.kind, zone)
                parts.append(Bounds(column.name, low=low, or_none=column.is_nullable))
            extent = reader.extent(*parts)
            if not extent.rows and CHANGES in landed:
                return
            newest = self._mark(table, extent.newest)
            cursor = known if newest is None else newest
            yield _slice(reader, CHANGES, extent, {"cursor": cursor}, *parts)

    def _deletions(
        self, stream: Stream, landed: Mapping[str, Mapping[str, Any]]
    ) -> Generator[Slice]:
        if not is_due(landed.get(DELETIONS), self._table(stream).options.sweep_every_hours):
            return
        read = read_now()
        with self._reader(stream) as reader:
            extent = reader.extent()
            yield Slice(
                DELETIONS,
                reader.keys,
                lambda: read,
                reported=extent.rows,
                holds="keys",
                copy=reader.copy_keys(extent),
            )

    def _lookback(self, table: Table) -> float:
        asked, cursor = table.options.lookback, str(table.options.cursor)
        if asked is not None:
            return asked
        is_time = table.column(cursor).kind in _TIMES
        return _LOOKBACK_SECONDS if is_time else _LOOKBACK_UNITS

    def _mark(self, table: Table, newest: Mark | None) -> Mark | None:
        cursor = table.options.cursor
        if newest is None or cursor is None:
            return None
        return not_in_future(newest, table.column(cursor).kind, table.zone_of(cursor))

    def _table(self, stream: Stream) -> Table:
        table = self._tables[stream.name]
        if isinstance(table, Broken):
            raise table.error
        return table

    @contextmanager
    def _reader(self, stream: Stream) -> Iterator[Reader]:
        with self.database.snapshot() as connection:
            yield Reader(self.database, connection, self._table(stream), self.batch_rows)


def _parts(plan: Mapping[str, Any]) -> dict[str, Bounds]:
    """Return the slices of a first load, by name."""
    return {
        f"{LOAD} {number:04d}": Bounds(plan["column"], low, high, or_none=low is None)
        for number, (low, high) in enumerate(pairwise([None, *plan["cuts"], None]), start=1)
    }


def _slice(
    reader: Reader,
    name: str,
    extent: Extent,
    checkpoint: Mapping[str, Any],
    *parts: Bounds,
    **more: Any,  # noqa: ANN401  # fields of Slice
) -> Slice:
    """Make the slice of the rows within all these bounds."""
    table = reader.table
    cursor = table.options.cursor
    newest = (
        moment(extent.newest, table.zone_of(cursor)) if table.stream.version and cursor else None
    )
    return Slice(
        name,
        lambda: reader.batches(*parts),
        lambda: checkpoint,
        reported=extent.rows,
        types=table.types,
        copy=reader.copy(extent, *parts),
        newest=newest,
        **more,
    )


def _all_read() -> Mapping[str, Mapping[str, Any]]:
    """Return the checkpoint that says that no row was deleted and is still there."""
    return {DELETIONS: read_now()}


def build(options: Mapping[str, Any], given: Given) -> DatabaseConnector:
    """Make the connector of a source of the kind `database`.

    Args:
        options: the configured options, checked against `DatabaseOptions`.
        given: what it gets beside them.

    Raises:
        ConfigurationError: the URL is none, or its dialect is not installed.
    """
    checked = DatabaseOptions.model_validate(options)
    url = checked.url.get_secret_value()
    source = database(given.name, url, checked.statement_timeout_seconds, given.base)
    return DatabaseConnector(source, checked, given.batch_rows)
