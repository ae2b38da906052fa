"""Reads YAML strictly: no key twice, and none that its model does not know."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, RootModel, ValidationError

from crmhouse.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Strict(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping."""
        names = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise yaml.constructor.ConstructorError(
                None, None, f"{', '.join(twice)} stands twice", node.start_mark
            )
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def read_yaml(file: Path) -> Any:  # noqa: ANN401  # any YAML value
    """Read a file.

    Raises:
        ConfigurationError: it cannot be read, is not YAML, or holds a key twice.
    """
    try:
        return yaml.load(file.read_text(encoding="utf-8"), _Strict)  # noqa: S506  # a safe loader
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "not UTF-8"
        raise ConfigurationError(f"{file}{line}: this is not valid YAML: {reason}.") from None


def faults_of(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Give the place and the reason of each fault that a model found; never a value."""
    for fault in error.errors(include_input=False, include_url=False):
        place = ".".join(str(part) for part in fault["loc"])
        unknown = fault["type"] == "extra_forbidden"
        yield place, "Prefect has no such key" if unknown else fault["msg"]


def unknown_keys(raw: Any, parsed: Any, at: str = "") -> Iterator[str]:  # noqa: ANN401  # any part
    """Give the places of the keys that Prefect's models have dropped without a word.

    Args:
        raw: what was read.
        parsed: the model, or a part of it, that was made of it.
        at: the place of the part.
    """
    if isinstance(parsed, RootModel):
        return
    if isinstance(parsed, BaseModel) and isinstance(raw, dict):
        known = {
            name: field_name
            for field_name, info in type(parsed).model_fields.items()
            for name in (field_name, info.alias)
            if name
        }
        for key, value in raw.items():
            place = f"{at}.{key}".lstrip(".")
            if key not in known:
                yield place
            else:
                yield from unknown_keys(value, getattr(parsed, known[key]), place)
    elif isinstance(parsed, list | tuple) and isinstance(raw, list):
        for number, (one, of) in enumerate(zip(raw, parsed, strict=False)):
            yield from unknown_keys(one, of, f"{at}[{number}]")


def plain(value: Any) -> Any:  # noqa: ANN401  # any YAML value
    """Turn what YAML reads as a date into text, as JSON has none."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value
