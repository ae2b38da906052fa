"""Values and names that are legal in a source and rarely thought of."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

if TYPE_CHECKING:
    from conftest import Source


def held(source: Source) -> list[tuple[Any, ...]]:
    with source.warehouse.connect() as connection:
        return connection.execute(
            "select record_key, reason, payload from ops.quarantine order by 1"
        ).fetchall()


@pytest.mark.parametrize("name", ["part", "things", "sent", "_version", "_deleted", "order"])
def test_a_held_record_is_kept_whole_whatever_its_columns_are_called(
    postgres: Source, name: str
) -> None:
    postgres.execute(
        f'create table things (id int primary key, "{name}" text, amount numeric)',
        "insert into things values (1, 'x', 1), (2, 'y', 'NaN')",
    )
    postgres.sync()
    ((key, _, payload),) = held(postgres)
    assert (key, json.loads(payload)) == ("2", {"id": 2, name: "y", "amount": "NaN"})


def test_json_that_only_text_can_hold_is_kept_back(postgres: Source) -> None:
    postgres.execute(
        "create table things (id int primary key, document json)",
        r"""insert into things values (1, '{"a": "\ud800"}'), (2, '["\ud83d\ude00"]')""",
        r"""insert into things values (3, '["\u0000"]'), (4, '["\\\\u0000"]')""",
    )
    postgres.sync()
    assert [key for key, *_ in held(postgres)] == ["1", "3"]
    assert postgres.raw("id, document") == [(2, ["😀"]), (4, ["\\\\u0000"])]


def test_settings_of_a_source_do_not_change_its_values(postgres: Source) -> None:
    database = sa.make_url(postgres.url).database
    for setting in (
        "bytea_output = 'escape'", "extra_float_digits = 0", "intervalstyle = 'sql_standard'",
        "standard_conforming_strings = off", "datestyle = 'German'", "timezone = 'Asia/Tokyo'",
    ):  # fmt: skip
        postgres.execute(f"alter database {database} set {setting}")
    postgres.execute(
        "create table things (id text primary key, bytes bytea, ratio float8, span interval)",
        r"insert into things values (E'a\\b''', decode('deadbeef', 'hex'), "
        "0.1::float8 + 0.2::float8, '1 day 2 hours')",
    )
    postgres.sync()
    assert postgres.raw("id, bytes, ratio, span") == [
        ("a\\b'", "\\xdeadbeef", Decimal("0.30000000000000004"), "1 day 02:00:00")
    ]


def test_a_domain_of_a_domain_has_the_type_below_both(postgres: Source) -> None:
    postgres.execute(
        "create domain whole as int",
        "create domain positive as whole check (value > 0)",
        "create table things (id int primary key, n positive)",
        "insert into things values (1, 5)",
    )
    postgres.sync()
    assert postgres.raw("n") == [(5,)]


@pytest.mark.parametrize("value", ["-01:00:00", "838:59:59", "00:00:01", "09:05:00", "-00:00:01"])
def test_a_time_of_mysql_stays_as_mysql_writes_it(mariadb: Source, value: str) -> None:
    mariadb.execute(
        "create table things (id int primary key, span time)",
        f"insert into things values (1, '{value}')",
    )
    mariadb.sync()
    assert mariadb.raw("span") == [(value,)]
