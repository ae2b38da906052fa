"""Values as the API writes them: typed in JSON, texts in the CSV of Bulk."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from simulators.salesforce.fields import COMPOUND
from simulators.store import milliseconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simulators.salesforce.fields import Field
    from simulators.store import Body

_UTC = "+0000"
_USUAL_LENGTH = len("2025-01-01T00:00:00.000+0000")


def json_value(found: Field, body: Body) -> Any:  # noqa: ANN401  # what JSON has
    """Return a field of a record as REST gives it."""
    value = body.get(found.name)
    if value is None or value == "":
        return False if found.type == "boolean" else None
    match found.type:
        case "boolean":
            return str(value).lower() == "true"
        case "int":
            return int(value)
        case "double" | "currency" | "percent":
            return float(value)
        case "datetime":
            return moment(milliseconds(value), "+0000")
    return value


def csv_value(found: Field, body: Body) -> str:
    """Return a field of a record as Bulk gives it; what is empty is NULL."""
    value = body.get(found.name)
    if value is None or value == "":
        return "false" if found.type == "boolean" else ""
    if found.type == "datetime":
        return _usual_moment(value) or moment(milliseconds(value), "Z")
    if isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def csv_line(values: Sequence[str], how: tuple[str, str]) -> bytes:
    """Return values as a line of a CSV, each of them in quotes.

    Args:
        values: of the fields.
        how: delimiter, and end of a line.
    """
    delimiter, end = how
    quoted = (value.replace('"', '""') for value in values)
    return ('"' + f'"{delimiter}"'.join(quoted) + f'"{end}').encode()


def moment(when: int, zone: str) -> str:
    """Write milliseconds since 1970 as a time with milliseconds and that zone of UTC."""
    text = datetime.fromtimestamp(when / 1000, UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + zone


def has_compound(known: Mapping[str, Field], fields: Sequence[str]) -> bool:
    """Say whether one of the fields is compound."""
    return any(known[name].type in COMPOUND for name in fields)


def _usual_moment(value: object) -> str | None:
    """Return a time that is in UTC, to the millisecond, as exports have it; None for others."""
    is_usual = isinstance(value, str) and len(value) == _USUAL_LENGTH and value.endswith(_UTC)
    return f"{str(value).removesuffix(_UTC)}Z" if is_usual else None
