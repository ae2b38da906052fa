"""The closing tables of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crmhouse import pipeline
from crmhouse.cli.closing import tables_of
from crmhouse.summary import read_summary

if TYPE_CHECKING:
    from crmhouse.cli.output import Table
    from crmhouse.warehouse import Warehouse


def tables_after(warehouse: Warehouse, status: pipeline.Status, outcome: str) -> dict[str, Table]:
    with pipeline.begin(warehouse) as run_id:
        pipeline.finish(warehouse, run_id, status, outcome)
    return {table.title: table for table in tables_of(read_summary(warehouse))}


@pytest.mark.parametrize(
    ("status", "outcome", "said"),
    [
        ("succeeded", "published", "published"),
        ("succeeded", "nothing new", "nothing new: no row of raw or marts changed"),
        ("partial", "published", "published; partial: a stream failed"),
        (
            "partial",
            "nothing new",
            "nothing new: no row of raw or marts changed; partial: a stream failed",
        ),
    ],
)
def test_the_headline_begins_with_what_the_run_did(
    warehouse: Warehouse, status: pipeline.Status, outcome: str, said: str
) -> None:
    tables = tables_after(warehouse, status, outcome)
    assert tables["In the marts"].rows[0] == ("Run", said)


def test_gates_are_shown_when_there_were_any(warehouse: Warehouse) -> None:
    assert "Quality gates" not in tables_after(warehouse, "succeeded", "nothing new")
    with warehouse.connect() as connection:
        connection.execute(
            "insert into ops.gate_results (run_id, boundary, suite, expectation, severity, status, "
            "checked_at) select run_id, 'raw', 's', 'e', 'error', 'passed', now() "
            "from ops.pipeline_runs"
        )
    tables = {table.title: table for table in tables_of(read_summary(warehouse))}
    assert tables["Quality gates"].rows == [("raw", 1, 0, 0)]
