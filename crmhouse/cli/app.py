"""The root command: options of all commands, the log, and the one place that handles errors."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crmhouse.cli.output import say
from crmhouse.errors import ConfigurationError, CrmhouseError
from crmhouse.log import json_handler

if TYPE_CHECKING:
    from crmhouse.settings import Settings

DONE, FAILED, USAGE, PARTIAL, INTERRUPTED = 0, 1, 2, 3, 130

_OURS = ("crmhouse", "ingestion", "quality", "identity", "flows", "simulators")


@dataclass
class App:
    """What the commands share.

    Attributes:
        config: the configuration file that was asked for.
        verbose: whether the log shows everything.
    """

    config: Path | None
    verbose: bool = False

    @cached_property
    def settings(self) -> Settings:
        """Load the settings once, when a command needs them; the log follows them."""
        from crmhouse.settings import load_settings

        settings = load_settings(self.config)
        start_log("DEBUG" if self.verbose else settings.log_level, settings.log_format)
        return settings


class CommandLine(click.Group):
    """The root group: an error of ours becomes a message and an exit code, a bug a traceback."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  # click's signature
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            say(f"Error: {error}", logging.ERROR)
            ctx.exit(USAGE)
        except CrmhouseError as error:
            say(f"Error: {error}", logging.ERROR)
            ctx.exit(FAILED)
        except KeyboardInterrupt:
            say("Interrupted. What was finished is kept; run again to go on.", logging.WARNING)
            ctx.exit(INTERRUPTED)


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file; CRMHOUSE_CONFIG or ./crmhouse.yaml when left out.",
)
@click.option("--verbose", is_flag=True, help="Log everything, on standard error.")
@click.version_option(package_name="crmhouse")
@click.pass_context
def root(ctx: click.Context, config: Path | None, verbose: bool) -> None:
    """Pull customers and sales out of CRM, billing and shop systems into tested marts.

    Exit codes: 0 all done, 1 failed, 2 usage or configuration, 3 partial. Results go to standard
    output, everything else to standard error.
    """
    ctx.obj = App(config, verbose)


def start_log(level: str, form: str) -> None:
    """Send the log to standard error: ours at `level`, that of libraries from WARNING on."""
    handler: logging.Handler
    if form == "json":
        handler = json_handler()
    elif sys.stderr.isatty():
        from rich.logging import RichHandler

        from crmhouse.cli.output import talk

        handler = RichHandler(console=talk(), show_path=False, log_time_format="%H:%M:%S")
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")
        )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
