from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from planted_defects import WRITTEN, defect
from quality_tables import AS_OF, CLEAN, SOURCES, create_marts, create_raw

from quality.catalogue import suites
from quality.kinds import Change, Fresh, RowCount
from quality.targets import Target, targets

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from crmhouse.warehouse import Warehouse
    from quality.kinds import Rule

TARGETS = [
    target
    for boundary in ("raw", "marts")
    for target in targets(
        boundary, sources=SOURCES, streams={}, schema_of_marts="marts_build", as_of=AS_OF
    )
]
# These speak of the table as a whole and of its past; test_gates_red.py has their tests.
WITHOUT_ROWS = (RowCount, Fresh, Change)
ABOUT_ROWS = [
    pytest.param(target, rule, id=f"{target.name}-{rule.id}")
    for target in TARGETS
    for rule in target.rules
    if not isinstance(rule, WITHOUT_ROWS)
]


@pytest.fixture(scope="module")
def clean(module_warehouse: Warehouse) -> Warehouse:
    create_raw(module_warehouse)
    create_marts(module_warehouse)
    return module_warehouse


@pytest.fixture
def connection(clean: Warehouse) -> Iterator[psycopg.Connection]:
    """A connection whose changes are undone."""
    with clean.connect() as connection:
        yield connection
        connection.rollback()


def _found(connection: psycopg.Connection, target: Target, rule: Rule) -> int:
    return len(connection.execute(target.rows_query(rule)).fetchall())


@pytest.mark.parametrize(("target", "rule"), ABOUT_ROWS)
def test_a_rule_finds_its_defect_and_nothing_in_clean_tables(
    connection: psycopg.Connection, target: Target, rule: Rule
) -> None:
    assert _found(connection, target, rule) == 0
    connection.execute(defect(target, rule))
    assert _found(connection, target, rule) > 0


def test_every_written_defect_belongs_to_a_rule() -> None:
    rules = {(target.suite.table, rule.id) for target in TARGETS for rule in target.rules}
    assert WRITTEN.keys() <= rules


def test_every_raw_table_and_every_mart_has_rules() -> None:
    assert {(suite.source_kind, suite.table) for suite in suites("raw")} == CLEAN.keys()
    assert len(suites("marts")) == len({suite.table for suite in suites("marts")}) == 20


def test_every_table_has_a_rule_about_its_key() -> None:
    for target in TARGETS:
        ids = {rule.id for rule in target.rules}
        assert any(name.startswith("unique_") or name == "id_present" for name in ids), target.name
