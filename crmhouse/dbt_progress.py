"""Tells each dbt node as it finishes: dbt writes its log as JSON lines, and we read along.

Only names, states and times are taken from it: dbt's messages may quote rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_SKIPPED = frozenset({"SkippingDetails", "LogSkipBecauseError"})


@dataclass(frozen=True)
class NodeDone:
    """A node that has just finished.

    Attributes:
        kind: `model`, `seed`, `snapshot`, `test` or `unit_test`.
        status: dbt's word: `success`, `pass`, `warn`, `error`, `fail`, `skipped`.
        number: how many nodes have finished by now.
        total: how many there are in this call.
    """

    name: str
    kind: str
    status: str
    seconds: float
    number: int
    total: int

    def __str__(self) -> str:
        return (
            f"{self.number} of {self.total}: {self.kind} {self.name}, {self.status}, "
            f"{self.seconds:.2f} s"
        )


NodeListener = Callable[[NodeDone], None]
"""Is told each node that has finished."""


class NodeLog:
    """The log of one dbt call, read while it grows.

    Args:
        folder: where dbt is to write it; what an earlier call wrote there is removed.
        listener: is told each node.
    """

    def __init__(self, folder: Path, listener: NodeListener) -> None:
        self._file = folder / "dbt.log"
        self._file.unlink(missing_ok=True)
        self._listener = listener
        self._read = 0
        self._seen: set[str] = set()
        self._total = 0

    def look(self) -> None:
        """Tell what has finished since the last look. A line that is not whole yet waits."""
        try:
            with self._file.open("rb") as log:
                log.seek(self._read)
                written = log.read()
        except FileNotFoundError:
            return
        whole = written[: written.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            entry: dict[str, Any] = json.loads(line)
            data, name = entry["data"], entry["info"]["name"]
        except (ValueError, KeyError, TypeError):
            return  # what a library prints among them
        self._total = max(self._total, int(data.get("node_count") or 0))
        node = data.get("node_info") or {}
        if not node.get("unique_id") or ("execution_time" not in data and name not in _SKIPPED):
            return
        if node["unique_id"] in self._seen:
            return
        self._seen.add(node["unique_id"])
        self._listener(
            NodeDone(
                name=str(node.get("node_name")),
                kind=str(node.get("resource_type")),
                status="skipped" if name in _SKIPPED else str(node.get("node_status")),
                seconds=round(float(data.get("execution_time") or 0), 3),
                number=len(self._seen),
                total=max(self._total, len(self._seen)),
            )
        )
