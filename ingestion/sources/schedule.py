"""The schedule of what is read now and then: its checkpoint, and whether it is due. Windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_now() -> dict[str, str]:
    """Return the checkpoint of what is read on a schedule."""
    return {"read_at": datetime.now(UTC).isoformat()}


def is_due(checkpoint: Mapping[str, Any] | None, hours: float | None) -> bool:
    """Say whether what is read every so many hours is to be read now.

    Args:
        checkpoint: of the last time; None or empty where there was none.
        hours: None is never.
    """
    if hours is None:
        return False
    last = (checkpoint or {}).get("read_at")
    return not last or datetime.now(UTC) - datetime.fromisoformat(last) >= timedelta(hours=hours)


def window_name(start: datetime, end: datetime) -> str:
    """Name the slice of a window: the same whenever it is asked for."""
    return f"{_short(start)} to {_short(end)}"


def _short(when: datetime) -> str:
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")
