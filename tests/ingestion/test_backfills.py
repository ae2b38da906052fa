"""The book of a backfill: how a span of time is cut, what is missing, who lands a slice."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmhouse.errors import AlreadyRunningError, ConfigurationError
from ingestion.backfills import begin, cut, find, finish, landing, missing

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 9, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(start=MOMENTS, length=st.timedeltas(timedelta(microseconds=1), timedelta(days=9000)),
       slices=st.integers(1, 40))  # fmt: skip
def test_slices_have_no_gap_and_no_overlap(start: datetime, length: timedelta, slices: int) -> None:
    parts = cut(start, start + length, slices)
    assert (parts[0][0], parts[-1][1]) == (start, start + length)
    assert all(low < high for low, high in parts)
    assert [high for _, high in parts[:-1]] == [low for low, _ in parts[1:]]
    assert len(parts) <= slices
    assert all(low.microsecond == 0 for low, _ in parts[1:])


def test_slices_are_of_one_length() -> None:
    assert {high - low for low, high in cut(START, END, 8)} == {timedelta(days=1)}


def test_a_span_of_few_seconds_has_few_slices() -> None:
    assert len(cut(START, START + timedelta(seconds=3), 8)) == 3


def test_one_that_was_cut_short_goes_on_with_what_is_missing(warehouse: Warehouse) -> None:
    first = begin(warehouse, "shop", ["orders", "customers"], (START, END), 4)
    with landing(warehouse, first[1], uuid.uuid4()) as is_missing:
        assert is_missing
    again = begin(warehouse, "shop", ["customers", "orders"], (START, END), 4)
    assert again[0].backfill_id == first[0].backfill_id
    assert [part.slice for part in again if part.landed_at is None] == [1, 3, 4]
    assert missing(warehouse, first[0].backfill_id) == [1, 3, 4]


def test_one_that_is_finished_begins_anew(warehouse: Warehouse) -> None:
    first = begin(warehouse, "shop", ["orders"], (START, END), 1)
    finish(warehouse, first[0].backfill_id)
    again = begin(warehouse, "shop", ["orders"], (START, END), 1)
    assert again[0].backfill_id != first[0].backfill_id


def test_another_span_or_other_streams_are_another_backfill(warehouse: Warehouse) -> None:
    asked = [
        (["orders"], (START, END), 2),
        (["orders"], (START, END), 3),
        (["orders", "customers"], (START, END), 2),
        (["orders"], (START, END + timedelta(days=1)), 2),
    ]
    assert len({begin(warehouse, "shop", *one)[0].backfill_id for one in asked}) == 4


def test_a_slice_that_fails_is_still_missing(warehouse: Warehouse) -> None:
    (part,) = begin(warehouse, "shop", ["orders"], (START, END), 1)
    with pytest.raises(ZeroDivisionError), landing(warehouse, part, uuid.uuid4()):
        raise ZeroDivisionError
    assert missing(warehouse, part.backfill_id) == [1]


def test_a_slice_is_landed_once_by_one_process_at_a_time(warehouse: Warehouse) -> None:
    part, _ = begin(warehouse, "shop", ["orders"], (START, END), 2)
    with (
        landing(warehouse, part, uuid.uuid4()),
        pytest.raises(AlreadyRunningError, match="slice 1 of this backfill"),
        landing(warehouse, part, uuid.uuid4()),
    ):
        pytest.fail("two processes land one slice")
    with landing(warehouse, part, uuid.uuid4()) as is_missing:
        assert not is_missing
    assert missing(warehouse, part.backfill_id) == [2]


@pytest.mark.parametrize(
    ("window", "slices", "said"),
    [
        ((END, START), 2, "must lie before its end"),
        ((START, START), 2, "must lie before its end"),
        ((START, END), 0, "1 to 1000 slices, not 0"),
        ((START, END), 1001, "1 to 1000 slices, not 1001"),
    ],
)
def test_a_span_that_is_none_is_refused(
    warehouse: Warehouse, window: tuple[datetime, datetime], slices: int, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        begin(warehouse, "shop", ["orders"], window, slices)


def test_a_slice_that_is_not_known_is_told(warehouse: Warehouse) -> None:
    (part,) = begin(warehouse, "shop", ["orders"], (START, END), 1)
    assert find(warehouse, part.backfill_id, 1) == part
    with pytest.raises(ConfigurationError, match="with a slice 2"):
        find(warehouse, part.backfill_id, 2)
