"""What dbt leaves behind of a call, as values: its nodes, and why it failed in a few lines."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_FAILED = frozenset({"error", "fail", "runtime error", "partial success"})
_LINES_OF_A_MESSAGE = 4
# What PostgreSQL and its client say when nothing is wrong with the statement.
_INTERRUPTED = re.compile(
    r"deadlock detected|could not serialize access|terminating connection|connection to server|"
    r"server closed the connection|the database system is|connection already closed"
)
# PostgreSQL quotes a value after a colon, where its message ends, and in a few sentences more. The
# names of columns and relations stand without the colon. A value may hold quotes and line breaks.
_END = r"(?=\s*(?:\Z|\n\s*(?:[A-Z]+:|LINE[ ]\d|compiled[ ]code[ ]at)))"
_QUOTED_VALUES = re.compile(
    rf"""(?<=:[ ])".*?"{_END}
    | (?<=:[ ])"[^"\n]*"
    | (?<=value[ ])".*?"(?=[ ](?:is|for|does)[ ])
    | ".*?"(?=[ ](?:is[ ]out[ ]of[ ]range|not[ ]recogni[sz]ed))""",
    re.DOTALL | re.VERBOSE,
)
_DETAIL = re.compile(rf"^\s*(?:DETAIL|CONTEXT|QUERY):.*?{_END}", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class DbtNode:
    """What became of one model, seed, snapshot or test.

    Attributes:
        kind: `model`, `seed`, `snapshot`, `test` or `unit_test`.
        schema: where a model was built; empty for tests.
        status: dbt's word: `success`, `pass`, `warn`, `error`, `fail`, `skipped`.
        message: what dbt said, values of rows included: show `reason` instead.
        rows: rows that were written, or that broke a test; None where dbt does not tell.
    """

    unique_id: str
    name: str
    kind: str
    schema: str
    status: str
    seconds: float
    message: str
    rows: int | None

    @property
    def failed(self) -> bool:
        """Say whether this node is a reason for the call's failure."""
        return self.status in _FAILED

    @property
    def was_interrupted(self) -> bool:
        """Say whether it is the warehouse that ended the node, which may do better next time."""
        return bool(_INTERRUPTED.search(self.message))

    @property
    def reason(self) -> str:
        """Return the first lines of the message without the values that PostgreSQL quotes.

        A value may be personal: it stays in dbt's log, which stays on this machine.
        """
        said = _QUOTED_VALUES.sub('"***"', _DETAIL.sub("", self.message))
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        return "\n".join(lines[:_LINES_OF_A_MESSAGE])


@dataclass(frozen=True)
class DbtRun:
    """One call of dbt that succeeded.

    Attributes:
        nodes: every node that ran, in the order in which they ended.
        seconds: wall time of the call, dbt's start included.
    """

    nodes: tuple[DbtNode, ...]
    seconds: float


def read_results(target: Path) -> tuple[DbtNode, ...]:
    """Read what dbt says about each node; nothing when it did not come that far."""
    results, manifest = target / "run_results.json", target / "manifest.json"
    if not results.exists() or not manifest.exists():
        return ()
    described = json.loads(manifest.read_text(encoding="utf-8"))
    known = {**described["nodes"], **described["unit_tests"]}
    return tuple(
        _node(result, known.get(result["unique_id"], {}))
        for result in json.loads(results.read_text(encoding="utf-8"))["results"]
    )


def _node(result: dict[str, Any], described: dict[str, Any]) -> DbtNode:
    kind = str(described.get("resource_type") or result["unique_id"].split(".")[0])
    rows = (result.get("adapter_response") or {}).get("rows_affected")
    is_test = kind in {"test", "unit_test"}
    return DbtNode(
        unique_id=result["unique_id"],
        name=str(described.get("name") or result["unique_id"]),
        kind=kind,
        schema="" if is_test else str(described.get("schema") or ""),
        status=str(result["status"]),
        seconds=round(float(result["execution_time"]), 3),
        message=str(result.get("message") or ""),
        rows=result.get("failures") if is_test else rows if rows != -1 else None,
    )


def failure_text(failed: Sequence[DbtNode], nodes: Sequence[DbtNode], output: Path) -> str:
    """Say which nodes failed, why in a few lines each, and where the whole log is."""
    skipped = sum(node.status == "skipped" for node in nodes)
    lines = [
        f"dbt: {len(failed)} of {len(nodes)} nodes failed, {skipped} skipped. Marts are unchanged."
    ]
    for node in failed:
        lines.append(f"  {node.kind} {node.name}: {node.status}")
        lines.extend(f"    {line}" for line in node.reason.splitlines())
    return "\n".join([*lines, f"The whole log: {output}"])


def last_lines(output: Path) -> list[str]:
    """Return the end of a log: what dbt said when it could not even start."""
    lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if line.strip()][-10:]
