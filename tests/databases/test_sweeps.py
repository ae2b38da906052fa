"""Sweeps: which rows are taken for deleted, and which of them come back."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Source

THINGS: dict[str, Any] = {"cursor": "updated_at", "sweep_every_hours": 0}
TIME = {"postgresql": "timestamptz", "mariadb": "timestamp(6)", "sqlite": "datetime"}


def create(source: Source, rows: int = 20) -> None:
    source.execute(
        "create table base (id integer primary key, n integer, "
        f"updated_at {TIME[source.dialect]} not null)"
    )
    source.fill(
        "insert into base values (:id, :id, '2026-01-01 00:00:00')",
        [{"id": number} for number in range(1, rows + 1)],
    )


def deleted(source: Source) -> list[int]:
    return [number for (number,) in source.raw("id", where="_deleted_at is not null")]


def test_a_row_that_another_process_lands_while_keys_are_counted_stays(postgres: Source) -> None:
    create(postgres)
    postgres.execute(
        "create function slow() returns void language sql as 'select pg_sleep(2)'",
        "create view things as select base.* from base, (select slow() offset 0) as rest",
    )
    tables = {"things": {**THINGS, "key": ["id"], "sweep_every_hours": None}}
    postgres.sync(tables)
    swept = {"things": {**tables["things"], "sweep_every_hours": 0}}
    sweep = threading.Thread(target=postgres.sync, args=[swept])
    sweep.start()
    wait_for_second_snapshot(postgres)
    postgres.execute("insert into base values (21, 21, '2026-02-01')")
    with postgres.warehouse.connect() as connection:  # as a backfill does
        connection.execute(
            "insert into raw_test.things (id, n, updated_at, _source_updated_at, _run_id) "
            "values (21, 21, '2026-02-01', '2026-02-01', gen_random_uuid())"
        )
    sweep.join()
    assert deleted(postgres) == []


def wait_for_second_snapshot(source: Source) -> None:
    """Wait until the sync has landed its changes and counts keys."""
    landed = "select count(*) from ops.sync_runs where slice = 'changes'"
    sleeping = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
    deadline = time.monotonic() + 30
    with source.warehouse.connect(autocommit=True) as connection:
        while connection.execute(landed).fetchone() != (2,) or connection.execute(
            sleeping
        ).fetchone() == (0,):
            assert time.monotonic() < deadline, "the sync looks for no deletions"
            time.sleep(0.05)


def test_a_row_that_is_put_back_as_it_was_is_there_again(source: Source) -> None:
    create(source)
    things = {"things": {**THINGS, "table": "base"}}
    source.sync(things)
    source.execute("delete from base where id in (3, 4)")
    source.sync(things)
    assert deleted(source) == [3, 4]
    source.execute("insert into base values (3, 3, '2025-01-01 00:00:00')")
    run = source.sync(things)["deletions"]
    assert (run.updated, run.missing) == (1, 0)
    assert deleted(source) == [4]
    assert source.sync(things)["deletions"].changed == 0


def test_a_row_that_says_itself_that_it_is_deleted_stays_so(source: Source) -> None:
    create(source)
    source.execute(
        "alter table base add column gone integer", "update base set gone = 1 where id < 3"
    )
    things = {"things": {**THINGS, "table": "base", "deleted": "gone"}}
    source.sync(things)
    source.sync(things)
    assert deleted(source) == [1, 2]


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("decimal(12, 2)", ["1", "1.10", "-5", "99999999.99"]),
        ("char(5)", ["'a'", "'ab'", "'abcde'"]),
        ("varchar(20)", ["'A'", "'b'", "'ö'", "'%'", "'it''s'", "' '"]),
        ("date", ["'2026-01-01'", "'1999-12-31'"]),
        ("bigint", ["-9223372036854775808", "0", "9223372036854775807"]),
    ],
)
def test_keys_of_every_kind_are_found_again(source: Source, kind: str, keys: list[str]) -> None:
    source.execute(
        f"create table things (id {kind} primary key, updated_at {TIME[source.dialect]} not null)",
        *(f"insert into things values ({key}, '2026-01-01 00:00:00')" for key in keys),
    )
    source.sync({"things": THINGS})
    source.execute(f"delete from things where id = {keys[0]}")
    run = source.sync({"things": THINGS}, settings={"refresh_row_floor": 0})["deletions"]
    assert (run.missing, run.extracted) == (1, len(keys) - 1)
    assert len(source.raw("id", where="_deleted_at is null")) == len(keys) - 1


def test_a_key_that_differs_by_case_alone_is_another_row(mariadb: Source) -> None:
    mariadb.execute(
        "create table things (id varchar(9) primary key, updated_at timestamp not null)",
        "insert into things values ('a', '2026-01-01 00:00:00'), ('b', '2026-01-01 00:00:00')",
    )
    mariadb.sync({"things": THINGS})
    mariadb.execute("update things set id = 'A', updated_at = '2026-01-02 00:00:00' where id = 'a'")
    mariadb.sync({"things": THINGS})
    assert mariadb.raw("id", where="_deleted_at is null") == [("A",), ("b",)]


def test_a_row_that_is_held_back_for_its_values_is_not_missing(postgres: Source) -> None:
    postgres.execute(
        "create table things (id int primary key, n numeric, updated_at timestamptz)",
        "insert into things values (1, 1, '2026-01-01'), (2, 'NaN', '2026-01-01')",
    )
    swept = {"things": {"cursor": "updated_at", "sweep_every_hours": 0}}
    assert postgres.sync(swept)["changes"].quarantined == 1
    run = postgres.sync(swept)["deletions"]
    assert (run.extracted, run.quarantined, run.missing) == (2, 0, 0)


def test_after_a_first_load_the_keys_are_not_read_again_at_once(source: Source) -> None:
    source.execute("create table things (id integer primary key, n integer)")
    source.execute("insert into things values (1, 1)")
    daily = {"things": {"cursor": "n"}}
    assert source.sync(daily).keys() == {"changes"}
    assert source.sync(daily).keys() == {"changes"}
