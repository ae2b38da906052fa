"""Backfills: a window of time read again, beside syncs and after other windows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ingestion.sync import Asked

if TYPE_CHECKING:
    from conftest import Source


THINGS = {"cursor": "updated_at", "sweep_every_hours": None}
TIME = {"postgresql": "timestamptz", "mariadb": "timestamp(6)", "sqlite": "datetime"}
SECOND_DAY = Asked(window=(datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)))


@pytest.fixture
def things(source: Source) -> Source:
    """Things of two days."""
    source.execute(
        f"create table things (id integer primary key, updated_at {TIME[source.dialect]} not null)",
        "insert into things values (1, '2026-01-01 00:00:00'), (2, '2026-01-02 00:00:00')",
    )
    return source


def test_a_window_can_be_read_again_and_again(things: Source) -> None:
    things.sync({"things": THINGS})
    things.sync({"things": THINGS}, asked=SECOND_DAY)
    things.execute("insert into things values (3, '2026-01-02 01:00:00')")
    (run,) = things.sync({"things": THINGS}, asked=SECOND_DAY).values()
    assert (run.extracted, run.inserted) == (2, 1)
