"""`crmhouse simulate`: local stand-ins of the APIs, over a folder of batches."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crmhouse.errors import ConfigurationError

if TYPE_CHECKING:
    from simulators.server import Simulator


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8765, show_default=True, help="Port; 0 takes a free one.")
@click.option("--as-of", metavar="BATCH", help="Last batch that is loaded at first: batch_1.")
def simulate(folder: Path, host: str, port: int, as_of: str | None) -> None:
    """Serve FOLDER as the APIs of Salesforce, HubSpot, Stripe and Shopify, until it is ended.

    FOLDER is laid out like the demo's: batch_1/salesforce/Account.csv, batch_1/hubspot/
    contacts.jsonl, … `POST /_simulator/advance` loads the next batch, `POST /_simulator/faults`
    makes answers fail.
    """
    from simulators.server import Server, simulator
    from simulators.systems import SYSTEMS

    with tempfile.TemporaryDirectory(prefix="crmhouse_simulator_") as home:
        made = simulator(folder, Path(home, "records.db"), SYSTEMS, _number(as_of))
        Server(made, host, port, partial(_announce, made)).run()


def _announce(made: Simulator, url: str) -> None:
    for name in made.systems:
        click.echo(f"{url}/{name}")
    click.echo(
        f"as of batch_{made.store.batch}; POST {url}/_simulator/advance for the next. Ctrl+C ends.",
        err=True,
    )


def _number(batch: str | None) -> int | None:
    if batch is None:
        return None
    number = batch.removeprefix("batch_")
    if not number.isdigit():
        raise ConfigurationError(f"--as-of is the name of a batch, as batch_1; not {batch}.")
    return int(number)
