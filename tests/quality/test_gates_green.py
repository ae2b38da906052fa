from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from quality_tables import CLEAN, SOURCES, load_crm_demo, schema_of

import quality

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import RunGate

    from crmhouse.warehouse import Warehouse


@pytest.mark.usefixtures("raw")
def test_clean_raw_tables_pass_without_a_warning(gate: RunGate) -> None:
    report = gate("raw")
    assert report.passed
    assert [(w.suite, w.expectation, w.finding) for w in report.warnings] == []
    report.raise_for_failures()


@pytest.mark.usefixtures("marts")
def test_clean_marts_pass_without_a_warning(gate: RunGate) -> None:
    report = gate("marts")
    assert [(f.suite, f.expectation, f.finding) for f in report.failures] == []
    assert [(w.suite, w.expectation, w.finding) for w in report.warnings] == []


def test_the_reference_data_passes_the_raw_gate(
    warehouse: Warehouse, gate: RunGate, crm_demo: Path
) -> None:
    load_crm_demo(warehouse, crm_demo)
    report = gate("raw")
    assert report.passed
    # One charge names a customer that Stripe no longer has.
    assert {(w.suite, w.expectation, w.rows_failed) for w in report.warnings} == {
        ("stripe.charges", "customer_known", 1)
    }


def test_no_record_of_the_reference_data_is_diverted(warehouse: Warehouse, crm_demo: Path) -> None:
    load_crm_demo(warehouse, crm_demo)
    with warehouse.connect() as connection:
        for kind, table in CLEAN:
            for rule in quality.row_rules(kind, table):
                query = f"select count(*) from {schema_of(kind)}.{table} where {rule.violation_sql}"
                assert connection.execute(query).fetchone() == (0,), (table, rule.name)


def test_marts_of_a_warehouse_without_sources_may_be_empty(marts: Warehouse, gate: RunGate) -> None:
    with marts.connect() as connection:
        tables = connection.execute(
            "select table_schema || '.' || table_name from information_schema.tables"
            " where table_schema in ('marts_build', 'intermediate')"
            " and table_name <> 'dim_dates'"
        ).fetchall()
        connection.execute(f"truncate {', '.join(name for (name,) in tables)}")
    report = gate("marts", sources=dict.fromkeys(SOURCES, ()))
    assert [(f.suite, f.expectation, f.finding) for f in report.failures] == []
