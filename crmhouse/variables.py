"""`${NAME}` in the configuration: the value of an environment variable."""

from __future__ import annotations

import os
import re
from typing import Any

from crmhouse.errors import ConfigurationError

_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")


def expand(
    value: Any,  # noqa: ANN401  # any YAML value
    place: str,
    *,
    at: str,
    later: re.Pattern[str] | None = None,
) -> Any:  # noqa: ANN401
    """Replace each ${NAME} by the environment's value.

    Args:
        value: the content of a file, or a part of it.
        place: the file, for the message.
        at: the place of the part; empty for the whole.
        later: places whose references stay: who needs them fills them in.

    Raises:
        ConfigurationError: names a variable that is not set, and where it is referred to.
    """
    if later and later.fullmatch(at):
        return value
    if isinstance(value, dict):
        return {
            key: expand(item, place, at=f"{at}.{key}".lstrip("."), later=later)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [
            expand(item, place, at=f"{at}[{number}]", later=later)
            for number, item in enumerate(value)
        ]
    if not isinstance(value, str):
        return value
    for name in _VARIABLE.findall(value):
        if name not in os.environ:
            raise ConfigurationError(
                f"{place}: {at} refers to the environment variable {name}, which is not set."
            )
    return _VARIABLE.sub(lambda match: os.environ[match[1]], value)
