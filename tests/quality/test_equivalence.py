"""One rule, three forms: expectation, single-pass check and quarantine predicate must agree."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from quality_tables import AS_OF, CLEAN, SOURCES, create_raw, raw_columns, schema_of

from quality.catalogue import parse, quarantine_sql
from quality.expectations import rows_check
from quality.gx import open_session
from quality.kinds import ForeignKey, PerRow, Unique
from quality.targets import Target, targets

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from crmhouse.warehouse import Warehouse
    from quality.gx import Session

EVERY_KIND = """
suites:
  - source_kind: any
    table: things
    rules:
      - {id: filled, kind: not_null, column: a, description: "The column a is filled."}
      - {id: low, kind: between, column: a, min: 0, description: "The column a is not negative."}
      - {id: high, kind: between, column: a, max: 1.5, description: "The column a is at most 1.5."}
      - {id: ranged, kind: between, column: b, min: -1, max: 1, description: "b is about zero."}
      - {id: dated, kind: between, column: at, min: 2000-01-01T00:00:00Z, max: 2100-01-01T00:00:00Z,
         description: "The time lies in this century."}
      - {id: listed, kind: in_set, column: t, values: [USD, "it's"], description: "t is known."}
      - {id: formed, kind: matches, column: t, regex: '^[A-Z]{3}$', description: "t is a code."}
      - {id: at_most, kind: compare, column: a, operator: "<=", other: b, description: "a up to b."}
      - {id: below, kind: compare, column: a, operator: "<", other: b, description: "a below b."}
      - {id: equal, kind: compare, column: a, operator: "=", other: b, description: "a equals b."}
      - {id: above, kind: compare, column: a, operator: ">", other: b, description: "a above b."}
      - {id: at_least, kind: compare, column: a, operator: ">=", other: b,
         description: "a from b on."}
      - {id: conditional, kind: condition, holds: "t <> 'USD' or a > 0 and '12:30%' <> '{x}'",
         description: "Dollars are positive."}
      - {id: alone, kind: unique, columns: [a], description: "No two rows share a."}
      - {id: together, kind: unique, columns: [a, t], description: "No two rows share a and t."}
"""
THINGS = {
    "id": "bigint",
    "a": "numeric",
    "b": "numeric",
    "t": "text",
    "at": "timestamptz",
    "_deleted_at": "timestamptz",
}
# The edges of the rules, values of nobody's making, and NULL everywhere.
VALUES: dict[str, list[Any]] = {
    "bigint": [None, -1, 0, 1, 50, 1_230_767_999, 1_230_768_000, 4_102_444_801],
    "numeric": [None, "-1", "0", "0.5", "1", "1.5", "100", "100.01", "NaN", "Infinity"],
    "text": [None, "", "USD", "usd", "Euro", "it's", "a%b", "paid", "active", "2025-03", "cus_1"],
    "boolean": [None, True, False],
    "date": [None, "1989-12-31", "1990-01-01", "2025-01-01", "2101-01-01", "infinity"],
    "timestamptz": [None, "1999-12-31T23:59:59Z", "2025-01-01Z", "2101-01-01Z", "infinity"],
    "jsonb": [None, "null", "[]", "{}", '{"data": []}', '{"data": [{"quantity": -1}]}',
              '{"data": [{"price": {"unit_amount": -1}}]}', '{"paid_at": 1}'],
    "uuid": [None],
}  # fmt: skip


def _rows(columns: dict[str, str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    row = st.fixed_dictionaries({name: st.sampled_from(VALUES[k]) for name, k in columns.items()})
    return st.lists(row, min_size=5, max_size=40)


@pytest.fixture(scope="module")
def checked(module_warehouse: Warehouse) -> Iterator[tuple[Session, psycopg.Connection]]:
    create_raw(module_warehouse)
    with (
        module_warehouse.connect(autocommit=True) as connection,
        open_session(module_warehouse) as session,
    ):
        listed = ", ".join(f"{name} {kind}" for name, kind in THINGS.items())
        connection.execute(f"create schema raw_any; create table raw_any.things ({listed})")
        yield session, connection


@contextmanager
def _filled(
    connection: psycopg.Connection, relation: str, rows: list[dict[str, Any]]
) -> Iterator[None]:
    connection.execute(f"truncate {relation}")
    names = list(rows[0])
    listed = ", ".join(f'"{name}"' for name in names)
    with connection.cursor().copy(f"copy {relation} ({listed}) from stdin") as copy:
        for row in rows:
            copy.write_row([row[name] for name in names])
    yield
    connection.execute(f"truncate {relation}")


def _assert_equal_counts(
    session: Session, connection: psycopg.Connection, target: Target, rows: list[dict[str, Any]]
) -> None:
    rules = [
        rule
        for rule in target.rules
        if isinstance(rule, PerRow | Unique) and not isinstance(rule, ForeignKey)
    ]
    compiled = rows_check(target, rules)
    with _filled(connection, target.relation, rows):
        view = session.view(compiled.view)
        outcomes = session.check(view, compiled.expectations, counted=True)
        for rule in rules:
            shown = f"select count(*) from ({target.rows_query(rule)}) as shown"
            assert outcomes[rule.id].error is None
            counts = {
                "expectation": outcomes[rule.id].count or 0,  # None where no row is left to check
                "rows shown": (connection.execute(shown).fetchone() or (None,))[0],
            }
            if isinstance(rule, PerRow):
                single_pass, diverted = connection.execute(
                    f"select count(*) filter (where {target.suite.row_filter} and"
                    f" {target.violation(rule)}), count(*) filter (where"
                    f" {quarantine_sql(rule.violation)}) from {target.relation} as checked"
                ).fetchone() or (None, None)
                counts |= {"single pass": single_pass, "quarantine": diverted}
            assert len(set(counts.values())) == 1, (target.name, rule.id, counts)


thorough = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # shrinking takes minutes here
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@thorough
@given(rows=_rows(THINGS))
def test_every_kind_of_rule_counts_the_same_rows_in_every_form(
    checked: tuple[Session, psycopg.Connection], rows: list[dict[str, Any]]
) -> None:
    (suite,) = parse(EVERY_KIND, "the test")
    target = Target("any.things", "raw_any", suite, suite.rules, AS_OF)
    _assert_equal_counts(*checked, target, rows)


RAW_TARGETS = targets("raw", sources=SOURCES, streams={}, schema_of_marts="-", as_of=AS_OF)


@pytest.mark.parametrize("target", RAW_TARGETS, ids=lambda target: target.name)
def test_the_rules_of_a_raw_table_count_the_same_rows_in_every_form(
    checked: tuple[Session, psycopg.Connection], target: Target
) -> None:
    columns = raw_columns()[target.suite.source_kind or "", target.suite.table]

    @settings(parent=thorough, max_examples=8)
    @given(rows=_rows(columns))
    def compare(rows: list[dict[str, Any]]) -> None:
        _assert_equal_counts(*checked, target, rows)

    compare()


def test_all_raw_tables_are_compared() -> None:
    assert {(t.suite.source_kind, t.suite.table) for t in RAW_TARGETS} == CLEAN.keys()
    assert {t.schema for t in RAW_TARGETS} == {schema_of(kind) for kind, _ in CLEAN}
