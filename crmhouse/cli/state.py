"""`crmhouse status`: how everything stands, with one look at `ops`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from crmhouse.cli.output import Table, emit_json, emit_tables, format_option, show

if TYPE_CHECKING:
    from crmhouse.cli.app import App
    from crmhouse.status import Status, StreamStatus

_SECONDS = {"d": 86_400, "h": 3_600, "min": 60}


@click.command()
@click.option("--runs", default=5, show_default=True, help="How many of the last runs to show.")
@format_option
@click.pass_obj
def status(app: App, runs: int, form: str) -> None:
    """Show how fresh each stream is, what fails, the last runs, marts and quarantine.

    The lag of a stream is the age of its newest source time: of a source in which nothing changes
    it grows, too. It was checked when a sync last read it to its end, with news or without. A
    stream is failing since the first failure after the last sync without one.
    """
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
            click.echo(f"{stream.source}.{stream.stream}: {_failing(stream)}", err=True)
    for name in found.never_synced:
        click.echo(f"{name}: never synced", err=True)


def _streams(found: Status) -> Table:
    columns = (
        "stream", "status", "last sync", "records", "changed", "landed", "checked", "data until",
        "lag", "quarantined", "failing for",
    )  # fmt: skip
    rows = [
        (
            f"{s.source}.{s.stream}", s.status, s.last_run_at, s.rows_extracted, s.rows_changed,
            _ago(s.landed_seconds), _ago(s.succeeded_seconds), s.data_until,
            _duration(s.lag_seconds), s.quarantined, _duration(s.failing_seconds),
        )
        for s in found.streams
    ]  # fmt: skip
    return Table("Streams (times in UTC; lag is the age of the newest source time)", columns, rows)


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


def _failing(stream: StreamStatus) -> str:
    """Say how long a stream has been failing, since when and why."""
    since = f"failing for {_duration(stream.failing_seconds)}, since {show(stream.failing_since)}"
    return f"{since} UTC: {stream.last_error}"


def _ago(seconds: float | None) -> str | None:
    return None if seconds is None else f"{_duration(seconds)} ago"


def _duration(seconds: float | None) -> str | None:
    """Give a time in the largest unit that fits; the future is no time ago."""
    if seconds is None:
        return None
    whole = max(0, int(seconds))
    for unit, size in _SECONDS.items():
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"
