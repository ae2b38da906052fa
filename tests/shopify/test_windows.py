"""Bounds of windows: which full seconds lie within."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ingestion.sources.shopify.windows import Window, text_of


@pytest.mark.parametrize(
    ("microsecond", "written"), [(0, "10:00:05Z"), (1, "10:00:06Z"), (999_999, "10:00:06Z")]
)
def test_a_bound_is_the_next_full_second(microsecond: int, written: str) -> None:
    assert text_of(datetime(2026, 1, 1, 10, 0, 5, microsecond, UTC)) == f"2026-01-01T{written}"


def test_the_cursor_is_the_newest_change_and_never_later_than_the_window() -> None:
    window = Window.until(datetime(2026, 1, 2, tzinfo=UTC))
    assert window.done() == {"cursor": "1970-01-01T00:00:00Z"}
    window.see({"updatedAt": "2026-01-01T00:00:00Z"})
    assert window.done() == {"cursor": "2026-01-01T00:00:00Z"}
    window.see({"updatedAt": "2026-01-03T00:00:00Z"})
    assert window.done() == {"cursor": "2026-01-02T00:00:00Z"}


def test_a_window_goes_on_with_the_page_and_the_bounds_that_were_remembered() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    first = Window.after({"cursor": "2026-01-01T00:10:00Z"}, 600, now)
    assert first.filter == (
        "updated_at:>='2026-01-01T00:00:00Z' AND updated_at:<'2026-01-02T00:00:00Z'"
    )
    first.page = "p"
    later = Window.after(first.on_the_way(), 600, datetime(2026, 5, 1, tzinfo=UTC))
    assert (later.filter, later.page, later.newest) == (first.filter, "p", "2026-01-01T00:10:00Z")


def test_without_bounds_there_is_no_filter() -> None:
    assert Window(None, None).filter is None
