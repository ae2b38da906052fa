from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.naming import META_COLUMNS, distinct, snake_case


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AccountId", "account_id"),
        ("createdAt", "created_at"),
        ("SKU", "sku"),
        ("HTTPStatus", "http_status"),
        ("Custom_Field__c", "custom_field__c"),
        ("properties.email", "properties_email"),
        ("2nd line", "_2nd_line"),
        ("Größe (cm)", "größe_cm_"),
        ("_loaded_at", "_loaded_at_"),
        ("ctid", "ctid_"),
        ("_arrival", "_arrival_"),
        ("_row_id", "_row_id_"),
        ('"; drop table x; --', "_drop_table_x_"),
    ],
)
def test_names_become_snake_case(name: str, expected: str) -> None:
    assert snake_case(name) == expected


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_every_name_is_a_valid_identifier(name: str) -> None:
    identifier = snake_case(name)
    assert 0 < len(identifier.encode()) <= 63
    assert identifier not in META_COLUMNS
    assert "\x00" not in identifier


def test_long_names_that_share_their_beginning_stay_distinct() -> None:
    first, second = snake_case("x" * 80 + "1"), snake_case("x" * 80 + "2")
    assert first != second


def test_a_taken_name_gets_a_suffix_that_depends_on_the_field_only() -> None:
    assert distinct("amount", set(), "Amount") == "amount"
    assert distinct("amount", {"amount"}, "AMOUNT") == distinct("amount", {"amount"}, "AMOUNT")
    assert distinct("amount", {"amount"}, "AMOUNT") != "amount"
