"""`crmhouse warehouse`: the address, the embedded server, and a shell on it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import click

from crmhouse.cli.output import emit_json, format_option
from crmhouse.errors import ConfigurationError

if TYPE_CHECKING:
    from crmhouse.cli.app import App
    from crmhouse.embedded import EmbeddedServer
    from crmhouse.settings import Settings


@click.group()
def warehouse() -> None:
    """Look at the warehouse and, where it is the embedded one, start and stop it."""


@warehouse.command()
@click.option("--with-password", is_flag=True, help="Show the password, too.")
@format_option
@click.pass_obj
def url(app: App, with_password: bool, form: str) -> None:
    """Print the URL of the warehouse, for other programs.

    The embedded server answers at it while a command runs, or after `crmhouse warehouse start`.
    """
    from crmhouse.warehouse import warehouse_of

    found = warehouse_of(app.settings)
    url = found.sqlalchemy_url().set(drivername="postgresql")
    shown = url.render_as_string(hide_password=not with_password)
    if form == "json":
        emit_json({"url": shown, "embedded": found.embedded})
    else:
        click.echo(shown)


@warehouse.command()
@click.pass_obj
def start(app: App) -> None:
    """Start the embedded PostgreSQL and let it run until `crmhouse warehouse stop`."""
    from crmhouse.warehouse import Warehouse, migrate

    server = _embedded(app.settings)
    server.keep_running()
    found = Warehouse(server.parameters, embedded=True)
    migrate(found)
    click.echo(found.url())


@warehouse.command()
@click.pass_obj
def stop(app: App) -> None:
    """Stop the embedded PostgreSQL; while others use it, it stops when the last one leaves."""
    stopped = _embedded(app.settings).stop()
    click.echo("stopped" if stopped else "in use: it stops when the last command ends", err=True)


@warehouse.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def psql(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Open psql on the warehouse; ARGUMENTS go to psql, as in `-c 'select 1'`."""
    from psycopg.conninfo import make_conninfo

    from crmhouse.warehouse import open_warehouse

    app: App = ctx.obj
    with open_warehouse(app.settings) as found:
        program = _psql_program(app.settings)
        environment = {**os.environ, "PGTZ": "UTC"}
        if password := found.parameters.get("password"):
            environment["PGPASSWORD"] = password
        rest = {name: value for name, value in found.parameters.items() if name != "password"}
        # Not exec: this process holds the embedded server while psql runs. A Ctrl-C is psql's.
        before = signal.signal(signal.SIGINT, lambda *_: None)
        code = subprocess.call(  # noqa: S603  # psql with the user's own arguments
            [program, make_conninfo("", **rest), *arguments], env=environment
        )
        signal.signal(signal.SIGINT, before)
    ctx.exit(code)


def _embedded(settings: Settings) -> EmbeddedServer:
    from crmhouse.embedded import EmbeddedServer

    if settings.warehouse_url is not None:
        raise ConfigurationError(
            "CRMHOUSE_WAREHOUSE_URL names a server that is not ours to start or stop."
        )
    return EmbeddedServer.of(settings.home)


def _psql_program(settings: Settings) -> str:
    from crmhouse.embedded import EmbeddedServer

    ours = EmbeddedServer.of(settings.home).programs / "bin" / "psql"
    if settings.warehouse_url is None and ours.exists():
        return str(ours)
    if found := shutil.which("psql"):
        return found
    if ours.exists():
        return str(ours)
    raise ConfigurationError("There is no psql: install the PostgreSQL client programs.")
