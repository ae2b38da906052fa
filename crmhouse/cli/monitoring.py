"""`crmhouse metrics`: the metrics of the platform over HTTP."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from crmhouse.cli.app import App


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=9464, show_default=True, help="Port; 0 takes a free one.")
@click.pass_obj
def metrics(app: App, host: str, port: int) -> None:
    """Serve metrics for Prometheus at /metrics, until it is ended.

    They are read from the warehouse, at most every five seconds: rows, lag and failures per stream,
    quarantine, refreshes, gates and marts. When the warehouse is away, crmhouse_up is 0. /healthz
    says that the process lives, /readyz that the warehouse answers.
    """
    from crmhouse.metrics.server import Server, collector_of

    for ending in (signal.SIGINT, signal.SIGTERM):
        # The server ends in order, then raises the signal again for whoever waits for that.
        signal.signal(ending, lambda *_: None)
    with collector_of(app.settings) as collector:
        Server(collector, host, port, lambda url: click.echo(f"{url}/metrics")).run()
