from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from identity_input import person

from identity.rules import ACCOUNT_RULES, PERSON_RULES, SINGLE

if TYPE_CHECKING:
    from identity_input import Identities

PAGE = (Path(__file__).parents[2] / "docs" / "identity.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_lists_exactly_the_rules_with_their_probabilities() -> None:
    listed = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", PAGE, re.MULTILINE)
    rules = [(rule.name, rule.probability) for rule in (*PERSON_RULES, *ACCOUNT_RULES)]
    assert [(name, float(probability)) for name, probability in listed] == rules
    assert f"`{SINGLE}`" in PAGE


def test_every_table_of_customers_is_explained(identities: Identities) -> None:
    tables = identities.rows(
        "select tablename from pg_tables where schemaname = 'identity' and tablename like 'cust%'"
    )
    assert [name for (name,) in tables if f"{name}" not in PAGE] == []


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_of_the_page_runs(query: str, identities: Identities) -> None:
    identities.deliver([person("salesforce", "1")])
    identities.resolve()
    identities.rows(query)


def test_every_table_and_view_has_a_comment(identities: Identities) -> None:
    bare = identities.rows(
        "select relname from pg_class where relnamespace = 'identity'::regnamespace "
        "and relkind in ('r', 'v') and obj_description(oid) is null"
    )
    assert bare == []
