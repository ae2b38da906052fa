"""`crmhouse init`, `check` and `sources`: the configuration of a project."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crmhouse.cli.output import Table, emit_json, emit_tables, format_option
from crmhouse.errors import ConfigurationError, SourceError

if TYPE_CHECKING:
    from crmhouse.cli.app import App
    from crmhouse.settings import SourceConfig


@click.command()
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.pass_obj
def init(app: App, force: bool) -> None:
    """Write a commented crmhouse.yaml to start from."""
    from crmhouse.settings import DEFAULT_CONFIG_FILE

    path = app.config or Path(DEFAULT_CONFIG_FILE)
    if path.exists() and not force:
        raise ConfigurationError(f"{path} exists already; --force replaces it.")
    template = resources.files("crmhouse") / "templates" / "crmhouse.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
    click.echo(f"Wrote {path}. Next: name your sources in it, then `crmhouse check`.", err=True)


@click.command()
@format_option
@click.pass_context
def check(ctx: click.Context, form: str) -> None:
    """Look at configuration, warehouse and sources: what is wrong, and what to do."""
    from crmhouse.checks import Finding, check_project
    from crmhouse.cli.app import DONE, FAILED, USAGE

    app: App = ctx.obj
    try:
        findings = check_project(app.settings)
    except ConfigurationError as error:
        findings = [Finding("settings", "file", "problem", str(error))]
    problems = [finding for finding in findings if finding.outcome == "problem"]
    if form == "json":
        emit_json(findings)
    else:
        rows = [(f.outcome, f.area, f.about, f.detail) for f in findings]
        emit_tables(Table("Checks", ("outcome", "area", "about", "detail"), rows))
        click.echo(f"{len(problems)} problem{'' if len(problems) == 1 else 's'}", err=True)
    unreachable = any(finding.area == "warehouse" for finding in problems)
    ctx.exit(DONE if not problems else FAILED if unreachable else USAGE)


@click.command()
@click.option("--kinds", is_flag=True, help="List the kinds of source there are instead.")
@format_option
@click.pass_obj
def sources(app: App, kinds: bool, form: str) -> None:
    """List the configured sources and their streams, or the kinds that can be configured."""
    if kinds:
        _show_kinds(form)
        return
    found = [
        {
            "source": source.name,
            "kind": source.kind,
            "streams": _streams(app, source),
            "raw_schema": f"raw_{source.name}",
            "schedule": source.schedule,
        }
        for source in app.settings.sources
    ]
    if form == "json":
        emit_json(found)
        return
    rows = [
        (s["source"], s["kind"], ", ".join(s["streams"] or ()), s["raw_schema"], s["schedule"])
        for s in found
    ]
    columns = ("source", "kind", "streams", "raw schema", "schedule")
    emit_tables(Table("Sources", columns, rows))


def _streams(app: App, source: SourceConfig) -> list[str] | None:
    """Return the streams of a source; say why, where it has to be asked and does not answer."""
    from ingestion.sources import connector

    reader = connector(app.settings, source)
    try:
        return [stream.name for stream in reader.streams()]
    except SourceError as error:
        click.echo(f"{source.name}: {error}", err=True)
        return None


def _show_kinds(form: str) -> None:
    from ingestion.sources import KINDS

    found = [
        {
            "kind": name,
            "system": kind.system,
            "description": kind.description,
            "options": {
                option: field.description for option, field in kind.options.model_fields.items()
            },
        }
        for name, kind in sorted(KINDS.items())
    ]
    if form == "json":
        emit_json(found)
        return
    rows = [
        (name, kind.system, kind.description, option, field.description)
        for name, kind in sorted(KINDS.items())
        for option, field in kind.options.model_fields.items()
    ]
    columns = ("kind", "system", "description", "option", "meaning")
    emit_tables(Table("Kinds of source", columns, rows))
