"""The filter language of connections: `updated_at:>='2026-01-01T00:00:00Z' AND status:open`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from simulators.store import milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable

_TERM = re.compile(
    r"""\s*(?P<name>[a-z_]+):(?P<sign>>=|<=|>|<|=)?(?:'(?P<quoted>[^']*)'|"(?P<double>[^"]*)"|(?P<bare>[^\s()]+))"""
)
_AND = re.compile(r"\s+(?:AND\s+)?", re.IGNORECASE)
_TIMES = {"updated_at": "modified", "created_at": "created"}
_Filter = tuple[str, list[Any]]


def sql_of(text: str | None) -> _Filter:
    """Return a filter as a condition on the store, with its values.

    A term that cannot be read is left out, as the service does it: it answers with a warning.
    """
    parts: list[str] = ["true"]
    values: list[Any] = []
    at = 0
    text = (text or "").strip()
    while match := _TERM.match(text, at):
        condition, value = _condition(match)
        parts.append(condition)
        values.extend(value)
        gap = _AND.match(text, match.end())
        at = gap.end() if gap else len(text)
    return " and ".join(parts), values


def _condition(match: re.Match[str]) -> _Filter:
    name, sign = match["name"], match["sign"] or "="
    value = next(match[kind] for kind in ("quoted", "double", "bare") if match[kind] is not None)
    if name in _TIMES:
        return f"{_TIMES[name]} {sign} ?", [milliseconds(value)]
    if name == "id":
        return f"cast(id as integer) {sign} ?", [int(value)]
    return _text(name)(sign, value)


def _text(name: str) -> Callable[[str, str], _Filter]:
    return lambda sign, value: (
        f"lower(body ->> '$.{name}') {sign} ?",
        [value.lower()],
    )
