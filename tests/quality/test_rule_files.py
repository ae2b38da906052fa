from __future__ import annotations

import pytest
from psycopg import sql

from crmhouse.errors import ConfigurationError
from crmhouse.rules import RowRule
from quality import row_rules
from quality.catalogue import parse, suites
from quality.kinds import PLACEHOLDER

ONE_RULE = "suites: [{{table: things, rules: [{{id: a_rule, description: Something holds., {}}}]}}]"


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("kind: not_null", "column"),
        ("kind: between, column: a", "min, max or both"),
        ("kind: guess, column: a", "guess"),
        ("kind: not_null, column: 'a; drop table b'", "pattern"),
        ("kind: in_set, column: a, values: []", "at least 1"),
        ("kind: not_null, column: a, severity: fatal", "severity"),
        ("kind: not_null, column: a, sevrity: warning", "sevrity"),
        ("kind: unique, columns: [a], on_fail: quarantine", "on_fail"),
        ("kind: foreign_key, column: a, references: b.c, on_fail: quarantine", "sees one row"),
        ("kind: condition, holds: 'a < {as_of}', on_fail: quarantine", "sees one row"),
    ],
)
def test_a_rule_that_makes_no_sense_cannot_be_declared(rule: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match="The rule file rules") as raised:
        parse(ONE_RULE.format(rule), "rules.yaml")
    assert reason in str(raised.value)


def test_a_suite_has_each_rule_once_and_a_table_one_suite() -> None:
    rule = "{id: one, kind: not_null, column: a, description: Something holds.}"
    with pytest.raises(ConfigurationError, match="two rules called one"):
        parse(f"suites: [{{table: things, rules: [{rule}, {rule}]}}]", "rules.yaml")
    suite = f"{{table: things, rules: [{rule}]}}"
    with pytest.raises(ConfigurationError, match="two suites"):
        parse(f"suites: [{suite}, {suite}]", "rules.yaml")


def test_a_rule_may_not_take_the_name_of_what_every_gate_does() -> None:
    text = ONE_RULE.format("kind: row_count").replace("a_rule", "row_count")
    with pytest.raises(ConfigurationError, match="no rule may be called row_count"):
        parse(text, "rules.yaml")


def test_a_file_that_is_not_yaml_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not valid"):
        parse("suites: [", "rules.yaml")


def test_row_rules_are_those_that_divert() -> None:
    names = [rule.name for rule in row_rules("shopify", "orders")]
    assert "total_not_negative" in names
    assert "financial_status_known" not in names
    assert row_rules("salesforce", "opportunity_history")
    assert row_rules("shopify", "unknown") == []
    assert row_rules("unknown", "orders") == []


def test_row_rules_stand_alone() -> None:
    """No placeholder, no parameter, and composable into a larger statement."""
    for suite in suites("raw"):
        for rule in row_rules(suite.source_kind or "", suite.table):
            assert not PLACEHOLDER.search(rule.violation_sql)
            assert rule.description.endswith(".")
            sql.SQL(rule.violation_sql)


def test_a_row_rule_refuses_what_a_driver_would_take_for_a_parameter() -> None:
    with pytest.raises(ValueError, match="%"):
        RowRule("like", "name like 'a%'", "Names do not begin with a.")


def test_descriptions_are_sentences() -> None:
    for suite in (*suites("raw"), *suites("marts")):
        for rule in suite.rules:
            assert rule.description[0].isupper(), rule.id
            assert rule.description.endswith("."), rule.id
