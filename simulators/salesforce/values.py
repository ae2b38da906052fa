"""Values as the API writes them: typed in JSON, texts in the CSV of Bulk."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from simulators.salesforce.fields import COMPOUND
from simulators.store import milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from simulators.salesforce.fields import Field
    from simulators.store import Body


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


def csv_lines(
    known: Mapping[str, Field], fields: Sequence[str], bodies: Iterable[Body], how: tuple[str, str]
) -> list[str]:
    """Return records as lines of a CSV, the header first.

    Args:
        known: the fields of the object.
        fields: those that were asked for.
        bodies: the records.
        how: delimiter, and end of a line.
    """
    chosen = [known[name] for name in fields]
    rows = ([_text(found, body) for found in chosen] for body in bodies)
    return [_line(row, how) for row in ([*fields], *rows)]


def moment(when: int, zone: str) -> str:
    """Write milliseconds since 1970 as a time with milliseconds and that zone of UTC."""
    text = datetime.fromtimestamp(when / 1000, UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + zone


def has_compound(known: Mapping[str, Field], fields: Sequence[str]) -> bool:
    """Say whether one of the fields is compound."""
    return any(known[name].type in COMPOUND for name in fields)


def _text(found: Field, body: Body) -> str:
    value = body.get(found.name)
    if value is None or value == "":
        return "false" if found.type == "boolean" else ""
    if found.type == "datetime":
        return moment(milliseconds(value), "Z")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _line(row: Sequence[str], how: tuple[str, str]) -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=how[0], lineterminator=how[1], quoting=csv.QUOTE_ALL).writerow(row)
    return file.getvalue()
