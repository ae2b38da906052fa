"""Records that are held back: their rows are not taken for deleted, whatever their key is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Source


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        ("a integer, b integer, primary key (b, a)", "1, 2"),
        ("a integer, b timestamp primary key", "1, '2026-01-01 10:00:00.5'"),
        ("a integer, b timestamptz primary key", "1, '2026-01-01 10:00:00+09'"),
        ("a integer, b date primary key", "1, '2026-01-01'"),
        ("a integer, b double precision primary key", "1, 1e20"),
        ("a integer, b numeric primary key", "1, 1.10"),
        ("a integer, b char(5) primary key", "1, 'x'"),
        ("a integer, b uuid primary key", "1, 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"),
        ("a integer, b bytea primary key", r"1, '\x00ff'"),
        ("a integer, b boolean primary key", "1, true"),
    ],
)  # fmt: skip
def test_a_row_whose_record_is_held_back_stays(postgres: Source, columns: str, key: str) -> None:
    postgres.execute(
        f"create table things (amount numeric, {columns})",
        f"insert into things values (1, {key})",
    )
    options = {"timezone": "Europe/Vienna"}
    postgres.sync(**options)
    postgres.execute("update things set amount = 'NaN'")
    (run,) = postgres.sync(**options).values()
    assert (run.quarantined, run.missing) == (1, 0)
    assert postgres.raw("a, amount", where="_deleted_at is null") == [(1, 1)]
    postgres.execute("update things set amount = 2")
    postgres.sync(**options)
    assert postgres.raw("amount") == [(2,)]


@pytest.mark.parametrize("key", ["datetime", "date", "decimal(5,2)", "boolean"])
@pytest.mark.parametrize("fixture", ["mariadb", "sqlite"])
def test_a_row_of_another_database_stays_too(
    request: pytest.FixtureRequest, fixture: str, key: str
) -> None:
    source: Source = request.getfixturevalue(fixture)
    value = {
        "datetime": "'2026-01-01 10:00:00.5'", "date": "'2026-01-01'", "boolean": "1",
    }.get(key, "1.1")  # fmt: skip
    kind = "datetime(6)" if (fixture, key) == ("mariadb", "datetime") else key
    source.execute(
        f"create table things (b {kind} not null, a integer not null, day date, "
        "primary key (a, b))",
        f"insert into things values ({value}, 1, '2026-01-01')",
    )
    source.sync()
    with source.engine.begin() as connection:
        if fixture == "mariadb":
            connection.exec_driver_sql("set sql_mode = ''")
        connection.exec_driver_sql("update things set day = '0000-00-00'")
    (run,) = source.sync().values()
    assert (run.quarantined, run.missing) == (1, 0)
    source.execute("update things set day = '2026-01-02'")
    source.sync()
    with source.warehouse.connect() as connection_:
        found = connection_.execute("select resolution from ops.quarantine").fetchall()
    assert found == [("superseded",)]


def test_a_record_that_was_held_back_stays_held_while_others_change(postgres: Source) -> None:
    postgres.execute(
        "create table things (id integer primary key, amount numeric, updated_at timestamptz)",
        "insert into things values (1, 'NaN', '2026-01-01'), (2, 2, '2026-01-01')",
    )
    things = {"things": {"cursor": "updated_at", "sweep_every_hours": None}}

    def held() -> list[tuple[object, ...]]:
        with postgres.warehouse.connect() as connection:
            question = "select record_key, resolution from ops.quarantine"
            return connection.execute(question).fetchall()

    postgres.sync(things)
    assert held() == [("1", None)]
    for day in ("2026-02-01", "2026-03-01"):
        postgres.execute(f"update things set amount = 3, updated_at = '{day}' where id = 2")
        postgres.sync(things)
        assert held() == [("1", None)]
    postgres.execute("update things set amount = 1, updated_at = '2026-04-01' where id = 1")
    postgres.sync(things)
    assert held() == [("1", "superseded")]
