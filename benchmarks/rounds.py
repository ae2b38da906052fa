"""One round: all sides read the same source, in turn."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data import COLUMNS, KEY, VERSION
from processes import require, run
from sources import Files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from processes import Server, Took
    from sources import Table

    from crmhouse.warehouse import Warehouse

OURS, LANDED, PLAIN = "raw_bench.opportunities", "landed.opportunities", "plain.opportunities"


@dataclass(frozen=True)
class Bench:
    """What every round needs.

    Attributes:
        server: all sides write to it.
        peers: the interpreter of the others; None leaves them out.
    """

    server: Server
    peers: Path | None

    def round(self, source: Files | Table) -> dict[str, Took]:
        """Measure every side once, each into an empty database.

        Returns:
            What each took, by the names of `report.SIDES`.
        """
        source.start()
        first, changed, *in_place = source.totals
        took: dict[str, Took] = {}
        with ExitStack() as stack:
            plain = stack.enter_context(self.server.database("plain"))
            took["plain_copy"] = self._plain(plain, source, "first")
            require(plain, PLAIN, first, by="plain COPY")
            ours = stack.enter_context(self.server.database("ours", migrated=True))
            took["first_load"] = self.sync(ours, source.config)
            require(ours, OURS, first, by="the first load")
            if self.peers:
                dlt = stack.enter_context(self._dlt(source, "parquet"))
                took["dlt"] = dlt.load("first")
                require(dlt.to, LANDED, first, by="dlt")
                took["dlt_csv"] = self._dlt_by_csv(source)
            if not isinstance(source, Files):
                sweeping = source.with_table(sweep_every_hours=0)
                took["keys_swept"] = self.sync(ours, sweeping)
            took["nothing_new"] = self.sync(ours, source.config)
            source.change()
            took["changed"] = self.sync(ours, source.config)
            require(ours, OURS, changed, by="the changes")
            took["plain_changed"] = self._plain(plain, source, "changes", changed=True)
            require(plain, PLAIN, changed, by="plain COPY and UPDATE")
            if self.peers:
                took["dlt_changed"] = dlt.load("changes")
                require(dlt.to, LANDED, changed, by="the changes of dlt")
            if isinstance(source, Files) and source.kind == "csv":
                source.change_in_place()
                took["changed_in_place"] = self.sync(ours, source.config)
                require(ours, OURS, in_place[0], by="the changes in place")
        return took | (self._small(source) if self.peers else {})

    def sync(self, warehouse: Warehouse, config: dict[str, Any], **more: Any) -> Took:  # noqa: ANN401  # of the job
        """Sync a source that is configured like that by crmhouse."""
        self.server.settle()
        job = {"parameters": warehouse.parameters, "source": config}
        return run("ours.py", {**job, **more})

    def _plain(self, to: Warehouse, source: Files | Table, part: str, **more: bool) -> Took:
        job = {"to": to.conninfo, **source.limit(part), **more}
        self.server.settle()
        return run("limit.py", job)

    def _dlt_by_csv(self, source: Files | Table) -> Took:
        with self._dlt(source, "csv") as dlt:
            took = dlt.load("first")
            require(dlt.to, LANDED, source.totals[0], by="dlt by CSV")
        return took

    def _small(self, source: Files | Table) -> dict[str, Took]:
        """Measure what is too slow for all rows."""
        took = {}
        with self._dlt(source, "default") as dlt:
            took["dlt_default"] = dlt.load("small")
            require(dlt.to, LANDED, source.small, by="dlt by default")
        with self.server.database("pandas") as warehouse:
            pandas = _Peer(self, source, warehouse, "peers/run_pandas.py", {})
            took["pandas"] = pandas.load("small")
            require(warehouse, LANDED, source.small, by="pandas")
        return took

    @contextmanager
    def _dlt(self, source: Files | Table, way: str) -> Iterator[_Peer]:
        with (
            self.server.database(f"dlt_{way}") as warehouse,
            tempfile.TemporaryDirectory() as folder,
        ):
            job = {"way": way, "folder": folder, "columns": COLUMNS, "version": VERSION}
            yield _Peer(self, source, warehouse, "peers/run_dlt.py", job)


@dataclass(frozen=True)
class _Peer:
    bench: Bench
    source: Files | Table
    to: Warehouse
    script: str
    job: dict[str, Any]

    def load(self, part: str) -> Took:
        self.bench.server.settle()
        job = {
            "kind": self.source.kind,
            "key": KEY,
            "to": self.to.parameters,
            **self.source.seen_by_peers(part),
            **self.job,
        }
        return run(self.script, job, self.bench.peers)
