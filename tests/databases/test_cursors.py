"""Cursors of every kind: none of their values may hide the rows that follow it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from crmhouse.errors import ConfigurationError
from ingestion.stream_sync import Asked

if TYPE_CHECKING:
    from conftest import Source

THINGS = {"things": {"cursor": "updated_at", "sweep_every_hours": None}}
VIENNA = {"timezone": "Europe/Vienna"}
LOCAL = {"postgresql": "timestamp", "mariadb": "datetime(6)", "sqlite": "datetime"}
MOMENT = {"postgresql": "timestamptz", "mariadb": "timestamp(6)", "sqlite": "datetime"}


def create(source: Source, kind: str, *values: object) -> None:
    """Make things of these cursors; the ids count from 1."""
    source.execute(f"create table things (id integer primary key, updated_at {kind} null)")
    for number, value in enumerate(values, start=1):
        add(source, number, value)


def add(source: Source, number: int, value: object) -> None:
    source.execute("insert into things values (:id, :at)", id=number, at=value)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")


def ids(source: Source) -> list[int]:
    return [number for (number,) in source.raw("id")]


def backfill(source: Source, first: str, end: str, **options: str) -> list[int]:
    """Remove all rows from raw and read a window again; return what it brought."""
    with source.warehouse.connect() as connection:
        connection.execute("delete from raw_test.things")
    window = datetime.fromisoformat(first), datetime.fromisoformat(end)
    source.sync(THINGS, asked=Asked(window=window), **options)
    return ids(source)


@pytest.mark.parametrize("far", ["infinity", "12000-01-01"])
def test_an_endless_time_does_not_hide_what_comes_after_it(postgres: Source, far: str) -> None:
    create(postgres, "timestamptz", "2026-01-01", far)
    postgres.sync(THINGS)
    add(postgres, 3, now())
    postgres.sync(THINGS)
    assert ids(postgres) == [1, 3]
    assert backfill(postgres, "2026-01-01T00:00Z", "2026-01-02T00:00Z") == [1]


def test_a_text_in_a_column_of_times_does_not_hide_what_comes_after_it(sqlite: Source) -> None:
    create(sqlite, "datetime", "2026-01-01 10:00:00", "unknown")
    sqlite.sync(THINGS)
    add(sqlite, 3, now())
    sqlite.sync(THINGS)
    assert ids(sqlite) == [1, 3]


def test_a_number_that_is_none_does_not_hide_what_comes_after_it(postgres: Source) -> None:
    create(postgres, "numeric", "1", "NaN")
    postgres.sync(THINGS)
    add(postgres, 3, 5)
    postgres.sync(THINGS)
    assert ids(postgres) == [1, 3]


@pytest.mark.parametrize("newest", [100, 20_260_105, 30_000_101])
def test_a_decimal_number_is_looked_back_from(source: Source, newest: int) -> None:
    create(source, "decimal(20, 0)", newest)
    source.sync(THINGS)
    add(source, 2, newest - 5)
    source.sync(THINGS)
    assert ids(source) == [1, 2]


@pytest.mark.parametrize(
    ("newest", "late"),
    [
        ("2026-01-05T05:00:00-05:00", "2026-01-05T04:59:00-05:00"),
        ("2026-01-05T10:00:00Z", "2026-01-05T09:59:00.5Z"),
        ("2026-01-05 10:00", "2026-01-05 09:59"),
        ("20260105T100000", "20260105T100001"),
        ("2026-01-05", "2026-01-05"),
    ],
)
def test_times_as_text_are_looked_back_from_in_their_own_form(
    sqlite: Source, newest: str, late: str
) -> None:
    create(sqlite, "text", newest)
    sqlite.sync(THINGS)
    add(sqlite, 2, late)
    sqlite.sync(THINGS)
    assert ids(sqlite) == [1, 2]


def test_rows_of_the_very_newest_time_are_found_without_any_lookback(source: Source) -> None:
    exact = {"things": {**THINGS["things"], "lookback": 0}}
    create(source, LOCAL[source.dialect], "2026-01-01 00:00:00.123456")
    source.sync(exact)
    add(source, 2, "2026-01-01 00:00:00.123456")
    add(source, 3, "2026-01-01 00:00:00.123457")
    source.sync(exact)
    assert source.raw("id, updated_at", where="id > 1") == [
        (2, datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)),
        (3, datetime(2026, 1, 1, 0, 0, 0, 123457, tzinfo=UTC)),
    ]


def test_rows_without_a_cursor_are_read_at_every_sync(source: Source) -> None:
    create(source, "integer", 5_000, None)
    source.sync(THINGS)
    add(source, 3, None)
    assert source.sync(THINGS)["changes"].extracted == 3
    assert ids(source) == [1, 2, 3]


def test_a_day_in_the_future_does_not_hide_those_before_it(source: Source) -> None:
    later = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    create(source, "date", "2026-01-01", later)
    source.sync(THINGS)
    add(source, 3, now()[:10])
    source.sync(THINGS)
    assert ids(source) == [1, 2, 3]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Vienna", "America/New_York"])
def test_a_backfill_of_days_reads_the_first_and_not_the_last(source: Source, zone: str) -> None:
    create(source, "date", "2026-01-09", "2026-01-10", "2026-01-11", "2026-01-12")
    source.sync(THINGS)
    assert backfill(source, "2026-01-10T00:00Z", "2026-01-12T00:00Z", timezone=zone) == [2, 3]


@pytest.mark.parametrize("kind", [LOCAL, MOMENT])
def test_a_backfill_in_a_database_of_another_zone_reads_its_window(
    source: Source, kind: dict[str, str]
) -> None:
    is_moment = kind[source.dialect].startswith("timestamp") and kind is MOMENT
    times = ("2026-01-01 23:30:00", "2026-01-02 00:30:00", "2026-01-02 23:30:00",
             "2026-01-03 00:30:00")  # fmt: skip
    create(source, kind[source.dialect], *times)
    source.sync(THINGS, **VIENNA)
    found = backfill(source, "2026-01-02T00:00Z", "2026-01-03T00:00Z", **VIENNA)
    assert found == ([2, 3] if is_moment else [3, 4])  # at 01:00 in Vienna


def test_a_moment_in_the_near_future_is_noticed_whatever_the_zone(mariadb: Source) -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=50)).strftime("%Y-%m-%d %H:%M:%S")
    create(mariadb, "timestamp", soon)
    mariadb.sync(THINGS, **VIENNA)
    add(mariadb, 2, now())
    mariadb.sync(THINGS, **VIENNA)
    assert ids(mariadb) == [1, 2]


def test_the_hour_that_comes_twice_is_read_twice(source: Source) -> None:
    create(source, LOCAL[source.dialect], "2026-10-25 02:59:00")
    source.sync(THINGS, **VIENNA)
    add(source, 2, "2026-10-25 02:10:00")
    source.sync(THINGS, **VIENNA)
    assert ids(source) == [1, 2]


def test_times_that_are_numbers_are_kept_back_and_end_nothing(sqlite: Source) -> None:
    create(sqlite, "datetime", 1_767_600_000, "2026-01-05 10:00:00")
    run = sqlite.sync(THINGS)["changes"]
    assert (run.inserted, run.quarantined) == (1, 1)


def test_a_day_that_is_declared_a_time_begins_at_midnight_of_the_zone(source: Source) -> None:
    create(source, "date", "2026-01-01")
    tables = {"things": {**THINGS["things"], "columns": {"updated_at": "timestamptz"}}}
    source.sync(tables, **VIENNA)
    assert source.raw("updated_at") == [(datetime(2025, 12, 31, 23, tzinfo=UTC),)]


def test_a_cursor_of_texts_that_are_no_times_has_no_windows(sqlite: Source) -> None:
    create(sqlite, "text", "01ARZ3NDEKTSV4RRFFQ69G5FAV")
    sqlite.sync(THINGS)
    window = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    with pytest.raises(ConfigurationError, match="cursor is updated_at and no time of change"):
        sqlite.sync(THINGS, asked=Asked(window=window))
