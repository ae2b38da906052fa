"""Tables with a cursor: first load, changes, late commits, deletions, backfills."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from crmhouse.errors import ConfigurationError, SyncFailedError
from ingestion.stream_sync import Asked

if TYPE_CHECKING:
    from conftest import Source

THINGS = {"things": {"cursor": "updated_at", "lookback": 60, "sweep_every_hours": None}}
CREATE = (
    "create table things (id integer primary key, name varchar(100), amount decimal(18, 4), "
    "updated_at {time} not null)"
)
INSERT = "insert into things values (:id, :name, :amount, :at)"
TIME = {"postgresql": "timestamp with time zone", "mariadb": "timestamp(6)", "sqlite": "datetime"}


def row(number: int, hour: int = 0, **other: object) -> dict[str, object]:
    at = f"2026-01-{1 + number % 28:02d} {hour:02d}:00:00"
    return {"id": number, "name": f"thing {number}", "amount": f"{number}.25", "at": at, **other}


@pytest.fixture
def things(source: Source) -> Source:
    """A hundred things."""
    source.execute(CREATE.format(time=TIME[source.dialect]))
    source.fill(INSERT, [row(number) for number in range(1, 101)])
    return source


def test_a_first_load_lands_every_row_and_the_next_sync_changes_nothing(things: Source) -> None:
    assert things.sync(THINGS)["changes"].inserted == 100
    assert things.raw("count(*), sum(amount)") == [(100, sum(n + 0.25 for n in range(1, 101)))]
    again = things.sync(THINGS)
    assert all(run.changed == 0 for run in again.values())


def test_what_was_changed_or_added_comes_with_the_next_sync_and_nothing_else(
    things: Source,
) -> None:
    things.sync(THINGS)
    things.execute(
        "update things set amount = 7.5, updated_at = '2026-02-01 00:00:00' where id = 3"
    )
    things.fill(INSERT, [row(101, at="2026-02-01 00:00:01")])
    run = things.sync(THINGS)["changes"]
    assert (run.inserted, run.updated) == (1, 1)
    assert run.extracted < 20
    assert things.raw("amount", where="id in (3, 101)") == [(7.5,), (101.25,)]


def test_a_row_that_becomes_visible_after_the_cursor_passed_it_is_not_lost(things: Source) -> None:
    things.fill(INSERT, [row(200, at="2026-03-01 12:00:00")])
    things.sync(THINGS)
    things.fill(INSERT, [row(201, at="2026-03-01 11:59:01"), row(202, at="2026-03-01 11:58:59")])
    assert things.sync(THINGS)["changes"].inserted == 1
    assert things.raw("id", where="id > 200") == [(201,)]


def test_a_time_in_the_future_does_not_hide_what_comes_after_it(things: Source) -> None:
    things.fill(INSERT, [row(200, at="2037-01-01 00:00:00")])
    things.sync(THINGS)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    things.fill(INSERT, [row(201, at=now)])
    assert things.sync(THINGS)["changes"].inserted == 1


def test_a_large_first_load_is_cut_into_slices_by_the_key(things: Source) -> None:
    things.fill(INSERT, [row(number) for number in range(1000, 4500)])
    cut = {"things": {**THINGS["things"], "slice_rows": 1000}}
    runs = things.sync(cut)
    assert {name: run.inserted for name, run in runs.items()} == {
        "load": 0, "load 0001": 1000, "load 0002": 1000, "load 0003": 1000, "load 0004": 600,
        "changes": 0,
    }  # fmt: skip
    assert things.raw("count(*)") == [(3600,)]
    assert all(run.changed == 0 for run in things.sync(cut).values())


def test_rows_that_the_source_has_no_more_become_tombstones(things: Source) -> None:
    swept = {"things": {**THINGS["things"], "sweep_every_hours": 0}}
    things.sync(swept)
    things.execute("delete from things where id in (5, 6)")
    run = things.sync(swept)["deletions"]
    assert (run.deleted, run.missing, run.extracted) == (2, 2, 98)
    assert things.raw("id", where="_deleted_at is not null") == [(5,), (6,)]
    assert things.sync(swept)["deletions"].changed == 0
    things.fill(INSERT, [row(5, at="2026-04-01 00:00:00")])
    things.sync(swept)
    assert things.raw("id", where="_deleted_at is not null") == [(6,)]


def test_a_source_that_lost_most_of_its_rows_is_not_believed(things: Source) -> None:
    swept = {"things": {**THINGS["things"], "sweep_every_hours": 0}}
    things.sync(swept)
    things.execute("delete from things where id > 20")
    with pytest.raises(SyncFailedError, match="source has 20 records, raw holds 100"):
        things.sync(swept)
    assert things.raw("count(*)", where="_deleted_at is null") == [(100,)]
    things.sync(swept, settings={"refresh_row_floor": 0})
    assert things.raw("count(*)", where="_deleted_at is null") == [(20,)]


def test_a_backfill_reads_its_window_again_and_nothing_else(things: Source) -> None:
    things.sync(THINGS)
    with things.warehouse.connect() as connection:
        connection.execute("update raw_test.things set amount = 0, _source_updated_at = null")
        connection.execute("update raw_test.things set updated_at = '2020-01-01'")
    window = datetime(2026, 1, 10, tzinfo=UTC), datetime(2026, 1, 12, tzinfo=UTC)
    (run,) = things.sync(THINGS, asked=Asked(window=window)).values()
    assert run.slice == "2026-01-10T00:00:00Z to 2026-01-12T00:00:00Z"
    assert run.updated == run.extracted == 8
    assert things.raw("id", where="amount <> 0") == [
        (9,),
        (10,),
        (37,),
        (38,),
        (65,),
        (66,),
        (93,),
        (94,),
    ]
    with things.warehouse.connect() as connection:
        windows = connection.execute(
            "select window_start, window_end from ops.sync_runs where window_start is not null"
        ).fetchall()
    assert windows == [window]


def test_a_full_refresh_repairs_what_raw_has_wrong(things: Source) -> None:
    things.sync(THINGS)
    things.execute("delete from things where id = 1")
    with things.warehouse.connect() as connection:
        connection.execute("update raw_test.things set amount = 0 where id = 2")
        connection.execute("delete from raw_test.things where id = 3")
    run = things.sync(THINGS, asked=Asked(everything=True))["changes"]
    assert (run.inserted, run.updated, run.missing, run.unchanged) == (1, 1, 1, 97)
    assert things.raw("id, amount", where="id < 4 and _deleted_at is null") == [
        (2, 2.25),
        (3, 3.25),
    ]
    assert all(run.changed == 0 for run in things.sync(THINGS).values())


def test_a_row_without_a_time_of_change_is_older_than_any_with_one(source: Source) -> None:
    source.execute(CREATE.format(time=TIME[source.dialect]).replace("not null", "null"))
    source.fill(INSERT, [row(1), row(2, at=None)])
    source.sync(THINGS)
    assert source.raw("id") == [(1,), (2,)]
    source.execute("update things set amount = 9 where id = 2")
    assert source.sync(THINGS)["changes"].updated == 1
    source.execute("update things set amount = 10, updated_at = '2026-05-01 00:00:00' where id = 2")
    source.sync(THINGS)
    assert source.raw("amount", where="id = 2") == [(10,)]


def test_a_growing_number_serves_as_a_cursor(things: Source) -> None:
    by_id = {"things": {"cursor": "id", "lookback": 10, "sweep_every_hours": None}}
    assert things.sync(by_id)["changes"].inserted == 100
    things.fill(INSERT, [row(101), row(102)])
    run = things.sync(by_id)["changes"]
    assert (run.inserted, run.extracted) == (2, 13)
    window = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    with pytest.raises(ConfigurationError, match="cursor is id and no time of change"):
        things.sync(by_id, asked=Asked(window=window))


@pytest.mark.parametrize("flag", ["is_gone", "deleted_at"])
def test_rows_that_are_marked_as_deleted_become_tombstones(source: Source, flag: str) -> None:
    kind = {"postgresql": "boolean"}.get(source.dialect, "integer")
    source.execute(
        f"create table things (id integer primary key, is_gone {kind}, deleted_at "
        f"{TIME[source.dialect]} null, updated_at {TIME[source.dialect]} not null)"
    )
    true, false = (True, False) if source.dialect == "postgresql" else (1, 0)
    source.fill(
        "insert into things values (:id, :gone, :deleted, '2026-01-02 00:00:00')",
        [
            {"id": 1, "gone": true, "deleted": "2026-01-01 00:00:00"},
            {"id": 2, "gone": false, "deleted": None},
        ],
    )
    source.sync({"things": {**THINGS["things"], "deleted": flag}})
    (deleted,) = source.raw("id, _deleted_at", where="_deleted_at is not null")
    day = 1 if flag == "deleted_at" else 2
    assert deleted == (1, datetime(2026, 1, day, tzinfo=UTC))
