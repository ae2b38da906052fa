"""Types of the three databases: what each value becomes in raw, exactly."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Source

    from ingestion.runs import SliceRun

AT = datetime(2026, 7, 1, 10, 30, 15, 123456, tzinfo=UTC)
KEYED = {"things": {"cursor": "updated_at", "sweep_every_hours": None}}
"""Lands straight from COPY to COPY, where the source is a PostgreSQL."""


def types_of(source: Source) -> dict[str, str]:
    with source.warehouse.connect() as connection:
        return dict(
            connection.execute(
                "select column_name, data_type from information_schema.columns "
                "where table_schema = 'raw_test' and column_name not like '\\_%%'"
            ).fetchall()
        )


def held(source: Source) -> list[tuple[Any, ...]]:
    with source.warehouse.connect() as connection:
        return connection.execute(
            "select record_key, reason, detail, payload::json from ops.quarantine "
            "where resolved_at is null order by 1"
        ).fetchall()


POSTGRES = {
    "small": ("smallint", "7", "bigint", 7),
    "big": ("bigint", "9223372036854775807", "bigint", 9223372036854775807),
    "money_exact": ("numeric", "12345678901234567890.123456789", "numeric",
                    Decimal("12345678901234567890.123456789")),
    "price": ("money", "'12.34'", "numeric", Decimal("12.34")),
    "double": ("double precision", "0.1", "numeric", Decimal("0.1")),
    "single": ("real", "0.1", "numeric", Decimal("0.1")),
    "flag": ("boolean", "true", "boolean", True),
    "day": ("date", "'0001-01-01'", "date", date(1, 1, 1)),
    "moment": ("timestamptz", "'2026-07-01 12:30:15.123456+02'", "timestamp with time zone", AT),
    "local": ("timestamp", "'2026-07-01 12:30:15.123456'", "timestamp with time zone", AT),
    "text_of": ("varchar(20)", "'Zoë, \"x\"'", "text", 'Zoë, "x"'),
    "padded": ("char(5)", "'ab'", "text", "ab"),
    "id_of": ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "text",
              "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "bytes": ("bytea", "'\\xdeadbeef'", "text", "\\xdeadbeef"),
    "tags": ("text[]", "array['a','b']", "jsonb", ["a", "b"]),
    "numbers": ("jsonb", "'{\"a\": 0.10}'", "jsonb", {"a": 0.1}),
    "document": ("json", "'[1, null]'", "jsonb", [1, None]),
    "span": ("interval", "'1 day'", "text", "1 day"),
    "address": ("inet", "'10.0.0.1'", "text", "10.0.0.1/32"),
    "clock": ("time", "'10:30'", "text", "10:30:00"),
    "state": ("mood", "'ok'", "text", "ok"),
    "positive": ("count_of", "3", "bigint", 3),
    "total": ("numeric generated always as (money_exact * 2) stored", None, "numeric",
              Decimal("24691357802469135780.246913578")),
    "nothing": ("text", "null", "text", None),
}  # fmt: skip
MARIADB = {
    "tiny": ("tinyint(1)", "1", "bigint", 1),
    "big": ("bigint unsigned", "18446744073709551615", "numeric", Decimal(18446744073709551615)),
    "money_exact": ("decimal(38, 9)", "12345678901234567890.123456789", "numeric",
                    Decimal("12345678901234567890.123456789")),
    "double_of": ("double", "0.1", "numeric", Decimal("0.1")),
    "single": ("float", "0.1", "numeric", Decimal("0.1")),
    "flag": ("bit(1)", "b'1'", "boolean", True),
    "bits": ("bit(8)", "b'101'", "bigint", 5),
    "day": ("date", "'2026-02-28'", "date", date(2026, 2, 28)),
    "moment": ("timestamp(6) null", "'2026-07-01 10:30:15.123456'", "timestamp with time zone", AT),
    "local": ("datetime(6)", "'2026-07-01 12:30:15.123456'", "timestamp with time zone", AT),
    "text_of": ("varchar(20)", "'Zoë, \"x\" 😀'", "text", 'Zoë, "x" 😀'),
    "bytes": ("varbinary(10)", "x'DEADBEEF'", "text", "\\xdeadbeef"),
    "document": ("json", "'{\"a\": [1, 0.10]}'", "text", '{"a": [1, 0.10]}'),
    "clock": ("time", "'10:30'", "text", "10:30:00"),
    "kind": ("enum('a', 'b')", "'b'", "text", "b"),
    "year_of": ("year", "2026", "bigint", 2026),
    "total": ("decimal(38, 9) as (money_exact * 2) stored", None, "numeric",
              Decimal("24691357802469135780.246913578")),
    "nothing": ("text", "null", "text", None),
}  # fmt: skip
SQLITE = {
    "whole": ("integer", "9223372036854775807", "bigint", 9223372036854775807),
    "amount": ("decimal(10, 2)", "19.99", "numeric", Decimal("19.99")),
    "double_of": ("real", "0.1", "numeric", Decimal("0.1")),
    "flag": ("boolean", "1", "boolean", True),
    "day": ("date", "'2026-02-28'", "date", date(2026, 2, 28)),
    "local": ("datetime", "'2026-07-01 12:30:15.123456'", "timestamp with time zone", AT),
    "moment": ("datetime", "'2026-07-01T10:30:15.123456Z'", "timestamp with time zone", AT),
    "text_of": ("text", "'Zoë, \"x\"'", "text", 'Zoë, "x"'),
    "bytes": ("blob", "x'DEADBEEF'", "text", "\\xdeadbeef"),
    "document": ("json", "'{\"a\": [1, 0.5]}'", "jsonb", {"a": [1, 0.5]}),
    "total": ("integer generated always as (1 + 1) stored", None, "bigint", 2),
    "none_of": ("text", "null", "text", None),
}


@pytest.mark.parametrize("tables", [{"things": {}}, KEYED], ids=["in full", "by cursor"])
def test_every_type_keeps_its_value(source: Source, tables: dict[str, Any]) -> None:
    columns = {"postgresql": POSTGRES, "mariadb": MARIADB, "sqlite": SQLITE}[source.dialect]
    if source.dialect == "postgresql":
        source.execute(
            "create type mood as enum ('ok')", "create domain count_of as int check (value > 0)"
        )
    kinds = ", ".join(f"{name} {kind}" for name, (kind, *_) in columns.items())
    time = {"postgresql": "timestamptz", "mariadb": "timestamp", "sqlite": "datetime"}[
        source.dialect
    ]
    source.execute(f"create table things (id integer primary key, updated_at {time}, {kinds})")
    given = {name: value for name, (_, value, *_) in columns.items() if value is not None}
    with source.engine.begin() as connection:
        connection.exec_driver_sql(
            f"insert into things (id, updated_at, {', '.join(given)}) "
            f"values (1, '2026-01-01 00:00:00', {', '.join(given.values()).replace('%', '%%')})"
        )
    (run,) = source.sync(tables, timezone="Europe/Vienna").values()
    assert (run.inserted, run.quarantined) == (1, 0), held(source)
    assert source.raw(", ".join(columns)) == [tuple(value for *_, value in columns.values())]
    expected = {name: kind for name, (_, _, kind, _) in columns.items()}
    assert {name: kind for name, kind in types_of(source).items() if name in columns} == expected


def sync_values(postgres: Source, kind: str, *values: str) -> SliceRun:
    postgres.execute(
        f"create table things (id serial primary key, updated_at timestamptz, x {kind})"
    )
    for value in values:
        postgres.execute(f"insert into things (updated_at, x) values ('2026-01-01', {value})")
    (run,) = postgres.sync(KEYED).values()
    return run


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        ("numeric", "'NaN'"), ("numeric", "'Infinity'"), ("double precision", "'-Infinity'"),
        ("real", "'NaN'"), ("date", "'infinity'"), ("date", "'0044-03-15 BC'"),
        ("timestamptz", "'-infinity'"), ("timestamp", "'infinity'"),
        ("timestamptz", "'12000-01-01'"), ("json", r"""'{"a": "\u0000"}'"""),
    ],
)  # fmt: skip
def test_a_value_that_raw_cannot_hold_is_kept_back_by_the_source_itself(
    postgres: Source, kind: str, bad: str
) -> None:
    good = {"json": "'[]'"}.get(kind, "'2026-01-01'" if kind.startswith(("date", "time")) else "1")
    run = sync_values(postgres, kind, good, bad, "null")
    assert (run.extracted, run.inserted, run.quarantined) == (3, 2, 1)
    ((key, reason, detail, payload),) = held(postgres)
    assert (key, reason) == ("2", "value_does_not_fit")
    assert detail.startswith("field x: the value is not a valid ")
    assert payload["id"] == 2
    assert postgres.raw("id") == [(1,), (3,)]
    postgres.execute("update things set x = null, updated_at = '2026-01-02' where id = 2")
    postgres.sync(KEYED)
    assert held(postgres) == []


def test_a_view_without_a_key_value_in_some_rows_lands_the_others(postgres: Source) -> None:
    postgres.execute(
        "create view things as select * from (values ('a', now()), (null, now()), ('', now())) "
        "as v (id, updated_at)"
    )
    (run,) = postgres.sync({"things": {**KEYED["things"], "key": ["id"]}}).values()
    assert (run.inserted, run.quarantined) == (1, 2)
    assert [reason for _, reason, *_ in held(postgres)] == ["missing_key", "missing_key"]


def test_sqlite_values_of_another_type_than_their_column_are_kept_back(sqlite: Source) -> None:
    sqlite.execute("create table things (id integer primary key, day date, amount numeric)")
    sqlite.execute(
        "insert into things values (1, '2026-01-01', 1.5), (2, 'soon', 2), (3, null, 'x')"
    )
    (run,) = sqlite.sync().values()
    assert (run.inserted, run.quarantined) == (1, 2)
    assert [(key, reason) for key, reason, *_ in held(sqlite)] == [
        ("2", "value_does_not_fit"), ("3", "value_does_not_fit"),
    ]  # fmt: skip


def test_sqlite_text_that_is_no_utf8_is_kept_back_readable(sqlite: Source) -> None:
    sqlite.execute("create table things (id integer primary key, name text)")
    sqlite.execute("insert into things values (1, 'good'), (2, cast(x'ff41' as text))")
    (run,) = sqlite.sync().values()
    assert (run.inserted, run.quarantined) == (1, 1)
    ((_, _, _, payload),) = held(sqlite)
    assert payload == json.loads('{"id": 2, "name": "\\\\udcffA"}')


def test_a_declared_type_wins_over_the_databases_own(source: Source) -> None:
    source.execute("create table things (id integer primary key, code varchar(20), seen integer)")
    source.execute("insert into things values (1, '007', 1)")
    source.execute("insert into things values (2, 'x', 0)")
    columns = {"code": "bigint", "seen": "text"}
    (run,) = source.sync({"things": {"columns": columns}}).values()
    assert (run.inserted, run.quarantined) == (1, 1)
    assert source.raw("code, seen") == [(7, "1")]


def test_columns_that_are_excluded_are_nowhere(postgres: Source) -> None:
    postgres.execute("create table things (id int primary key, n numeric, secret text)")
    postgres.execute("insert into things values (1, 1, 'hush'), (2, 'NaN', 'hush')")
    (run,) = postgres.sync({"things": {"exclude": ["secret"]}}).values()
    assert (run.inserted, run.quarantined) == (1, 1)
    ((*_, payload),) = held(postgres)
    assert payload == {"id": 2, "n": "NaN"}
    assert "secret" not in types_of(postgres)


def test_columns_with_strange_names_land_under_safe_ones(source: Source) -> None:
    quote = '"' if source.dialect != "mariadb" else "`"
    name = f"{quote}Total % of 'x'; drop table things --{quote}"
    with source.engine.begin() as connection:
        for statement in (
            f"create table things (id integer primary key, {name} integer)",
            f"insert into things (id, {name}) values (1, 5)",
        ):
            connection.exec_driver_sql(
                statement.replace("%", "%%") if source.dialect != "sqlite" else statement
            )
    source.sync()
    assert source.raw("total_of_x_drop_table_things_") == [(5,)]
