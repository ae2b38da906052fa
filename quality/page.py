"""The page of a run's gates: one HTML file that needs nothing else and asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from dataclasses import dataclass
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from crmhouse.errors import ConfigurationError
from quality import results
from quality.catalogue import TABLE_EXISTS, suites
from quality.report import finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from crmhouse.warehouse import Warehouse
    from quality.catalogue import Boundary
    from quality.results import StoredGate, StoredResult

RUNS_SHOWN = 30

_TITLES = {"raw": "Raw tables", "marts": "Marts"}


@dataclass(frozen=True)
class _Line:
    """One expectation as the page shows it.

    Attributes:
        verdict: passed, failed, warning or error.
    """

    suite: str
    expectation: str
    description: str
    verdict: str
    finding: str
    rows_query: str | None


@dataclass(frozen=True)
class _Table:
    name: str
    lines: Sequence[_Line]

    @property
    def verdict(self) -> str:
        """Return the worst verdict of the table."""
        found = {line.verdict for line in self.lines}
        return next(v for v in ("error", "failed", "warning", "passed") if v in found)


@dataclass(frozen=True)
class _Gate:
    title: str
    tables: Sequence[_Table]

    @property
    def lines(self) -> list[_Line]:
        """Return all expectations of the gate."""
        return [line for table in self.tables for line in table.lines]

    @property
    def failures(self) -> list[_Line]:
        """Return what makes the gate red."""
        return [line for line in self.lines if line.verdict in {"failed", "error"}]

    @property
    def warnings(self) -> list[_Line]:
        """Return what failed and stops nothing."""
        return [line for line in self.lines if line.verdict == "warning"]


def write_page(warehouse: Warehouse, path: Path, *, run_id: UUID) -> Path:
    """Write the page of a run's gates; the file appears complete or not at all.

    It shows rule texts, numbers of rows and queries, and no value of any row.

    Args:
        warehouse: the open warehouse.
        path: the file to write; its folder is created.
        run_id: the run to show, beside the latest other runs.

    Returns:
        The file's absolute path.

    Raises:
        ConfigurationError: no gate of that run was recorded.
    """
    with warehouse.connect() as connection:
        found = results.of_run(connection, run_id)
        history = results.history(connection, RUNS_SHOWN)
    if not found:
        raise ConfigurationError(f"No gate of run {run_id} was recorded in ops.gate_results.")
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_whole(path, _render(run_id, found, history))
    return path


def _render(run_id: UUID, found: Sequence[StoredResult], history: Sequence[StoredGate]) -> str:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415  # only a gate writes pages

    folder = resources.files("quality")
    style = (folder / "page.css").read_text(encoding="utf-8")
    template = (folder / "page.html.j2").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.from_string(template).render(
        run_id=run_id,
        checked_at=max(result.checked_at for result in found),
        gates=[
            _gate(boundary, list(of_gate))
            for boundary, of_gate in groupby(found, lambda result: result.boundary)
        ],
        runs=[
            (one_run, {gate.boundary: gate for gate in gates})
            for one_run, gates in groupby(history, lambda gate: gate.run_id)
        ],
        titles=_TITLES,
        style=style,
        style_digest=digest,
    )


def _gate(boundary: Boundary, found: Iterable[StoredResult]) -> _Gate:
    tables = []
    for suite, of_suite in groupby(found, lambda result: result.suite):
        listed = list(of_suite)
        descriptions = _descriptions(boundary, suite, {line.expectation for line in listed})
        tables.append(_Table(suite, [_line(line, descriptions) for line in listed]))
    return _Gate(_TITLES[boundary], tables)


def _line(result: StoredResult, descriptions: dict[str, str]) -> _Line:
    verdict = result.status
    return _Line(
        suite=result.suite,
        expectation=result.expectation,
        description=descriptions.get(result.expectation, ""),
        verdict="warning" if verdict == "failed" and not result.stops else verdict,
        finding=finding(result),
        rows_query=result.rows_query,
    )


def _descriptions(boundary: Boundary, name: str, expectations: set[str]) -> dict[str, str]:
    """Find a suite's descriptions by its table and rules: a result does not name the kind."""
    table = name.rpartition(".")[2]
    for suite in suites(boundary):
        described = {rule.id: rule.description for rule in suite.rules}
        described[TABLE_EXISTS] = "The table exists."
        if suite.table == table and expectations <= described.keys():
            return described
    return {}


def _write_whole(path: Path, text: str) -> None:
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(unfinished).chmod(0o644)
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
