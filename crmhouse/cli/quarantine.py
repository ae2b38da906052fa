"""`crmhouse quarantine`: look at the records that are held back, replay them, discard them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from crmhouse.cli.app import DONE, FAILED, PARTIAL
from crmhouse.cli.output import Table, emit_json, emit_tables, format_option, show
from crmhouse.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crmhouse.cli.app import App
    from ingestion.quarantine import HeldRecordInFull, Listing
    from ingestion.replay import Replayed, ReplayResult

_targets = click.argument("targets", metavar="[SOURCE[.STREAM]]...", nargs=-1)
_AN_ID = click.IntRange(1, 2**63 - 1)

_ids = click.option(
    "--id", "ids", type=_AN_ID, multiple=True, help="This record. May be given several times."
)
_reason = click.option("--reason", help="Only records that are held for this reason.")


@click.group()
def quarantine() -> None:
    """Look at the records that could not be landed; replay or discard them."""


@quarantine.command("list")
@_targets
@_reason
@click.option("--all", "resolved", is_flag=True, help="Those that are held no longer, too.")
@click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="How many to list."
)
@format_option
@click.pass_obj
def list_(
    app: App, *, targets: tuple[str, ...], reason: str | None, resolved: bool, limit: int, form: str
) -> None:
    """Count the held records by stream and reason, and list the newest.

    Shows neither their keys nor their values; `crmhouse quarantine show` does.
    """
    from crmhouse.warehouse import open_warehouse
    from ingestion.quarantine import Selection, list_records, require_targets

    with open_warehouse(app.settings) as warehouse:
        require_targets(warehouse, app.settings, targets)
        selection = Selection(targets, reason=reason, resolved=resolved)
        found = list_records(warehouse, selection, limit)
    if form == "json":
        emit_json({"counts": found.counts, "records": found.records, "total": found.total})
    elif found.counts:
        emit_tables(*_listing(found))
    else:
        click.echo("No record is held back.", err=True)
    if found.total > len(found.records):
        click.echo(
            f"{len(found.records):,} of {found.total:,} records are listed; --limit lists more.",
            err=True,
        )


def _listing(found: Listing) -> Iterator[Table]:
    counts = [(f"{c.source}.{c.stream}", c.reason, c.records) for c in found.counts]
    yield Table("Records by reason", ("stream", "reason", "records"), counts)
    rows = [
        (
            str(r.quarantine_id), f"{r.source}.{r.stream}", r.reason, r.detail, r.slice,
            r.first_seen_at, r.last_seen_at, r.times_seen, r.resolution,
        )
        for r in found.records
    ]  # fmt: skip
    columns = (
        "id", "stream", "reason", "detail", "slice", "first seen", "last seen", "times seen",
        "resolution",
    )  # fmt: skip
    yield Table("Records, newest first (times in UTC)", columns, rows)


@quarantine.command("show")
@click.argument("ids", metavar="ID...", type=_AN_ID, nargs=-1, required=True)
@format_option
@click.pass_obj
def show_(app: App, ids: tuple[int, ...], form: str) -> None:
    """Show everything that is kept of these records, their values too."""
    from crmhouse.warehouse import open_warehouse
    from ingestion.quarantine import show_records

    with open_warehouse(app.settings) as warehouse:
        found = show_records(warehouse, ids)
    if form == "json":
        emit_json(found)
        return
    for number, record in enumerate(found):
        click.echo(("\n" if number else "") + _in_full(record))


def _in_full(record: HeldRecordInFull) -> str:
    values = vars(record).copy()
    payload = _visible(_indented(values.pop("payload")))
    width = max(map(len, values))
    lines = [f"{name.ljust(width)}  {_visible(show(value))}" for name, value in values.items()]
    return "\n".join([*lines, "payload", payload])


def _indented(payload: str) -> str:
    """Break JSON into lines, its numbers as they are; leave anything else alone."""
    import msgspec

    try:
        return msgspec.json.format(payload, indent=2)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return payload


def _visible(text: str) -> str:
    """Write out what would steer the terminal: the text is somebody else's."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


@quarantine.command()
@_targets
@_ids
@_reason
@format_option
@click.pass_context
def replay(
    ctx: click.Context,
    *,
    targets: tuple[str, ...],
    ids: tuple[int, ...],
    reason: str | None,
    form: str,
) -> None:
    """Land the held records that fit now: after a rule was corrected, for instance.

    Takes them as they arrived, with the configuration and the rules of this moment. What is newer
    in the raw table stays. What still does not fit stays held. The marts stay as they are until
    the next run.

    Exit codes: 0 none of the records is held any longer, 3 some are, 1 failed, 2 usage.
    """
    from uuid import uuid4

    from crmhouse.warehouse import open_warehouse
    from ingestion.quarantine import Selection, require_targets
    from ingestion.replay import replay_records
    from quality import row_rules

    app: App = ctx.obj
    with open_warehouse(app.settings) as warehouse:
        require_targets(warehouse, app.settings, targets)
        result = replay_records(
            warehouse,
            app.settings,
            Selection(targets, ids, reason),
            run_id=uuid4(),
            rules=row_rules,
        )
    if form == "json":
        emit_json({"streams": result.streams, "errors": result.errors})
    elif result.streams:
        emit_tables(_replayed(result))
    else:
        click.echo("No record is held back.", err=True)
    for stream in result.streams:
        _explain(stream)
    for name, error in result.errors.items():
        click.echo(f"Error: {name}: {error}", err=True)
    ctx.exit(_exit_code(result))


def _exit_code(result: ReplayResult) -> int:
    if result.errors and len(result.errors) == len(result.streams):
        return FAILED
    is_complete = not result.errors and all(stream.is_complete for stream in result.streams)
    return DONE if is_complete else PARTIAL


def _replayed(result: ReplayResult) -> Table:
    columns = ("stream", "replayed", "superseded", "still held", "not replayable")
    rows = [
        (
            f"{s.source}.{s.stream}", s.replayed, s.superseded, s.still_held,
            sum(s.not_replayable.values()),
        )
        for s in result.streams
    ]  # fmt: skip
    return Table("Held records", columns, rows)


def _explain(stream: Replayed) -> None:
    """Say why records cannot be replayed, and what to do."""
    from ingestion.replay import NOT_KEPT, NOT_REPLAYABLE

    for reason, records in sorted(stream.not_replayable.items()):
        why = NOT_REPLAYABLE.get(reason, NOT_KEPT)
        click.echo(
            f"{stream.source}.{stream.stream}: {records:,} x {reason} cannot be replayed: {why}. "
            "Correct it in the source and sync, or discard it.",
            err=True,
        )


@quarantine.command()
@_targets
@_ids
@_reason
@click.option("--yes", is_flag=True, help="Do not ask.")
@format_option
@click.pass_obj
def discard(
    app: App,
    *,
    targets: tuple[str, ...],
    ids: tuple[int, ...],
    reason: str | None,
    yes: bool,
    form: str,
) -> None:
    """Give held records up: of the streams or the records that are named.

    They are kept, as discarded. One that arrives again is held again.
    """
    from crmhouse.warehouse import open_warehouse
    from ingestion.quarantine import Selection, count_records, discard_records, require_targets

    if not (targets or ids):
        raise click.UsageError("Name a source, a stream or, with --id, a record.")
    selection = Selection(targets, ids, reason)
    with open_warehouse(app.settings) as warehouse:
        require_targets(warehouse, app.settings, targets)
        held = count_records(warehouse, selection)
        if held and not yes:
            _ask(held)
        discarded = discard_records(warehouse, selection) if held else 0
    if form == "json":
        emit_json({"discarded": discarded})
    else:
        click.echo(f"{discarded:,} discarded", err=True)


def _ask(held: int) -> None:
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"{held:,} records would be discarded, and nobody is there to be asked. Nothing was "
            "done: say --yes if that is meant."
        )
    click.confirm(f"Discard {held:,} records?", abort=True, err=True)
