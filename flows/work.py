"""What the steps of one run share."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from prefect.logging.handlers import PrefectConsoleHandler

from crmhouse.log import json_handler
from ingestion.runs import landed_in
from ingestion.sources import connector

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path
    from uuid import UUID

    from crmhouse.dbt_results import DbtNode
    from crmhouse.settings import Settings, SourceConfig
    from crmhouse.warehouse import Warehouse
    from flows.results import StreamFailure
    from ingestion.runs import SliceRun
    from ingestion.sources.connector import Connector
    from quality import Boundary, GateReport


class Work:
    """One run: where it works, and what its steps have found so far.

    Steps write down what they found as soon as they know it, so that a run that fails can still
    be told in full. Not a dataclass: Prefect looks for futures inside the fields of those.

    Attributes:
        streams: the streams to sync, by source.
        slices: what has landed; of all tries, when a stream was tried again.
        failures: the streams that failed for good.
        accept: results of the gates that a person lets pass in this run.
        dbt_nodes: results of the dbt calls, by phase.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        settings: Settings,
        run_id: UUID,
        streams: dict[str, tuple[str, ...]],
        accept: Collection[str] = (),
    ) -> None:
        self.warehouse = warehouse
        self.settings = settings
        self.run_id = run_id
        self.streams = streams
        self.accept = accept
        self.slices: list[SliceRun] = []
        self.failures: list[StreamFailure] = []
        self.dbt_nodes: dict[str, tuple[DbtNode, ...]] = {}
        self.gates: dict[Boundary, GateReport] = {}
        self.gate_page: Path | None = None
        self._readers: dict[str, Connector] = {}

    def reader(self, source: SourceConfig) -> Connector:
        """Return the connector of a source: its streams share it, and what it has learnt."""
        if source.name not in self._readers:
            self._readers[source.name] = connector(self.settings, source)
        return self._readers[source.name]

    def has_failed(self) -> bool:
        """Say whether no stream at all could be synced.

        Limits of sources that are used up for today are no such failure: what has landed is as good
        as it was.
        """
        count = sum(len(streams) or 1 for streams in self.streams.values())
        return len(self.failures) == count and not all(one.is_quota for one in self.failures)

    def add_slices_of_sub_runs(self, source: str) -> None:
        """Add what flow runs of this run's id have landed of a source, as `ops` tells it."""
        with self.warehouse.connect() as connection:
            known = {(one.stream, one.slice) for one in self.slices if one.source == source}
            self.slices += [
                run
                for run in landed_in(connection, self.run_id, source)
                if run.status == "succeeded" and (run.stream, run.slice) not in known
            ]


def let_our_loggers_speak(settings: Settings) -> None:
    """Set the configured level where nobody has: on a worker the root logger says warnings only.

    Where the log is to be JSON, what Prefect writes to the console is, too; what goes to its server
    stays text there.
    """
    if settings.log_format == "json":
        root = logging.getLogger()
        for handler in root.handlers[:]:
            if isinstance(handler, PrefectConsoleHandler):
                root.removeHandler(handler)
                root.addHandler(json_handler())
    for name in ("crmhouse", "ingestion", "identity", "quality", "flows"):
        ours = logging.getLogger(name)
        if ours.level == logging.NOTSET:
            ours.setLevel(settings.log_level)
