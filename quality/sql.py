"""Names and values written into SQL by the rules."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal


def identifier(name: str) -> str:
    """Return a quoted name."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | Decimal | date) -> str:
    """Return a value as an SQL literal."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return f"timestamptz '{value.isoformat()}'"
    if isinstance(value, date):
        return f"date '{value.isoformat()}'"
    return "'" + value.replace("'", "''") + "'"
