"""The closing summary."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from crmhouse import pipeline
from crmhouse.errors import RunFailedError
from crmhouse.summary import money, read_summary

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse


def test_without_any_run_it_says_how_to_make_one(warehouse: Warehouse) -> None:
    with pytest.raises(RunFailedError, match="crmhouse run"):
        read_summary(warehouse)


def test_a_run_without_marts_has_a_summary_without_figures(warehouse: Warehouse) -> None:
    with pipeline.begin(warehouse) as run_id:
        pipeline.finish(warehouse, run_id, "partial", "x", error="stripe failed")
    summary = read_summary(warehouse)
    assert (summary.run_id, summary.status, summary.error) == (run_id, "partial", "stripe failed")
    assert summary.figures == {}
    assert summary.marts == {}


def test_the_newest_run_is_summed_up_unless_another_is_named(warehouse: Warehouse) -> None:
    runs = []
    for _ in range(2):
        with pipeline.begin(warehouse) as run_id:
            pipeline.finish(warehouse, run_id, "succeeded", "x")
        runs.append(run_id)
    assert read_summary(warehouse).run_id == runs[1]
    assert read_summary(warehouse, runs[0]).run_id == runs[0]


def test_slices_are_added_up_and_gates_counted(warehouse: Warehouse) -> None:
    with pipeline.begin(warehouse) as run_id:
        pipeline.finish(warehouse, run_id, "succeeded", "x")
    with warehouse.connect() as connection:
        connection.execute(
            """
            create schema raw_shop;
            create table raw_shop.orders as
            select * from (values (1, null), (2, now())) as rows (id, _deleted_at);
            """
        )
        for part, status in (("a", "succeeded"), ("b", "failed")):
            connection.execute(
                "insert into ops.sync_runs (run_id, source, stream, slice, status, "
                "rows_extracted, rows_inserted, started_at, seconds) "
                "values (%s, 'shop', 'orders', %s, %s, 3, 2, now(), 1)",
                [run_id, part, status],
            )
        connection.execute(
            "insert into ops.sync_runs (run_id, source, stream, slice, status, rows_extracted, "
            "started_at, seconds) values (%s, 'shop', 'orders', 'a', 'succeeded', 99, now(), 1)",
            [uuid.uuid4()],
        )
        for number, (severity, status) in enumerate(
            [("error", "passed"), ("error", "failed"), ("warning", "failed"), ("warning", "error")]
        ):
            connection.execute(
                "insert into ops.gate_results (run_id, boundary, suite, expectation, severity, "
                "status, checked_at) values (%s, 'raw', 's', %s, %s, %s, now())",
                [run_id, str(number), severity, status],
            )
    summary = read_summary(warehouse)
    (stream,) = summary.streams
    assert (stream.extracted, stream.inserted, stream.failed, stream.rows) == (6, 4, True, 1)
    (gate,) = summary.gates
    assert (gate.passed, gate.failed, gate.warnings) == (1, 2, 1)


@pytest.mark.parametrize(
    ("amount", "shown"), [("0.005", "0.01"), ("-0.005", "-0.01"), ("1", "1.00"), ("2.0049", "2.00")]
)
def test_money_is_rounded_half_away_from_zero(amount: str, shown: str) -> None:
    assert str(money(Decimal(amount))) == shown
