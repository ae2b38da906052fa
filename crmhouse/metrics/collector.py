"""Reads the metrics over one connection, for whoever scrapes."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
from prometheus_client.registry import Collector

from crmhouse.errors import WarehouseError
from crmhouse.metrics.definitions import METRICS, UP, Samples
from crmhouse.metrics.queries import read_samples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric as Family
    from psycopg import Connection

    from crmhouse.settings import Settings
    from crmhouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

SECONDS_TO_KEEP = 5.0
_LIMITS = {"connect_timeout": "5", "tcp_user_timeout": "10000"}
_READ_ONLY = "-c statement_timeout=10s -c default_transaction_read_only=on"


class WarehouseCollector(Collector):
    """Reads the metrics over one connection, and keeps them for some seconds.

    Many scrapers cost the warehouse no more than one. Where it does not answer, `crmhouse_up` is 0
    and all other metrics are absent: old values would look like good ones.

    Args:
        warehouse: where `ops` is.
        settings: the project's settings.
        seconds_to_keep: how long values are given again without asking.
    """

    def __init__(
        self, warehouse: Warehouse, settings: Settings, seconds_to_keep: float = SECONDS_TO_KEEP
    ) -> None:
        options = f"{warehouse.parameters.get('options', '')} {_READ_ONLY}".strip()
        self._warehouse = replace(
            warehouse, parameters={**_LIMITS, **warehouse.parameters, "options": options}
        )
        self._settings = settings
        self._seconds_to_keep = seconds_to_keep
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._samples: Samples = {}
        self._read_at = float("-inf")
        self._problem = ""

    def collect(self) -> Iterator[Family]:
        """Yield all metrics that have a value."""
        samples = self._current()
        for metric in METRICS:
            if samples.get(metric.name):
                yield metric.family(samples[metric.name])

    @property
    def is_up(self) -> bool:
        """Say whether the warehouse answers."""
        return self._current()[UP] == [((), 1.0)]

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._drop_connection()

    def _current(self) -> Samples:
        with self._lock:
            if time.monotonic() - self._read_at > self._seconds_to_keep:
                self._samples = self._read()
                self._read_at = time.monotonic()
            return self._samples

    def _read(self) -> Samples:
        try:
            samples = self._ask()
        except WarehouseError as error:
            self._tell(str(error))
        except psycopg.Error as error:
            self._tell(f"{type(error).__name__}, SQLSTATE {error.sqlstate or 'unknown'}.")
        else:
            self._tell("")
            return samples
        self._drop_connection()
        return {UP: [((), 0.0)]}

    def _ask(self) -> Samples:
        """Read over the connection that is open; over a new one where that is lost meanwhile."""
        if self._connection is not None:
            try:
                return self._read_over(self._connection)
            except psycopg.OperationalError:
                if not self._connection.closed:  # the warehouse answered: that it takes too long
                    raise
                self._drop_connection()
        self._connection = self._warehouse.connect()
        self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return self._read_over(self._connection)

    def _read_over(self, connection: Connection) -> Samples:
        with connection.transaction():
            return read_samples(connection, self._settings)

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _tell(self, problem: str) -> None:
        """Log a problem when it begins or changes, and its end; not at each scrape."""
        if problem and problem != self._problem:
            logger.warning(
                "The metrics cannot be read: %s See that the warehouse runs and that a run or "
                "`crmhouse status` has prepared it.", problem,
            )  # fmt: skip
        elif self._problem and not problem:
            logger.info("the metrics can be read again")
        self._problem = problem
