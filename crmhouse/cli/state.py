"""`crmhouse status`: how everything stands, with one look at `ops`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from crmhouse.cli.output import Table, emit_json, emit_tables, format_option

if TYPE_CHECKING:
    from crmhouse.cli.app import App
    from crmhouse.status import Status

_SECONDS = {"d": 86_400, "h": 3_600, "min": 60}


@click.command()
@click.option("--runs", default=5, show_default=True, help="How many of the last runs to show.")
@format_option
@click.pass_obj
def status(app: App, runs: int, form: str) -> None:
    """Show how fresh each stream is, what fails, the last runs, marts and quarantine."""
    from crmhouse.status import read_status
    from crmhouse.warehouse import open_warehouse

    with open_warehouse(app.settings) as warehouse:
        found = read_status(warehouse, app.settings, last_runs=runs)
    if form == "json":
        emit_json(found)
        return
    emit_tables(_streams(found), _runs(found), _marts(found))
    for stream in found.streams:
        if stream.last_error:
            click.echo(f"{stream.source}.{stream.stream}: {stream.last_error}", err=True)
    for name in found.never_synced:
        click.echo(f"{name}: never synced", err=True)


def _streams(found: Status) -> Table:
    columns = (
        "stream", "status", "last run", "records", "changed", "data until", "landed",
        "quarantined", "failing since",
    )  # fmt: skip
    rows = [
        (
            f"{s.source}.{s.stream}", s.status, s.last_run_at, s.rows_extracted, s.rows_changed,
            s.data_until, _ago(s.landed_at), s.quarantined, s.failing_since,
        )
        for s in found.streams
    ]  # fmt: skip
    return Table("Streams (times in UTC)", columns, rows)


def _runs(found: Status) -> Table:
    rows = [
        (r.started_at, r.finished_at, r.status, r.outcome, r.as_of, _first_line(r.error))
        for r in found.runs
    ]
    columns = ("started", "finished", "status", "outcome", "figures as of", "error")
    return Table("Runs", columns, rows)


def _marts(found: Status) -> Table:
    rows = [(mart.mart, mart.row_count, mart.last_changed_at) for mart in found.marts]
    return Table("Marts", ("mart", "rows", "last changed"), rows)


def _first_line(text: str | None) -> str | None:
    return text.splitlines()[0] if text else None


def _ago(moment: datetime | None) -> str | None:
    """Say how long ago that was, in the largest unit that fits."""
    if moment is None:
        return None
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    for unit, size in _SECONDS.items():
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
