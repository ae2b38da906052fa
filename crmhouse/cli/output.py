"""What commands print: tables for people, lines for pipes, JSON for programs."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict, dataclass, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import click

from crmhouse.log import is_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

logger = logging.getLogger(__name__)

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="What to print on standard output.",
)


@dataclass(frozen=True)
class Table:
    """Rows to show under a title. Numbers are aligned to the right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


def say(text: str, level: int = logging.INFO) -> None:
    """Say something to a person, on standard error; where the log is JSON it is a line of it."""
    if is_json():
        logger.log(level, "%s", text)
    else:
        click.echo(text, err=True)


def emit_json(value: object) -> None:
    """Print a value as JSON: times in ISO 8601, money as text with all its digits."""
    click.echo(json.dumps(value, default=_plain, indent=2, ensure_ascii=False))


def emit_tables(*tables: Table) -> None:
    """Print tables: drawn on a terminal, aligned plain text elsewhere, never cut."""
    for number, table in enumerate(tables):
        if sys.stdout.isatty():
            _draw(table)
        else:
            click.echo(("\n" if number else "") + _lines(table))


@cache
def talk() -> Console:
    """Return the console on standard error."""
    from rich.console import Console

    return Console(stderr=True)


def show(value: object) -> str:
    """Format one value for people."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, int | Decimal):
        return f"{value:,}"
    return str(value)


def _plain(value: object) -> Any:  # noqa: ANN401  # json's default hook
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _right(table: Table, position: int) -> bool:
    return any(_is_number(row[position]) for row in table.rows)


def _draw(table: Table) -> None:
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    drawn = Drawn(title=table.title, title_justify="left", title_style="bold")
    for position, column in enumerate(table.columns):
        drawn.add_column(column, justify="right" if _right(table, position) else "left")
    for row in table.rows:
        drawn.add_row(*(Text(show(value)) for value in row))
    Console().print(drawn)


def _lines(table: Table) -> str:
    cells = [list(table.columns), *([show(value) for value in row] for row in table.rows)]
    widths = [max(len(row[position]) for row in cells) for position in range(len(table.columns))]
    right = [_right(table, position) for position in range(len(table.columns))]
    lines = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "\n".join([table.title, *lines])
