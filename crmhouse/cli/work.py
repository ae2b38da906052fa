"""`crmhouse sync`, `run` and `demo`: what moves data."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crmhouse.cli.app import DONE, FAILED, PARTIAL, App
from crmhouse.cli.output import Table, emit_json, emit_tables, format_option, say
from crmhouse.errors import (
    ConfigurationError,
    CrmhouseError,
    QuotaExhaustedError,
    SourceError,
    SyncFailedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crmhouse.cli.progress import Progress
    from crmhouse.demo_truth import Comparison, Recognition
    from crmhouse.settings import Settings
    from crmhouse.summary import Summary
    from crmhouse.warehouse import Warehouse
    from flows.results import RefreshResult
    from ingestion.runs import SliceRun
    from ingestion.stream_sync import Asked

_MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]
WAREHOUSE_VARIABLE = "CRMHOUSE_WAREHOUSE_URL"

_COUNTS = ("extracted", "inserted", "updated", "unchanged", "deleted", "quarantined")
_EXIT_CODES = {"succeeded": DONE, "partial": PARTIAL}


@click.command()
@click.argument("targets", metavar="[SOURCE[.STREAM]]...", nargs=-1)
@click.option(
    "--full-refresh",
    is_flag=True,
    help="Read all records again: what differs is replaced, what is gone is marked as deleted.",
)
@click.option(
    "--from",
    "start",
    type=click.DateTime(_MOMENTS),
    help="Backfill: read again what changed from this moment on, in UTC.",
)
@click.option(
    "--to", "end", type=click.DateTime(_MOMENTS), help="The end of the backfill, exclusive, in UTC."
)
@format_option
@click.pass_context
def sync(
    ctx: click.Context,
    targets: tuple[str, ...],
    *,
    full_refresh: bool,
    start: datetime | None,
    end: datetime | None,
    form: str,
) -> None:
    """Bring raw tables up to date: all sources, or the named sources and streams.

    Lands directly, without the orchestrator; the marts stay as they are until the next run.

    The slices of a first load of a database's table are shared out among all processes that sync
    it at that time. Backfills of different windows may run side by side, and beside a sync.
    """
    from crmhouse.cli.progress import Progress
    from crmhouse.warehouse import open_warehouse

    app: App = ctx.obj
    asked = _asked(targets, start, end, full_refresh=full_refresh)
    chosen = choose(app.settings, targets)
    with open_warehouse(app.settings) as warehouse, Progress() as progress:
        runs, errors, failed = _sync(warehouse, app.settings, chosen, asked, progress)
    if form == "json":
        emit_json({"streams": _by_stream(runs), "errors": errors})
    else:
        rows = [tuple(stream.values()) for stream in _by_stream(runs)]
        emit_tables(Table("Rows per stream", ("stream", "records", *_COUNTS[1:]), rows))
        if not rows and not errors:
            say("Nothing new: raw tables unchanged.")
    for error in errors.values():
        say(f"Error: {error}", logging.ERROR)
    ctx.exit(DONE if not errors else PARTIAL if failed < sum(_sizes(chosen)) else FAILED)


def _asked(
    targets: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    *,
    full_refresh: bool,
) -> Asked:
    """Check what is asked for besides the targets."""
    from ingestion.stream_sync import Asked

    if full_refresh and (start or end):
        raise click.UsageError("--full-refresh reads everything: leave out --from and --to.")
    if (start is None) is not (end is None):
        raise click.UsageError("A backfill needs both --from and --to.")
    if (full_refresh or start) and not targets:
        raise click.UsageError("Name the sources or streams that are to be read again.")
    if start is None or end is None:
        return Asked(everything=full_refresh)
    if start >= end:
        raise click.UsageError("--from must lie before --to.")
    return Asked(window=(start.replace(tzinfo=UTC), end.replace(tzinfo=UTC)))


def choose(settings: Settings, targets: tuple[str, ...]) -> dict[str, list[str]]:
    """Turn targets into the streams to sync, by source.

    Raises:
        ConfigurationError: a source or a stream that is not configured, or no source at all is.
    """
    if not settings.sources:
        raise ConfigurationError(
            "No source is configured. Add one under `sources` in crmhouse.yaml; "
            "`crmhouse init` writes one with examples."
        )
    asked: dict[str, set[str]] = {}
    for target in targets or [source.name for source in settings.sources]:
        name, _, stream = target.partition(".")
        asked.setdefault(name, set()).add(stream)
    return {name: _streams(settings, name, streams) for name, streams in asked.items()}


def _sizes(chosen: dict[str, list[str]]) -> Iterator[int]:
    """Count the streams of each source; one that does not answer counts as one."""
    return (max(1, len(streams)) for streams in chosen.values())


def _streams(settings: Settings, name: str, asked: set[str]) -> list[str]:
    """Return the streams of a source that were asked for; an empty name asks for all.

    Where the source does not answer, those that were named, or none where all are asked for: the
    sync will tell, and record it.
    """
    from ingestion.sources import connector
    from ingestion.sources.connector import choose

    reader = connector(settings, settings.source(name))
    named = asked - {""}
    try:
        chosen = choose(reader, name, named)
        return [stream.name for stream in (chosen if named == asked else reader.streams())]
    except SourceError:
        return sorted(named) if named == asked else []


def _sync(
    warehouse: Warehouse,
    settings: Settings,
    chosen: dict[str, list[str]],
    asked: Asked,
    progress: Progress,
) -> tuple[list[SliceRun], dict[str, str], int]:
    """Sync one source after the other; a source that fails does not stop the others.

    Returns:
        What each slice did, the error by source, and the number of streams that failed.
    """
    from uuid import uuid4

    from ingestion.runs import SliceRun
    from ingestion.sync import sync_source
    from quality import row_rules

    run_id = uuid4()
    runs: list[SliceRun] = []
    errors: dict[str, str] = {}
    failed = 0
    for number, (name, streams) in enumerate(chosen.items()):
        progress.tell(f"syncing {name}", number / len(chosen))
        try:
            runs += sync_source(
                warehouse,
                settings,
                settings.source(name),
                run_id=run_id,
                streams=streams or None,
                asked=asked,
                rules=row_rules,
                listener=progress,
            )
        except ConfigurationError:
            raise
        except SyncFailedError as error:
            runs += [run for run in error.runs if isinstance(run, SliceRun)]
            errors[name] = str(error)
            failed += sum(not isinstance(cause, QuotaExhaustedError) for cause in error.causes)
        except QuotaExhaustedError as error:
            errors[name] = str(error)
        except CrmhouseError as error:
            errors[name] = str(error)
            failed += max(1, len(streams))
    return runs, errors, failed


def _by_stream(runs: list[SliceRun]) -> list[dict[str, Any]]:
    """Add up the slices of each stream."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        name = f"{run.source}.{run.stream}"
        stream = found.setdefault(name, {"stream": name, **dict.fromkeys(_COUNTS, 0)})
        for count in _COUNTS:
            stream[count] += getattr(run, count)
    return list(found.values())


@click.command()
@click.option("--force", is_flag=True, help="Build the marts again even when nothing is new.")
@click.option(
    "--accept",
    multiple=True,
    metavar="SUITE/EXPECTATION",
    help="Let this result of a gate pass as a warning, this once. May be given several times.",
)
@format_option
@click.pass_context
def run(ctx: click.Context, force: bool, accept: tuple[str, ...], form: str) -> None:
    """Do everything in order: sync, check, resolve identities, build, check, publish.

    Runs the Prefect flow in this process; PREFECT_API_URL lets a server watch it.
    """
    from crmhouse.summary import read_summary
    from crmhouse.warehouse import open_warehouse

    app: App = ctx.obj
    with open_warehouse(app.settings) as warehouse:
        try:
            result = _refresh(app.settings, force=force, accept=accept)
        except CrmhouseError as error:
            if form == "json":
                emit_json({"status": "failed", "error": str(error)})
            raise
        summary = read_summary(warehouse, result.run_id)
    if form == "json":
        emit_json(summary)
    else:
        _close(summary, result)
    ctx.exit(_EXIT_CODES.get(summary.status, FAILED))


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Where data, configuration and warehouse of the demo go.",
)
@click.option("--persons", default=1000, show_default=True, help="How many people to invent.")
@click.option("--seed", default=7, show_default=True, help="Another seed, another company.")
@click.pass_context
def demo(ctx: click.Context, folder: Path, persons: int, seed: int) -> None:
    """Show everything at work, on an invented company's four systems, compared with the truth.

    Writes the data, serves it by stand-ins of the four APIs, runs the first delivery, then the
    second as an incremental sync. The folder can be used like any project afterwards.
    """
    from crmhouse import demo as show
    from crmhouse.cli.closing import tables_of_truth, where_to_look
    from crmhouse.warehouse import warehouse_of
    from simulators.demo_data import generate
    from simulators.systems import SYSTEMS

    if WAREHOUSE_VARIABLE in os.environ:
        raise ConfigurationError(
            f"{WAREHOUSE_VARIABLE} is set, and the demo must not write there: it brings its own "
            "embedded PostgreSQL. Unset the variable for this command."
        )
    config = show.prepare_folder(folder)
    data = generate(folder, persons=persons, seed=seed)
    say(f"Invented {persons:,} persons in four systems: {folder}")
    credentials = {name: system.credentials for name, system in SYSTEMS.items()}
    with show.stand_ins(folder) as url:
        say(f"Salesforce, HubSpot, Stripe and Shopify stand in at {url}")
        for batch in show.BATCHES:
            if batch != show.BATCHES[0]:
                show.advance(url)
            expected: Any = data.expected[batch]
            show.write_configuration(config, expected["as_of"], url, credentials)
            settings, summary, result, comparisons, found = _run_batch(config, folder, batch)
            wrong = [c.figure for c in comparisons if not c.is_equal]
            if wrong:
                break
    truth = tables_of_truth(comparisons, found)
    warehouse = warehouse_of(settings).url()
    look = where_to_look(config, warehouse, url.rpartition(":")[2], result.gate_page)
    _close(summary, result, *truth, look)
    ctx.exit(FAILED if wrong else _EXIT_CODES.get(summary.status, FAILED))


def _run_batch(
    config: Path, folder: Path, batch: str
) -> tuple[Settings, Summary, RefreshResult, list[Comparison], Recognition]:
    """Run the demo's project as it is configured now, and compare the marts with the truth."""
    from crmhouse.demo_truth import compare, recognition
    from crmhouse.summary import read_summary
    from crmhouse.warehouse import open_warehouse

    settings = App(config).settings
    with open_warehouse(settings) as warehouse:
        result = _refresh(settings)
        summary = read_summary(warehouse, result.run_id)
        comparisons = compare(warehouse, folder / "truth", batch)
        found = recognition(warehouse, folder / "truth")
    equal = sum(comparison.is_equal for comparison in comparisons)
    rows = sum(stream.extracted for stream in summary.streams)
    say(
        f"{batch}: {rows:,} records in {result.seconds:.0f} s, "
        f"{equal} of {len(comparisons)} figures as in truth"
    )
    return settings, summary, result, comparisons, found


def _refresh(
    settings: Settings, *, force: bool = False, accept: tuple[str, ...] = ()
) -> RefreshResult:
    from crmhouse.cli.progress import Progress
    from flows.local import run_refresh

    with Progress() as progress:
        return run_refresh(settings, force=force, accept=accept, tell=progress.tell)


def _close(summary: Summary, result: RefreshResult, *more: Table) -> None:
    from crmhouse.cli.closing import tables_of

    emit_tables(*tables_of(summary), *more)
    for failure in result.failures:
        say(f"{failure.source}.{failure.stream} failed: {failure.message}")
    if result.gate_page:
        say(f"Quality gates, in full: {result.gate_page}")
