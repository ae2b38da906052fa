"""Why a node failed, without the values that PostgreSQL quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from crmhouse.dbt_results import DbtNode

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse

FRAME = "Database Error in model bad (models/bad.sql)\n  {}\n  compiled code at run/bad.sql"


def node(message: str) -> DbtNode:
    return DbtNode("model.x.bad", "bad", "model", "marts_build", "error", 0.1, message, None)


@pytest.mark.parametrize(
    ("value", "statement"),
    [
        ("ann@example.org", "select cast(v as int) from t"),
        ('say "ann@example.org"\nor "ann@example.org', "select cast(v as int) from t"),
        ("2024-13-45", "select cast(v as date) from t"),
        ("12:61 ann", "select cast(v as timestamptz) from t"),
        ("{ann", "select cast(v as text[]) from t"),
        ('{"a": ann}', "select cast(v as jsonb) from t"),
        ("ann", "select to_date(v, 'YYYY-MM') from t"),
        ("ann", "select now() at time zone v from t"),
        ("ann", "select date_part(v, now()) from t"),
        ("ann", "select cast(v as uuid) from t"),
        ("ann", "select cast(v as inet) from t"),
        ("[ann", "select cast(v as int4range) from t"),
        ("99999999999", "select cast(v as int) from t"),
        ("1e999", "select cast(v as float8) from t"),
        ("ann", "insert into people select v, 1 from t union all select v, 1 from t"),
        ("ann", "insert into people select v, -1 from t"),
        ("ann", "insert into people select v, null from t"),
    ],
)
def test_no_value_of_a_row_is_in_the_reason(
    warehouse: Warehouse, value: str, statement: str
) -> None:
    with warehouse.connect() as connection:
        connection.execute(
            "create table people (mail text primary key, n int not null check (n > 0))"
        )
        connection.execute("create table t (v text)")
        connection.execute("insert into t values (%s)", [value])
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(statement)
    reason = node(FRAME.format(str(caught.value).replace("\n", "\n  "))).reason
    assert value not in reason
    assert "ann" not in reason
    first, second, *_ = reason.splitlines()
    assert first == "Database Error in model bad (models/bad.sql)"
    assert len(second) > 15


@pytest.mark.parametrize(
    "message",
    [
        'column "amount_usd" does not exist',
        'null value in column "order_id" of relation "fct_orders" violates not-null constraint',
        'duplicate key value violates unique constraint "fct_orders_pkey"',
        'new row for relation "fct_orders" violates check constraint "n_check"',
        'relation "marts_build.dim_dates" does not exist',
        "Got 3 results, configured to fail if != 0",
    ],
)
def test_names_of_objects_stay(message: str) -> None:
    assert message in node(FRAME.format(message)).reason


def test_a_long_message_is_cut_to_its_first_lines() -> None:
    assert node("one\n\n two\nthree\nfour\nfive").reason == "one\ntwo\nthree\nfour"
