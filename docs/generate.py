"""Write the reference pages from the code: `python docs/generate.py`. A test keeps them equal.

Everything that exists is documented and nothing else is: the pages are made of the commands' help,
the settings' and options' descriptions, and the marts' yaml.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
import yaml
from pydantic import BaseModel, SecretStr

from crmhouse.cli import main as command_line
from crmhouse.orchestration import MailTarget, Notifications, OrchestrationSettings, WorkQueue
from crmhouse.settings import DbtSettings, RetentionSettings, Settings, SourceConfig
from ingestion.sources import KINDS
from ingestion.sources.databases.options import TableOptions
from ingestion.sources.files import FileStreamOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

ROOT = Path(__file__).parents[1]
NOTICE = "<!-- Made by docs/generate.py: edit the code, not this page. -->\n"
NOT_SETTINGS = {"config_file"}
_ENTRIES = {"database": ("tables", TableOptions), "files": ("streams", FileStreamOptions)}


def pages() -> dict[str, str]:
    """Return the content of every page, by its path below docs/reference."""
    return {
        "cli.md": "\n".join([NOTICE, "# Command line", "", *_commands()]),
        "settings.md": "\n".join([NOTICE, "# Settings", "", *_settings()]),
        "sources.md": "\n".join([NOTICE, "# Sources", "", *_sources()]),
        "marts.md": "\n".join([NOTICE, "# Marts", "", *_marts()]),
    }


def _commands() -> Iterator[str]:
    yield "Exit codes: 0 all done, 1 failed, 2 usage or configuration, 3 partial."
    yield from _help(command_line, "crmhouse", None)


def _help(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    """Give the help of a command in the context it is called in, then that of its subcommands."""
    context = command.make_context(
        name, [], parent, resilient_parsing=True, terminal_width=100, max_content_width=100
    )
    path = context.command_path
    heading = "#" * (path.count(" ") + 2)
    yield f"\n{heading} {path}\n\n```\n{command.get_help(context)}\n```"
    if isinstance(command, click.Group):
        for subcommand in sorted(command.commands):
            yield from _help(command.commands[subcommand], subcommand, context)


def _settings() -> Iterator[str]:
    yield (
        "In `crmhouse.yaml`, or as an environment variable, which wins. Secrets come from the\n"
        "environment only: the file may refer to a variable as `${NAME}`.\n"
    )
    yield from _table(
        Settings, "CRMHOUSE_", skip={"dbt", "orchestration", "retention", "sources", *NOT_SETTINGS}
    )
    yield "\n## dbt\n"
    yield from _table(DbtSettings, "CRMHOUSE_DBT__")
    yield "\n## orchestration\n"
    yield from _table(OrchestrationSettings, "CRMHOUSE_ORCHESTRATION__", skip={"notifications"})
    yield "\n### Each entry of orchestration.work_queues\n"
    yield from _table(WorkQueue)
    yield "\n### orchestration.notifications\n"
    targets = "CRMHOUSE_ORCHESTRATION__NOTIFICATIONS__"
    yield from _table(Notifications, targets, skip={"mail"})
    yield "\n### orchestration.notifications.mail\n"
    yield from _table(MailTarget, f"{targets}MAIL__")
    yield "\n## retention\n"
    yield from _table(RetentionSettings, "CRMHOUSE_RETENTION__")
    yield "\n## Each entry of sources\n"
    yield from _table(SourceConfig)


def _sources() -> Iterator[str]:
    for name, kind in sorted(KINDS.items()):
        yield f"\n## {name}\n\n{kind.description[0].upper()}{kind.description[1:]}.\n"
        yield from _table(kind.options)
        if kind.streams:
            yield "\n| stream | object | key | version |\n| --- | --- | --- | --- |"
            for stream in kind.streams:
                key = ", ".join(stream.key)
                version = stream.version or "none: the record read last"
                yield f"| {stream.name} | {stream.object} | {key} | {version} |"
        if name in _ENTRIES:
            entries, model = _ENTRIES[name]
            yield f"\n### Each entry of {entries}\n"
            yield from _table(model)


def _table(model: type[BaseModel], prefix: str = "", skip: set[str] = frozenset()) -> Iterator[str]:  # type: ignore[assignment]
    variable = " variable |" if prefix else ""
    yield f"| name |{variable} default | meaning |"
    yield "| --- |" + (" --- |" if prefix else "") + " --- | --- |"
    for name, field in model.model_fields.items():
        if name in skip:
            continue
        env = f" `{prefix}{name.upper()}` |" if prefix else ""
        secret = SecretStr in get_args(field.annotation)
        shown = name if not secret else f"{name} (environment only)"
        yield f"| {shown} |{env} {_default(field)} | {field.description} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if isinstance(value, tuple | list):
        value = ", ".join(map(str, value))
    return f"`{value}`" if value not in (None, "", {}) else "none"


def _marts() -> Iterator[str]:
    yield "Names, grain and columns are a public contract. `_usd` is the reporting currency.\n"
    found: dict[str, dict[str, Any]] = {}
    for file in sorted((ROOT / "dbt/models/marts").rglob("*.yml")):
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        found.update({model["name"]: model for model in content.get("models", [])})
    for name in sorted(found):
        model = found[name]
        yield f"\n## {name}\n\n{_line(model['description'])}\n"
        yield "| column | type | meaning |\n| --- | --- | --- |"
        for column in model["columns"]:
            yield f"| {column['name']} | {column['data_type']} | {_line(column['description'])} |"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    for name, content in pages().items():
        path = ROOT / "docs" / "reference" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content.rstrip() + "\n", encoding="utf-8")
