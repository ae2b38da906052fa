"""Automations as code: Prefect's own format, with names in place of ids, read strictly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid5

from jinja2 import TemplateSyntaxError
from prefect.events.schemas.automations import AutomationCore
from prefect.server.utilities.user_templates import TemplateSecurityError, validate_user_template
from pydantic import ValidationError

from flows.deployment.resources import (
    ALERTS,
    AUTOMATION_PREFIX,
    REFERENCES,
    Faults,
    Kind,
    Resource,
)
from flows.deployment.yaml_files import faults_of, plain, read_yaml, unknown_keys
from flows.names import TAG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_SETS = {"after", "expect", "for_each"}  # Prefect keeps these without an order
_ACTIONS = ("actions", "actions_on_trigger", "actions_on_resolve")
_TEMPLATES = ("subject", "body", "payload")
_NOT_COMPARED = {"id", "name", "enabled", "owner_resource"}
# Keys of a trigger in prefect.yaml that are the automation's; the rest is the trigger itself.
_OF_THE_AUTOMATION = ("name", "description", "enabled")
_OF_THE_RUN = ("parameters", "job_variables", "schedule_after")


def read_automations(folder: Path, targets: Sequence[str], faults: Faults) -> list[Resource]:
    """Read every file of a folder.

    Args:
        folder: holds `*.yaml`, each with a list `automations`.
        targets: the blocks that alerts go to, by name.
        faults: is told what is wrong.

    Raises:
        ConfigurationError: a file is not YAML.
    """
    found: list[Resource] = []
    files = sorted(folder.glob("*.yaml"))
    if not files:
        faults.add(str(folder), "there is no file of automations, *.yaml")
    for file in files:
        content = plain(read_yaml(file))
        entries = content.get("automations") if isinstance(content, dict) else None
        if not isinstance(entries, list):
            faults.add(str(file), "there must be a list `automations`")
            continue
        # A place for YAML anchors; Prefect reads `automations` alone, too.
        for key in sorted(set(content) - {"automations", "definitions"}):
            faults.add(str(file), f"{key}: there is no such key")
        for number, entry in enumerate(entries):
            where = f"{file}: automations[{number}]"
            if isinstance(entry, dict):
                found += automation(entry, targets, where, faults)
            else:
                faults.add(where, "this is not an automation")
    return found


def triggered(
    entry: Mapping[str, Any], deployment: str, where: str, faults: Faults
) -> Iterator[Resource]:
    """Make the automation of a deployment's trigger in prefect.yaml: it starts the deployment."""
    action = {
        "type": "run-deployment",
        "source": "selected",
        "deployment_id": deployment,
        **{key: entry[key] for key in _OF_THE_RUN if key in entry},
    }
    not_the_trigger = {*_OF_THE_AUTOMATION, *_OF_THE_RUN}
    content = {
        **{key: entry[key] for key in _OF_THE_AUTOMATION if key in entry},
        "trigger": {key: value for key, value in entry.items() if key not in not_the_trigger},
        "actions": [action],
    }
    yield from automation(content, (), where, faults)


def automation(
    entry: dict[str, Any], targets: Sequence[str], where: str, faults: Faults
) -> Iterator[Resource]:
    """Check one automation; give it, unless something is wrong with it."""
    name = entry.get("name")
    if not isinstance(name, str) or not name.startswith(AUTOMATION_PREFIX):
        faults.add(where, f"its name must begin with {AUTOMATION_PREFIX}: it says that it is ours")
        return
    where = f"{where} {name}"
    names: dict[str, str] = {}
    content = {**entry}
    for key in _ACTIONS:
        if isinstance(entry.get(key), list):
            content[key] = [*_to_targets(entry[key], targets)]
            content[key] = [_with_ids(action, names) for action in content[key]]
    try:
        parsed = AutomationCore.model_validate(content)
    except ValidationError as error:
        for place, what in faults_of(error):
            faults.add(where, f"{place}: {what}")
        return
    for place in unknown_keys(content, parsed):
        faults.add(where, f"{place}: Prefect has no such key")
    for fault in _template_faults(content):
        faults.add(where, fault)
    fields = _fields(parsed, names)
    yield Resource("automation", name, fields, paused=not parsed.enabled)


def present(raw: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return what is compared of an automation that a server holds.

    Args:
        raw: the server's answer.
        names: of the resources that actions refer to, by their ids.
    """
    try:
        parsed = AutomationCore.model_validate(raw)
    except ValidationError:  # somebody has given it what this version of Prefect does not know
        return {key: value for key, value in raw.items() if key not in _NOT_COMPARED}
    return _fields(parsed, names)


def with_ids(fields: dict[str, Any], id_of: Callable[[Kind, str], str]) -> dict[str, Any]:
    """Put the server's ids in place of the names."""
    found = {**fields}
    for key in _ACTIONS:
        found[key] = [
            {
                name: id_of(REFERENCES[name], value) if name in REFERENCES and value else value
                for name, value in action.items()
            }
            for action in fields[key]
        ]
    return found


def references(fields: dict[str, Any]) -> Iterator[tuple[Kind, str]]:
    """Give the resources that an automation's actions name."""
    for key in _ACTIONS:
        for action in fields.get(key, ()):
            for name, kind in REFERENCES.items():
                if (value := action.get(name)) and not _is_id(value):
                    yield kind, value


def _to_targets(actions: list[dict[str, Any]], targets: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Make an action to the alerts one to each target; without any it only marks."""
    for action in actions:
        if not isinstance(action, dict) or action.get("block_document_id") != ALERTS:
            yield action
            continue
        for target in targets:
            yield {**action, "block_document_id": target}
        if not targets:
            yield {"type": "do-nothing"}


def _with_ids(action: Any, names: dict[str, str]) -> Any:  # noqa: ANN401  # any YAML value
    """Put an id of our making in place of each name: Prefect's models take ids only."""
    if not isinstance(action, dict):
        return action
    found = {**action}
    for key, kind in REFERENCES.items():
        value = action.get(key)
        if isinstance(value, str) and not _is_id(value):
            found[key] = str(uuid5(NAMESPACE_URL, f"{kind}/{value}"))
            names[found[key]] = value
    return found


def _fields(parsed: AutomationCore, names: Mapping[str, str]) -> dict[str, Any]:
    dumped = json.loads(parsed.model_dump_json(exclude=_NOT_COMPARED))
    dumped["tags"] = sorted({*dumped["tags"], TAG})
    for key in _ACTIONS:
        for action in dumped[key]:
            for name in REFERENCES:
                if action.get(name) in names:
                    action[name] = names[action[name]]
    dumped["trigger"] = _sorted(dumped["trigger"])
    found: dict[str, Any] = dumped
    return found


def _sorted(value: Any) -> Any:  # noqa: ANN401  # any JSON
    if isinstance(value, dict):
        return {key: sorted(item) if key in _SETS else _sorted(item) for key, item in value.items()}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _template_faults(content: dict[str, Any]) -> Iterator[str]:
    for key in _ACTIONS:
        for number, action in enumerate(content.get(key) or ()):
            for name in _TEMPLATES:
                if isinstance(text := action.get(name), str):
                    try:
                        validate_user_template(text)
                    except (TemplateSyntaxError, TemplateSecurityError) as error:
                        yield f"{key}[{number}].{name}, line {error.lineno}: {error.message}"


def _is_id(value: str) -> bool:
    try:
        UUID(value)
    except ValueError:
        return False
    return True
