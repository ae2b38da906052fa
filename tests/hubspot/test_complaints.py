"""What users of other connectors have lost; each test is named after what happened to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hubspot_account import UNLIMITED, Account, at, record, rows

from crmhouse.errors import SyncFailedError
from ingestion.stream_sync import Asked
from simulators.hubspot import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    Of = Callable[..., Account]

MANY = [record(n) for n in range(1, 301)]
BY_SEARCH = {"searches_per_second": 1e9, "archived_every_hours": None}


def test_a_search_that_drops_a_row_moves_no_cursor(of: Of) -> None:
    """Airbyte 85372."""
    made = of({"contacts": MANY}, {"contacts": [record(n, at(400)) for n in range(301, 341)]})
    made.sync(**BY_SEARCH)
    before = rows(made.warehouse, "slice, checkpoint", "ops.stream_state")
    made.running.advance()
    made.running.fault("dropped_row", path="search")
    with pytest.raises(SyncFailedError, match="finds 41 records and has delivered 40"):
        made.sync(lookback=0, **BY_SEARCH)
    assert made.alive() == [*range(1, 301)]
    assert rows(made.warehouse, "slice, checkpoint", "ops.stream_state") == before
    made.running.heal()
    made.sync(lookback=0, **BY_SEARCH)
    assert made.alive() == [*range(1, 341)]


def test_no_row_goes_missing_in_a_green_run_for_each_slice_is_counted(of: Of) -> None:
    """Airbyte 77627, 42490 and 37528."""
    made = of({"contacts": MANY})
    assert len(made.sync(window_rows=160, **BY_SEARCH)) > 1
    counted = "slice, rows_reported, rows_extracted, rows_inserted"
    assert rows(made.warehouse, counted, "ops.sync_runs") == [("changes", 300, 300, 300)]


def test_an_older_version_never_overwrites_a_newer_one(of: Of) -> None:
    """A search whose index lags behind still shows what a record was."""
    new, old = (record(2, at(minute), name=name) for minute, name in ((9, "new"), (8, "old")))
    made = of({"contacts": [*MANY, new]}, {"contacts": [old]})
    made.sync()
    made.running.advance()
    [run] = made.sync(lookback=1e6, archived_every_hours=None)
    assert (run.extracted, run.updated) == (300, 0)
    assert made.raw("property_name", where="id = '2'") == [("new",)]


def test_a_failed_full_refresh_does_not_empty_the_table(of: Of) -> None:
    """Airbyte 13312: it ends on its way, or the account shows next to nothing."""
    made = of({"contacts": MANY}, {"contacts": [record(n, purged=True) for n in range(1, 299)]})
    made.sync()
    made.service.access.limits = Limits(1_000_000, 1_000_000, daily=7)
    with pytest.raises(SyncFailedError, match="DAILY"):
        made.sync(asked=Asked(everything=True))
    assert made.alive() == [*range(1, 301)]
    made.service.access.limits = UNLIMITED
    made.running.advance()
    with pytest.raises(SyncFailedError, match="below the floor"):
        made.sync(asked=Asked(everything=True))
    assert made.alive() == [*range(1, 301)]


def test_a_bad_row_is_neither_ignored_nor_fatal_to_the_others(of: Of) -> None:
    """Airbyte 2352 and 26821."""
    bad, repaired = (record(7, at(7), name=name) for name in ("nul \x00 byte", "fine"))
    made = of({"contacts": [*MANY, bad]}, {"contacts": [{**repaired, "updatedAt": at(350)}]})
    made.sync()
    assert made.alive() == [n for n in range(1, 301) if n != 7]
    held = "record_key, reason, resolution"
    assert rows(made.warehouse, held, "ops.quarantine") == [("7", "value_does_not_fit", None)]
    made.running.advance()
    made.sync()
    assert made.alive() == [*range(1, 301)]
    assert rows(made.warehouse, "resolution", "ops.quarantine") == [("superseded",)]
