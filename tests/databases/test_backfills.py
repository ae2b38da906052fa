"""Backfills: a window of time read again, beside syncs and after other windows."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ingestion.stream_sync import Asked
from ingestion.sync import sync_source

if TYPE_CHECKING:
    from conftest import Source

    from ingestion.runs import SliceRun


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


def test_a_backfill_before_the_first_load_leaves_it_the_rest(things: Source) -> None:
    things.sync({"things": THINGS}, asked=SECOND_DAY)
    assert things.raw("id") == [(2,)]
    things.sync({"things": THINGS})
    assert things.raw("id") == [(1,), (2,)]


class StopAfter:
    """A listener that ends the sync once a slice has landed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def arrived(self, place: str, records: int, expected: int | None) -> None:
        pass

    def landed(self, run: SliceRun) -> None:
        if run.slice == self._name:
            raise KeyboardInterrupt


def test_a_backfill_in_the_midst_of_a_first_load_does_not_end_it(things: Source) -> None:
    rows = [{"id": number, "at": "2026-01-01 00:00:00"} for number in range(3, 2501)]
    things.fill("insert into things values (:id, :at)", rows)
    things.execute("update things set updated_at = '2026-01-02 00:00:00' where id = 1500")
    cut = {"things": {**THINGS, "slice_rows": 1000}}
    with pytest.raises(KeyboardInterrupt):
        sync_source(
            things.warehouse,
            *things.configured(cut, {}),
            run_id=uuid.uuid4(),
            listener=StopAfter("load 0001"),
        )
    things.sync(cut, asked=SECOND_DAY)
    assert things.raw("count(*)") == [(1001,)]
    assert set(things.sync(cut)) == {"load 0002", "load 0003", "changes"}
    assert things.raw("count(*), count(distinct id)") == [(2500, 2500)]


def test_rows_of_a_view_with_one_key_leave_the_newest(source: Source) -> None:
    source.execute(
        f"create table base (id integer, x integer, updated_at {TIME[source.dialect]} null)",
        "insert into base values (1, 1, '2026-01-01 00:00:00'), (1, 2, '2026-01-02 00:00:00'), "
        "(2, 3, '2026-01-01 00:00:00')",
        "create view things as select * from base",
    )
    source.sync({"things": {**THINGS, "key": ["id"]}})
    assert source.raw("id, x") == [(1, 2), (2, 3)]


def test_a_key_that_comes_twice_in_a_long_read_leaves_the_newest(postgres: Source) -> None:
    postgres.execute(
        "create view things as select greatest(number, 2) as id, repeat('x', 100) as filler, "
        "timestamptz '2026-01-01' + number * interval '1 second' as updated_at "
        "from generate_series(1, 100000) as number"
    )
    (run,) = postgres.sync({"things": {**THINGS, "key": ["id"]}}).values()
    assert (run.extracted, run.inserted) == (100_000, 99_999)
