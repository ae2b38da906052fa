"""Columns that say that a row is deleted, whatever type they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from crmhouse.errors import SyncFailedError

if TYPE_CHECKING:
    from conftest import Source

TIME = {"postgresql": "timestamptz", "mariadb": "timestamp(6)", "sqlite": "datetime"}
THINGS: dict[str, Any] = {"cursor": "updated_at", "sweep_every_hours": None, "deleted": "gone"}


def create(source: Source, kind: str, *values: object) -> None:
    source.execute(
        f"create table things (id integer primary key, gone {kind} null, "
        f"updated_at {TIME[source.dialect]} not null)"
    )
    for number, value in enumerate(values, start=1):
        source.execute(
            "insert into things values (:id, :gone, '2026-01-01 00:00:00')", id=number, gone=value
        )


def deleted(source: Source) -> list[int]:
    return [number for (number,) in source.raw("id", where="_deleted_at is not null")]


@pytest.mark.parametrize("kind", ["decimal(1, 0)", "integer"])
def test_a_flag_that_is_a_number_is_set_unless_it_is_zero(source: Source, kind: str) -> None:
    create(source, kind, 0, 1, None)
    source.sync({"things": THINGS})
    assert deleted(source) == [2]


def test_a_flag_that_is_text_has_to_be_declared(source: Source) -> None:
    create(source, "char(1)", "N", "Y", None)
    with pytest.raises(SyncFailedError, match="gone is to say that a row is deleted"):
        source.sync({"things": THINGS})
    source.sync({"things": {**THINGS, "columns": {"gone": "boolean"}}})
    assert deleted(source) == [2]


def test_a_time_of_deletion_that_is_text_has_to_be_declared(sqlite: Source) -> None:
    create(sqlite, "text", None, "2026-01-01 10:00:00")
    sqlite.sync({"things": {**THINGS, "columns": {"gone": "timestamptz"}}})
    assert deleted(sqlite) == [2]
