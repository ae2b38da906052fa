from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import reduce
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.conform import fit, not_moments
from ingestion.inference import infer
from ingestion.streams import ColumnType as T

MANY = "9" * 20
LONG = "123456789012345678901234567890.123"
DEEP: list[Any] = reduce(lambda inner, _: [inner], range(5000), [])
SECONDS = pa.timestamp("s")
LEAP = "2024-02-29T00:00:00Z"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (T.TEXT, ["", "x", "ünïcode"], ["nul\x00"]),
        (T.BIGINT, ["0", f"-{2**63}", f"{2**63 - 1}", "7.0"], ["1.5", MANY, "0x1A", "NaN"]),
        (T.NUMERIC, ["0", "-1.50", "1e10", LONG], ["NaN", "Infinity", "1,5", "1e4000"]),
        (T.BOOLEAN, ["true", "False", "1", "no"], ["maybe"]),
        (T.DATE, ["2024-02-29", "0001-01-01", "9999-12-31"], ["2023-02-29", "0000-01-01", "soon"]),
        (T.TIMESTAMPTZ, [LEAP, "0001-01-01T00:00:00-00:00"], ["2023-02-30T00:00:00Z"]),
        (T.TIMESTAMPTZ, [LEAP], ["1712121212345", "2024-W01-1", "9999-12-31T23:59:59-05:00"]),
        (T.JSONB, ['{"a": 1}', "[]", '"\\ud83d\\ude00"'], ["{", '"\\u0000"', '"\\ud800"']),
        (T.JSONB, ["1e9"], ["1e99999", '["\\ud83d\\ude00", 1e99999]']),
    ],
)  # fmt: skip
def test_a_value_that_fits_is_kept_and_one_that_does_not_is_named(
    kind: T, good: list[str], bad: list[str]
) -> None:
    array, misfits = fit(pa.array([*good, None, *bad]), kind)
    assert misfits == list(range(len(good) + 1, len(good) + 1 + len(bad)))
    assert array.null_count == 1 + len(bad)
    assert fit(pa.array(good), kind)[1] == []


@pytest.mark.parametrize("kind", [kind for kind in T if kind is not T.TEXT])
def test_an_empty_text_of_a_file_is_no_number_date_or_object_but_null(kind: T) -> None:
    assert fit(pa.array(["", None]), kind)[0].to_pylist() == [None, None]
    assert fit(pa.array(["", None]), kind)[1] == []


def test_a_whole_number_may_be_written_with_a_fraction_of_zero() -> None:
    values = [1, Decimal("1735689600.0"), Decimal("1.5"), Decimal("1e999999")]
    array, misfits = fit(values, T.BIGINT)
    assert array.to_pylist() == ["1", "1735689600", None, None]
    assert misfits == [2, 3]
    assert fit(pa.array([2.0, 2.5, float("nan")]), T.BIGINT)[1] == [1, 2]


def test_milliseconds_are_no_seconds() -> None:
    assert not_moments(pa.array([0, None, 1735689600000, -(2**60)])) == [2, 3]
    assert not_moments(pa.array(["253402300799", "253402300800"])) == [1]


@pytest.mark.parametrize(
    ("values", "kind", "misfits"),
    [
        (pa.array([0, 2**62, 253402300800, -62167219200], SECONDS), T.TIMESTAMPTZ, [1, 2, 3]),
        (pa.array([1, 10_000_000, -800_000], pa.date32()), T.DATE, [1, 2]),
        (pa.array([b"x", b"\xff"]), T.TEXT, [1]),
        ([DEEP, {"a": 1}, {"a": Decimal("1e99999")}], T.JSONB, [0, 2]),
        ([DEEP, "x"], T.TEXT, [0]),
        ([10**5000, 1], T.NUMERIC, [0]),
    ],
)
def test_a_value_beyond_all_bounds_is_a_misfit_and_its_neighbours_are_not(
    values: Any, kind: T, misfits: list[int]
) -> None:
    array, found = fit(values, kind)
    assert found == misfits
    assert array.null_count == len(misfits)


def test_nanoseconds_are_cut_off_and_a_time_zone_is_taken_to_utc() -> None:
    array, _ = fit(pa.array([1712121212345678901], pa.timestamp("ns", "Asia/Tokyo")), T.TIMESTAMPTZ)
    assert array.to_pylist() == [datetime(2024, 4, 3, 5, 13, 32, 345678, UTC)]


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
