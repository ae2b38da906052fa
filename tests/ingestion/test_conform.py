from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.conform import fit, infer
from ingestion.streams import ColumnType as T

MANY = "9" * 20
LONG = "123456789012345678901234567890.123"
LEAP = "2024-02-29T00:00:00Z"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (T.TEXT, ["", "x", "ünïcode"], ["nul\x00"]),
        (T.BIGINT, ["0", f"-{2**63}", f"{2**63 - 1}"], ["1.5", "", MANY, "0x1A", "NaN"]),
        (T.NUMERIC, ["0", "-1.50", "1e10", LONG], ["NaN", "Infinity", "1,5", "", "1e4000"]),
        (T.BOOLEAN, ["true", "False", "1", "no"], ["maybe", ""]),
        (T.DATE, ["2024-02-29", "0001-01-01", "9999-12-31"], ["2023-02-29", "0000-01-01", "soon"]),
        (T.TIMESTAMPTZ, [LEAP, "0001-01-01T00:00:00-00:00"], ["2023-02-30T00:00:00Z", ""]),
        (T.JSONB, ['{"a": 1}', "[]", '"\\ud83d\\ude00"'], ["{", '"\\u0000"', '"\\ud800"', ""]),
    ],
)  # fmt: skip
def test_a_value_that_fits_is_kept_and_one_that_does_not_is_named(
    kind: T, good: list[str], bad: list[str]
) -> None:
    array, misfits = fit(pa.array([*good, None, *bad]), kind)
    assert misfits == list(range(len(good) + 1, len(good) + 1 + len(bad)))
    assert array.null_count == 1 + len(bad)
    assert fit(pa.array(good), kind)[1] == []


def test_numbers_keep_every_digit() -> None:
    exact = ["0.1", "1.10", "12345678901234567890.123456789"]
    array, misfits = fit([Decimal(text) for text in exact], T.NUMERIC)
    assert array.to_pylist() == exact
    assert misfits == []


@given(st.lists(st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=4)))
def test_any_decimal_survives(values: list[Decimal | None]) -> None:
    array, misfits = fit(values, T.NUMERIC)
    assert misfits == []
    assert [None if v is None else Decimal(v) for v in array.to_pylist()] == values


@given(st.lists(st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\x00"))))
def test_any_text_survives(values: list[str | None]) -> None:
    array, misfits = fit(values, T.TEXT)
    assert (array.to_pylist(), misfits) == (values, [])


@given(st.lists(st.datetimes(timezones=st.just(UTC))))
def test_any_moment_survives(values: list[datetime]) -> None:
    array, misfits = fit([value.isoformat() for value in values], T.TIMESTAMPTZ)
    assert (array.to_pylist(), misfits) == (values, [])


def test_offsets_are_taken_to_utc_and_a_naive_moment_is_utc() -> None:
    array, _ = fit(["2024-03-10T03:00:00-04:00", "2024-03-10T07:00:00"], T.TIMESTAMPTZ)
    assert array.to_pylist() == [datetime(2024, 3, 10, 7, tzinfo=UTC)] * 2


def test_mixed_json_values_become_the_text_of_a_text_column() -> None:
    array, misfits = fit(["a", 1, True, Decimal("1.10"), {"k": [1]}, None], T.TEXT)
    assert array.to_pylist() == ["a", "1", "true", "1.10", '{"k":[1]}', None]
    assert misfits == []


def test_true_is_no_number() -> None:
    assert fit([1, True], T.BIGINT)[1] == [1]
    assert fit([Decimal(1), True], T.NUMERIC)[1] == [1]


def test_json_keeps_its_numbers() -> None:
    array, _ = fit([{"price": Decimal("0.10")}], T.JSONB)
    assert array.to_pylist() == ['{"price":0.10}']


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([None, None], None),
        ([None, 1], T.BIGINT),
        ([1, Decimal("1.5")], T.NUMERIC),
        ([2**63], T.NUMERIC),
        ([True, None], T.BOOLEAN),
        ([{"a": 1}], T.JSONB),
        (["2024-01-01"], T.TEXT),
        (["1", 2], T.TEXT),
        (pa.array([date(2024, 1, 1)]), T.DATE),
        (pa.array([1.5]), T.NUMERIC),
        (pa.array([None], pa.int64()), None),
    ],
)
def test_the_type_of_an_unknown_column_is_that_of_its_values(values: object, expected: T) -> None:
    assert infer(values) is expected  # type: ignore[arg-type]
