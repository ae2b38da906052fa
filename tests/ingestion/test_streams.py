from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from ingestion.sources.exports import SYSTEMS
from ingestion.streams import Column, ColumnType, Stream

ID = Column("id", ColumnType.TEXT)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"key": ()}, "needs a key"),
        ({"key": ("other",)}, "other is not a declared column"),
        ({"key": ("id",), "version": "changed"}, "changed is not a declared column"),
        ({"key": ("id",), "version": "id"}, "cannot be of type text"),
        ({"key": ("id",), "deleted": "id"}, "cannot be of type text"),
        ({"key": ("id",), "columns": (ID, ID)}, "two columns have one name"),
    ],
)
def test_a_stream_without_a_key_or_one_that_could_lose_rows_cannot_be_declared(
    wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        Stream(**{"name": "s", "object": "S", "columns": (ID,), **wrong})


def test_a_stream_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Stream("s", "S", ("id",), (ID,)).key = ()  # type: ignore[misc]


def test_every_declared_stream_has_a_watermark() -> None:
    for streams in SYSTEMS.values():
        assert all(stream.watermark for stream in streams)
