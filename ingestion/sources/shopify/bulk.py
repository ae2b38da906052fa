"""Bulk operations: begin one, wait for it, and put the children in its file to their parents.

A file is sorted by SQLite on disk: the rows of a nested connection come in no order that could be
relied on, and a file may be larger than memory.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from crmhouse.errors import CrmhouseError, SourceRefusedError, SourceUnavailableError
from ingestion.sources.shopify.queries import OPERATION, START

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from ingestion.sources.shopify.client import Client
    from ingestion.sources.shopify.mapping import Record

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 15.0
_OPEN = frozenset({"CREATED", "RUNNING"})
_KEPT = timedelta(days=6)  # a file is kept for seven
_GID = re.compile(r"gid://shopify/BulkOperation/\d+")
_TABLES = """
pragma journal_mode = off; pragma synchronous = off; pragma temp_store = file;
create table roots (id text primary key, line blob);
create table children (parent text, line blob);
"""
_JOIN = """
select roots.rowid, roots.line, children.line from roots
left join children on children.parent = roots.id order by roots.rowid, children.rowid
"""


class _Row(msgspec.Struct):
    id: str
    parent: str | None = msgspec.field(default=None, name="__parentId")


def find(client: Client, id_: str | None) -> Record | None:
    """Return an operation whose file there is, or will be."""
    if id_ is None:
        return None
    operation: Record | None = client.ask(OPERATION, {"id": id_})["node"]
    if not operation or not operation.get("status"):
        return None
    ended = operation["completedAt"]
    is_kept = ended is None or datetime.now(UTC) - datetime.fromisoformat(ended) < _KEPT
    is_whole = operation["status"] == "COMPLETED" and is_kept
    return operation if is_whole or operation["status"] in _OPEN else None


class OperationUnderWayError(SourceUnavailableError):
    """Another bulk operation of the app is under way."""


def begin(client: Client, query: str, *, joins: bool = False) -> str:
    """Begin an operation and return its id.

    Args:
        client: of the shop.
        query: what it reads.
        joins: whether one that was begun before, and reads the same, will do.

    Raises:
        OperationUnderWayError: another one of the app is.
        SourceUnavailableError: Shopify begins none.
    """
    told = client.ask(START, {"query": query})["bulkOperationRunQuery"]
    if operation := told["bulkOperation"]:
        return str(operation["id"])
    said = " ".join(error["message"] for error in told["userErrors"])
    other = _GID.search(said)
    if other:
        known = find(client, other[0]) if joins else None
        if known and known["query"] == query:  # it may have completed this moment
            return other[0]
        raise OperationUnderWayError(
            f"{client.place}: another bulk operation of the app is under way ({other[0]}). Nothing "
            "was begun; sync again when it has ended."
        )
    codes = ", ".join(str(error.get("code")) for error in told["userErrors"])
    raise SourceUnavailableError(
        f"{client.place}: Shopify has not begun a bulk operation ({codes}). Sync again."
    )


def wait(client: Client, id_: str) -> Record:
    """Wait until an operation has ended, and return it.

    Raises:
        SourceUnavailableError: it has not completed. What it has of the data is left alone.
        SourceRefusedError: the token lacks a scope.
    """
    pause = FIRST_PAUSE
    while True:
        operation: Record | None = client.ask(OPERATION, {"id": id_})["node"]
        status = operation["status"] if operation else "EXPIRED"
        if operation and status == "COMPLETED":
            return operation
        if status not in _OPEN:
            raise _ended(client, id_, status, operation or {})
        logger.info("%s: %s is %s", client.place, id_, status)
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _ended(client: Client, id_: str, status: str, operation: Record) -> CrmhouseError:
    code = operation.get("errorCode")
    if code == "ACCESS_DENIED":
        return SourceRefusedError(
            f"{client.place}: {id_} was refused ({code}). Nothing of it was taken over. The access "
            "token lacks a scope: `crmhouse check` says which."
        )
    return SourceUnavailableError(
        f"{client.place}: {id_} has ended as {status}{f' ({code})' if code else ''} after "
        f"{operation.get('objectCount', 0)} objects. Nothing of it was taken over; the next sync "
        "begins another one."
    )


@dataclass(frozen=True)
class Result:
    """The file of an operation that has completed.

    Attributes:
        client: of the shop.
        operation: as the API tells of it.
    """

    client: Client
    operation: Record

    @property
    def roots(self) -> int:
        """Return how many records the API says there are."""
        return int(self.operation["rootObjectCount"])

    def nodes(self) -> Generator[tuple[Record, list[Record]]]:
        """Yield the records, each with its children.

        Raises:
            SourceUnavailableError: other numbers of objects arrived than were reported.
        """
        url = self.operation["url"]
        with tempfile.TemporaryDirectory(prefix="crmhouse-") as folder:
            path = Path(folder) / "bulk.jsonl"
            with path.open("wb") as file:
                if url:
                    self.client.download(url, file)
            with path.open("rb") as lines, closing(sqlite3.connect(Path(folder) / "join.db")) as db:
                db.executescript(_TABLES)
                self._count(*_fill(db, lines))
                yield from _joined(db)

    def _count(self, roots: int, children: int, orphans: int) -> None:
        objects = int(self.operation["objectCount"])
        if roots != self.roots or roots + children != objects or orphans:
            raise SourceUnavailableError(
                f"{self.client.place}: {self.operation['id']} reported {objects} objects, "
                f"{self.roots} of them records; {roots + children} and {roots} arrived, {orphans} "
                "of them without their parent. Nothing was landed; sync again."
            )


def _fill(db: sqlite3.Connection, lines: Iterable[bytes]) -> tuple[int, int, int]:
    """Sort the lines into records and children; return how many there are, and the orphans."""
    decoder = msgspec.json.Decoder(_Row)
    roots = children = 0
    for line in lines:
        try:
            row = decoder.decode(line)
        except msgspec.DecodeError:  # the file was cut off: the numbers will say so
            continue
        if row.parent is None:
            db.execute("insert into roots values (?, ?)", [row.id, line])
            roots += 1
        else:
            db.execute("insert into children values (?, ?)", [row.parent, line])
            children += 1
    db.execute("create index by_parent on children (parent)")
    orphans = "select count(*) from children where parent not in (select id from roots)"
    return roots, children, int(db.execute(orphans).fetchone()[0])


def _joined(db: sqlite3.Connection) -> Iterator[tuple[Record, list[Record]]]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    current: bytes | None = None
    children: list[Record] = []
    known = 0
    for number, root, child in db.execute(_JOIN):
        if number != known:
            if current is not None:
                yield decode(current), children
            known, current, children = number, root, []
        if child is not None:
            children.append(decode(child))
    if current is not None:
        yield decode(current), children
