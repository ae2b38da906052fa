"""`crmhouse deploy`: a Prefect server that holds what the project declares."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from crmhouse.cli.output import Table, emit_json, emit_tables, format_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crmhouse.cli.app import App
    from flows.deployment import Change, Plan

_WIDEST = 60
_ACTIONS = {"create": "created", "change": "changed", "remove": "removed"}


@click.command()
@click.option("--plan/--apply", "only_plan", default=True, help="Show what would change, or do it.")
@click.option("--prune", is_flag=True, help="Remove what is ours and no longer declared.")
@format_option
@click.pass_obj
def deploy(app: App, only_plan: bool, prune: bool, form: str) -> None:
    """Make a Prefect server hold what prefect.yaml, automations and settings declare.

    The server is the one that PREFECT_API_URL names. Everything is checked before anything is
    changed, and a change that fails undoes those before it. What somebody has paused stays paused.
    """
    from flows import deployment

    settings = app.settings
    with deployment.connect() as server:
        work = deployment.plan if only_plan else deployment.apply
        found = work(settings, server, prune=prune)
    if form == "json":
        emit_json({**_content(found), "applied": not only_plan})
        return
    if found.changes:
        rows = [row for change in found.changes for row in _rows(change)]
        title = "What would change" if only_plan else "What was changed"
        emit_tables(Table(title, ("action", "what", "name", "field", "old", "new"), rows))
    click.echo(_summary(found, only_plan=only_plan), err=True)


def _content(found: Plan) -> dict[str, Any]:
    return {
        "changes": [
            {
                "action": change.action,
                "kind": change.kind,
                "name": change.name,
                "fields": change.fields,
            }
            for change in found.changes
        ],
        "unchanged": found.unchanged,
        "paused": found.paused,
        "left": found.left,
    }


def _rows(change: Change) -> Iterator[tuple[object, ...]]:
    if not change.fields:
        yield change.action, change.kind, change.name, None, None, None
    for field in change.fields:
        yield (
            change.action, change.kind, change.name,
            field.field, _short(field.old), _short(field.new),
        )  # fmt: skip


def _short(value: object) -> str:
    """Show a value in one line; `--format json` has the whole."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = " ".join(text.split())
    return line if len(line) <= _WIDEST else f"{line[:_WIDEST]}…"


def _summary(found: Plan, *, only_plan: bool) -> str:
    actions: list[str] = [change.action for change in found.changes]
    words = [f"to {action}" if only_plan else done for action, done in _ACTIONS.items()]
    counts = ", ".join(
        f"{actions.count(action)} {word}" for action, word in zip(_ACTIONS, words, strict=True)
    )
    said = f"{'Plan' if only_plan else 'Done'}: {counts}, {found.unchanged} unchanged."
    lines = [said]
    lines += [f"Paused, and stays so: {name}" for name in found.paused]
    lines += [f"No longer declared, --prune removes it: {name}" for name in found.left]
    return "\n".join(lines)
