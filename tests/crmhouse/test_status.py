from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from crmhouse.settings import Settings
from crmhouse.status import StreamStatus, read_status

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse

HOUR = 3600


def record(warehouse: Warehouse, *runs: tuple[float, str, str]) -> None:
    """Write runs of the stream `shop.orders`: hours ago, the slices, and how each of them ended.

    `a+ b-` is a run in which slice a landed and slice b failed.
    """
    with warehouse.connect() as connection:
        for hours_ago, slices, error in runs:
            run_id = uuid.uuid4()
            for number, part in enumerate(slices.split()):
                failed = part.endswith("-")
                connection.execute(
                    "insert into ops.sync_runs (run_id, source, stream, slice, status, started_at, "
                    "seconds, error, rows_extracted, rows_inserted) values (%s, 'shop', 'orders', "
                    "%s, %s, now() - %s * interval '1 hour' + %s * interval '1 second', 1, %s, 5, "
                    "%s)",
                    [
                        run_id, part[:-1], "failed" if failed else "succeeded", hours_ago, number,
                        error if failed else None, 0 if failed else 5,
                    ],
                )  # fmt: skip


def only(warehouse: Warehouse) -> StreamStatus:
    (stream,) = read_status(warehouse, Settings()).streams
    return stream


@pytest.mark.parametrize(
    ("runs", "hours", "error"),
    [
        ([(3, "a+", "")], None, None),
        ([(3, "a-", "old")], 3, "old"),
        ([(9, "a-", "old"), (6, "a+", ""), (3, "a-", "x"), (1, "a-", "new")], 3, "new"),
        ([(3, "a-", "x"), (1, "a+", "")], None, None),
        ([(3, "a-", "x"), (1, "-+", "")], None, None),
        ([(6, "a+", ""), (3, "a+ b-", "x"), (2, "a+ b-", "y")], 3, "y"),
        ([(3, "a-", "x"), (1, "replay+", "")], 3, "x"),
        ([(3, "a+", ""), (1, "replay-", "x")], None, None),
    ],
    ids=[
        "it has never failed", "it has never succeeded", "it failed twice since it succeeded",
        "it succeeded since", "nothing is left that could fail",
        "a slice lands each time before another fails",
        "a replay has landed since", "a replay has failed since",
    ],
)  # fmt: skip
def test_a_stream_is_failing_since_the_first_failure_after_the_last_sync_without_one(
    warehouse: Warehouse,
    runs: list[tuple[float, str, str]],
    hours: int | None,
    error: str | None,
) -> None:
    record(warehouse, *runs)
    found = only(warehouse)
    assert found.last_error == error
    assert (found.status == "failed", found.failing_since is not None) == (bool(hours),) * 2
    if hours is None:
        assert found.failing_seconds is None
    else:
        assert found.failing_seconds == pytest.approx(hours * HOUR, abs=60)


def test_freshness_and_lag_are_told_in_seconds(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        for slice_name, landed, cursor in (
            ("a", "3 hours", "now() - interval '2 days'"),
            ("b", "2 hours", "now() - interval '1 day'"),
            ("c", "4 hours", "'infinity'"),
            ("d", "5 hours", "null"),
        ):
            connection.execute(
                "insert into ops.stream_state (source, stream, slice, checkpoint, cursor_at, "
                f"run_id, updated_at) values ('shop', 'orders', %s, '{{}}', {cursor}, %s, "
                "now() - %s::interval)",
                [slice_name, uuid.uuid4(), landed],
            )
    found = only(warehouse)
    assert found.landed_seconds == pytest.approx(2 * HOUR, abs=60)
    assert found.lag_seconds == pytest.approx(24 * HOUR, abs=60)
    assert found.status == "unknown"


def test_a_stream_without_a_source_time_has_no_lag(warehouse: Warehouse) -> None:
    record(warehouse, (1, "a+", ""))
    found = only(warehouse)
    assert (found.lag_seconds, found.landed_seconds, found.rows_changed) == (None, None, 5)
