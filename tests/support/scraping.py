"""The metrics service on a port of this machine, and what a scrape of it says."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from queue import Queue
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from crmhouse.metrics.collector import WarehouseCollector
from crmhouse.metrics.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crmhouse.settings import Settings
    from crmhouse.warehouse import Warehouse

Scrape = dict[str, dict[tuple[tuple[str, str], ...], float]]
"""The value of each series: by its name, and by its labels, sorted."""


@contextmanager
def exporting(
    warehouse: Warehouse, settings: Settings, seconds_to_keep: float = 0
) -> Iterator[str]:
    """Serve the metrics of a warehouse; the URL of the service."""
    collector = WarehouseCollector(warehouse, settings, seconds_to_keep)
    urls: Queue[str] = Queue()
    server = Server(collector, "127.0.0.1", 0, urls.put)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield urls.get(timeout=30)
    finally:
        server.should_exit = True
        thread.join()
        collector.close()


def answer(url: str) -> tuple[int, str]:
    """Status and text of an answer."""
    try:
        with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310  # our own loopback
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def scrape(url: str) -> Scrape:
    """What Prometheus would read."""
    status, text = answer(f"{url}/metrics")
    assert status == 200, text
    return parsed(text)


def parsed(text: str) -> Scrape:
    """The series of an answer, read by Prometheus' own parser."""
    found: Scrape = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in found.setdefault(sample.name, {}), f"{sample.name}{labels} twice"
            found[sample.name][labels] = sample.value
    return found
