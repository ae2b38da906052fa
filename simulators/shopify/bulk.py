"""Bulk operations: a query without pages, run in the background, whose rows are put into a file.

The rows of a nested connection name their parent in `__parentId` and do not follow it.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, BinaryIO

from graphql import (
    ExecutionResult,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    ValidationRule,
    get_named_type,
    get_nullable_type,
    is_list_type,
    parse,
    specified_rules,
    validate,
)

from simulators.shopify.paging import cursor_of, page, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from graphql import ValidationContext

    from simulators.faults import Fault, Faults
    from simulators.shopify.root import Asking
    from simulators.store import Body

_OPEN = frozenset({"CREATED", "RUNNING", "CANCELING"})


class ConnectionInList(ValidationRule):
    """Refuses a connection within a list, which has no place in the file."""

    _PLAIN = frozenset({"edges", "nodes"})

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._lists: list[FieldNode] = []

    def enter_field(self, node: FieldNode, *_: Any) -> None:  # noqa: ANN401
        """Look at a field, and go into it."""
        kind = self.context.get_type()
        if kind is None:
            return
        if self._lists and get_named_type(kind).name.endswith("Connection"):
            self.report_error(
                GraphQLError(f"Connection '{node.name.value}' is within a list field.", node)
            )
        if is_list_type(get_nullable_type(kind)) and node.name.value not in self._PLAIN:
            self._lists.append(node)

    def leave_field(self, node: FieldNode, *_: Any) -> None:  # noqa: ANN401
        """Come out of a field."""
        if self._lists and self._lists[-1] is node:
            self._lists.pop()


@dataclass
class Operation:
    """One bulk operation.

    Attributes:
        number: in its id.
        query: as it was sent.
        status: as the API names it.
        error: its code, when it has failed.
    """

    number: int
    query: str
    status: str = "CREATED"
    error: str | None = None
    objects: int = 0
    roots: int = 0
    size: int = 0
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    completed: datetime | None = None

    @property
    def id(self) -> str:
        """Return the global id."""
        return f"gid://shopify/BulkOperation/{self.number}"

    def shown(self, base: str) -> Body:
        """Return the object of the API; its files are below a URL."""
        url = f"{base}/bulk/{self.number}.jsonl?Signature=signed"
        return {
            "__typename": "BulkOperation", "id": self.id, "query": self.query, "type": "QUERY",
            "status": self.status, "errorCode": self.error,
            "createdAt": _text(self.created), "completedAt": _text(self.completed),
            "objectCount": str(self.objects), "rootObjectCount": str(self.roots),
            "fileSize": str(self.size) if self.status == "COMPLETED" else None,
            "url": url if self.status == "COMPLETED" and self.objects else None,
            "partialDataUrl": url if self.status == "FAILED" and self.objects else None,
        }  # fmt: skip


@dataclass
class Operations:
    """The bulk operations of an app.

    Attributes:
        schema: that queries are checked against.
        execute: runs a query.
        folder: of the files.
        faults: what is to fail.
        at_once: operations that may run side by side.
    """

    schema: GraphQLSchema
    execute: Callable[[str, Asking], ExecutionResult]
    folder: Path
    faults: Faults
    at_once: int = 1
    all: list[Operation] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, query: str, asking: Asking, path: str) -> tuple[Operation | None, str | None]:
        """Begin an operation; return it, or say why there is none."""
        try:
            problems = validate(self.schema, parse(query), [*specified_rules, ConnectionInList])
        except GraphQLError as error:
            problems = [error]
        if problems:
            return None, f"Invalid bulk query: {problems[0].message}"
        with self._lock:
            open_ = [one for one in self.all if one.status in _OPEN]
            if len(open_) >= self.at_once:
                return None, (
                    "A bulk query operation for this app and shop is already in progress: "
                    f"{open_[0].id}."
                )
            operation = Operation(len(self.all) + 1, query)
            self.all.append(operation)
        fault = self.faults.take("shopify", path, "bulk_failed", "bulk_slow")
        threading.Thread(target=self._work, args=(operation, asking, fault)).start()
        return operation, None

    def cancel(self, id_: str) -> Operation | None:
        """Cancel an operation that is under way."""
        operation = self.find(id_)
        if operation and operation.status in _OPEN:
            operation.status = "CANCELING"
        return operation

    def find(self, id_: str | None) -> Operation | None:
        """Return the operation of an id."""
        return next((one for one in self.all if one.id == id_), None)

    def page(self, base: str, args: dict[str, Any]) -> Body:
        """Return a page of the operations."""
        known = [one for one in self.all if f"status:{one.status.lower()}" in _wanted(args, one)]
        size = size_of(args.get("first"))
        nodes = [(cursor_of(one.number), one.shown(base)) for one in known[:size]]
        return page(nodes, has_more=len(known) > size, is_first=True)

    def file(self, number: int) -> Path:
        """Return where the rows of an operation are."""
        return self.folder / f"{number}.jsonl"

    def _work(self, operation: Operation, asking: Asking, fault: Fault | None) -> None:
        operation.status = "RUNNING"
        self.folder.mkdir(parents=True, exist_ok=True)
        if fault and fault.kind == "bulk_slow":
            time.sleep(fault.seconds)
        with self.file(operation.number).open("wb") as file:
            status = self._write(
                operation, asking, file, fails=bool(fault and fault.kind == "bulk_failed")
            )
        operation.size = self.file(operation.number).stat().st_size
        operation.completed = datetime.now(UTC)
        operation.status = status

    def _write(self, operation: Operation, asking: Asking, file: BinaryIO, *, fails: bool) -> str:
        while operation.status != "CANCELING":
            asking.after, asking.following = asking.following, None
            result = self.execute(operation.query, asking)
            if result.errors:
                code = (result.errors[0].extensions or {}).get("code", "INTERNAL_SERVER_ERROR")
                operation.error = code if code == "ACCESS_DENIED" else "INTERNAL_SERVER_ERROR"
                return "FAILED"
            connection = next(iter((result.data or {}).values()))
            roots = _nodes(connection)
            if fails:
                roots = roots[: (len(roots) + 1) // 2]
            for row in _rows(roots):
                file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
                operation.objects += 1
            operation.roots += len(roots)
            if fails:
                operation.error = "INTERNAL_SERVER_ERROR"
                return "FAILED"
            if asking.following is None:
                return "COMPLETED"
        return "CANCELED"


def _rows(roots: list[Body]) -> Iterator[Body]:
    """Yield the records, and after all of them the first child of each, the second, and so on."""
    families = []
    for root in roots:
        own = {name: value for name, value in root.items() if not _is_connection(value)}
        children = [
            {**node, "__parentId": root.get("id")}
            for value in root.values()
            if _is_connection(value)
            for node in _nodes(value)
        ]
        families.append(children)
        yield own
    for generation in zip_longest(*families):
        yield from (child for child in chain(generation) if child is not None)


def _is_connection(value: object) -> bool:
    return isinstance(value, dict) and bool({"edges", "nodes"} & value.keys())


def _nodes(connection: Body) -> list[Body]:
    if "nodes" in connection:
        return list(connection["nodes"])
    return [edge["node"] for edge in connection["edges"]]


def _wanted(args: dict[str, Any], one: Operation) -> str:
    return (args.get("query") or f"status:{one.status}").lower()


def _text(when: datetime | None) -> str | None:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ") if when else None
