"""The store: the records of all systems as of a batch, in an SQLite file so that a million fit.

A folder has `batch_<n>/<system>/<Object>.csv` or `.jsonl`. The first batch is everything; each
later one what has changed since, the later version of an id winning.
"""

from __future__ import annotations

import csv
import itertools
import re
import sqlite3
import sys
import threading
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from crmhouse.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

Body = dict[str, Any]

_decode = msgspec.json.Decoder(Body).decode

_BATCH = re.compile(r"batch_(\d+)")
_ROWS_AT_ONCE = 5000
_PRAGMAS = """
pragma journal_mode = off;
pragma synchronous = off;
pragma cache_size = -131072;
"""
_OF = "system = ? and object = ?"
_COLUMNS = "id, position, created, modified, deleted, body"
_SCHEMA = """
create table if not exists records (
    system text not null,
    object text not null,
    id text not null,
    position integer not null,
    created integer not null,
    modified integer not null,
    deleted integer not null,
    body text not null,
    primary key (system, object, id)
) without rowid;
create index if not exists by_position on records (system, object, position);
create index if not exists by_created on records (system, object, created, id);
create index if not exists by_modified on records (system, object, modified, id, deleted);
create table if not exists loaded (batch integer primary key);
"""


@dataclass(frozen=True)
class Shape:
    """Where records of a system have what the store has to know of them.

    Attributes:
        id: field of the id.
        created: field of the time of creation.
        modified: field of the time of the last change; that of creation where there is none.
        deleted: field that is true in a deleted record.
    """

    id: str = "id"
    created: str = "created"
    modified: str = "created"
    deleted: str = "deleted"


@dataclass(frozen=True)
class Stored:
    """A record as the store has it.

    Attributes:
        id: as text.
        position: the order in which records first came.
        created: milliseconds since 1970.
        modified: milliseconds since 1970.
        deleted: whether it is deleted.
        body: the record.
    """

    id: str
    position: int
    created: int
    modified: int
    deleted: bool
    body: Body


class Changed(Protocol):
    """Is told of every record that a batch after the first has brought."""

    def __call__(self, object_: str, before: Stored | None, after: Stored) -> None:
        """Hear of one."""


@dataclass
class Store:
    """All records.

    Attributes:
        folder: of the batches.
        database: the SQLite file; made anew.
        shapes: of each system.
    """

    folder: Path
    database: Path
    shapes: Mapping[str, Shape]
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _connection: sqlite3.Connection = field(init=False)
    _positions: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _listeners: dict[str, Changed] = field(default_factory=dict)
    _objects: dict[str, dict[str, None]] = field(default_factory=dict)
    batch: int = 0

    def __post_init__(self) -> None:
        self.database.unlink(missing_ok=True)
        self._connection = sqlite3.connect(self.database, check_same_thread=False)
        self._connection.executescript(_PRAGMAS + _SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def listen(self, system: str, changed: Changed) -> None:
        """Tell a system of what later batches bring."""
        self._listeners[system] = changed

    @property
    def batches(self) -> list[int]:
        """Return the numbers of the batches that the folder has.

        Raises:
            ConfigurationError: it has none.
        """
        found = [
            int(match[1])
            for path in self.folder.iterdir()
            if path.is_dir() and (match := _BATCH.fullmatch(path.name))
        ] if self.folder.is_dir() else []  # fmt: skip
        if not found:
            raise ConfigurationError(
                f"{self.folder} has no folder batch_1. It is to be laid out as `crmhouse demo` "
                "does it: batch_1/salesforce/Account.csv, batch_1/hubspot/contacts.jsonl, …"
            )
        return sorted(found)

    def advance(self) -> int | None:
        """Load the next batch; return its number, None where there is no other."""
        following = [number for number in self.batches if number > self.batch]
        if not following:
            return None
        self.load(following[0])
        return self.batch

    def load(self, batch: int) -> None:
        """Load a batch on top of what is there."""
        for system, shape in self.shapes.items():
            for path in sorted((self.folder / f"batch_{batch}" / system).glob("*.*")):
                if path.suffix in _READERS:
                    records = (_stored(body, shape) for body in _READERS[path.suffix](path))
                    self._upsert(system, path.stem, records, is_first=batch == self.batches[0])
        self.batch = batch

    def put(self, system: str, object_: str, bodies: Iterable[Body]) -> None:
        """Add records, or replace them, without telling anybody."""
        shape = self.shapes[system]
        self._upsert(system, object_, (_stored(body, shape) for body in bodies), is_first=True)

    def _upsert(
        self, system: str, object_: str, records: Iterable[Stored], *, is_first: bool
    ) -> None:
        rows = iter(records)
        changed = None if is_first else self._listeners.get(system)
        while some := list(itertools.islice(rows, _ROWS_AT_ONCE)):
            with self._lock, self._connection:
                self._objects.setdefault(system, {})[object_] = None
                if changed is None:
                    self._write(system, object_, some)
                    continue
                for record in some:  # each sees those before it
                    before = self.get(system, object_, record.id)
                    self._write(system, object_, [record])
                    changed(object_, before, record)

    def _write(self, system: str, object_: str, records: Iterable[Stored]) -> None:
        self._connection.executemany(
            "insert into records values (?, ?, ?, ?, ?, ?, ?, ?) "
            "on conflict do update set created = excluded.created, "
            "modified = excluded.modified, deleted = excluded.deleted, body = excluded.body",
            (
                [
                    system, object_, record.id, next(self._positions), record.created,
                    record.modified, record.deleted, msgspec.json.encode(record.body).decode(),
                ]
                for record in records
            ),
        )  # fmt: skip

    def objects(self, system: str) -> list[str]:
        """Return the objects that a system has records of."""
        with self._lock:
            return sorted(self._objects.get(system, ()))

    def get(self, system: str, object_: str, id_: str) -> Stored | None:
        """Return a record."""
        return next(iter(self.select(system, object_, "id = ?", [id_])), None)

    def count(
        self, system: str, object_: str, where: str = "true", values: Sequence[Any] = ()
    ) -> int:
        """Count records; see `select`."""
        query = f"select count(*) from records where {_OF} and ({where})"  # noqa: S608  # ours
        with self._lock:
            row = self._connection.execute(query, [system, object_, *values]).fetchone()
        return int(row[0])

    def newest(
        self, system: str, object_: str, where: str = "true", values: Sequence[Any] = ()
    ) -> int:
        """Return the newest time of change, in milliseconds since 1970; see `select`."""
        query = f"select max(modified) from records where {_OF} and ({where})"  # noqa: S608  # ours
        with self._lock:
            row = self._connection.execute(query, [system, object_, *values]).fetchone()
        return int(row[0] or 0)

    def select(
        self,
        system: str,
        object_: str,
        where: str = "true",
        values: Sequence[Any] = (),
        *,
        order: str = "position",
        limit: int = -1,
        offset: int = 0,
    ) -> list[Stored]:
        """Return records.

        Args:
            system: whose.
            object_: of which object.
            where: SQL over the columns of the store, and `body ->> '$.field'`. What a request
                brings goes into `values`.
            values: of its parameters.
            order: SQL, too.
            limit: at most so many; all when negative.
            offset: leave out so many.
        """
        query = (
            f"select {_COLUMNS} from records where {_OF} and ({where}) "  # noqa: S608  # ours
            f"order by {order} limit ? offset ?"
        )
        asked = [system, object_, *values, limit, offset]
        with self._lock, closing(self._connection.execute(query, asked)) as rows:
            return [
                Stored(id_, position, created, modified, bool(deleted), _decode(body))
                for id_, position, created, modified, deleted, body in rows
            ]

    def each(
        self, system: str, object_: str, where: str = "true", values: Sequence[Any] = ()
    ) -> Iterator[Stored]:
        """Yield records by their position, some in memory at a time; see `select`."""
        last = 0
        while some := self.select(
            system, object_, f"position > ? and ({where})", [last, *values], limit=_ROWS_AT_ONCE
        ):
            yield from some
            last = some[-1].position


def milliseconds(value: object) -> int:
    """Return a time of a record as milliseconds since 1970: of text, or of seconds."""
    if isinstance(value, int | float):
        return int(value * 1000)
    if not value:
        return 0
    when = datetime.fromisoformat(str(value))
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return round(when.timestamp() * 1000)


def _stored(body: Body, shape: Shape) -> Stored:
    flag = body.get(shape.deleted)
    created = milliseconds(body.get(shape.created))
    return Stored(
        str(body[shape.id]),
        0,
        created,
        milliseconds(body.get(shape.modified)) or created,
        flag is True or str(flag).lower() == "true",
        body,
    )


def _csv_rows(path: Path) -> Iterator[Body]:
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def _json_rows(path: Path) -> Iterator[Body]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield _decode(line)


_READERS: Mapping[str, Callable[[Path], Iterator[Body]]] = {
    ".csv": _csv_rows,
    ".jsonl": _json_rows,
}
