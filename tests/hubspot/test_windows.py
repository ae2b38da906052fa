"""The search: windows that fit below its ceiling, pages to their end, rows that are seen late."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hubspot_account import at, record
from pydantic import SecretStr

from crmhouse.errors import SyncFailedError
from ingestion.sources.hubspot.account import Account
from ingestion.sources.hubspot.crm import Crm
from ingestion.sources.hubspot.options import HubSpotOptions
from ingestion.sources.hubspot.windows import Searches, Window
from ingestion.stream_sync import Asked
from simulators.hubspot import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    import hubspot_account

    Of = Callable[..., hubspot_account.Account]

# By search from the start, as where a list would take longer.
BY_SEARCH = {"searches_per_second": 1e9, "archived_every_hours": None}
MANY = [record(n) for n in range(1, 301)]


def test_a_search_does_not_stop_at_its_ceiling_of_results(
    of: Of,
) -> None:
    # https://github.com/airbytehq/airbyte/issues/23630
    made = of({"contacts": MANY})
    made.service.search.ceiling = 40
    runs = made.sync(window_rows=40, **BY_SEARCH)
    assert made.alive() == [*range(1, 301)]
    assert sum(run.extracted for run in runs) == sum(run.reported or 0 for run in runs) == 300
    assert all(run.extracted <= 40 for run in runs)


def test_a_moment_with_more_rows_than_the_ceiling_is_cut_by_ids(of: Of) -> None:
    at_once = [record(n * n, at(7)) for n in range(1, 121)]
    made = of({"contacts": [record(20_000, at(8)), *at_once, record(20_001, at(6))]})
    made.service.search.ceiling = 25
    runs = made.sync(window_rows=25, **BY_SEARCH)
    assert made.alive() == sorted([20_000, 20_001, *(n * n for n in range(1, 121))])
    assert sum(run.extracted for run in runs) == 122


@pytest.mark.parametrize("kind", ["short_page", "duplicate_page"])
@pytest.mark.parametrize("options", [BY_SEARCH, {}], ids=["search", "list"])
def test_neither_a_search_nor_a_list_stops_at_a_short_page(
    of: Of, kind: str, options: dict[str, Any]
) -> None:
    # https://github.com/airbytehq/airbyte/pull/80744
    made = of({"contacts": [record(n) for n in range(1, 650)]})
    made.running.fault(kind, times=3)
    made.sync(**options)
    assert made.alive() == [*range(1, 650)]


def test_a_page_that_names_itself_as_the_next_one_for_ever_ends_the_sync(of: Of) -> None:
    made = of({"contacts": MANY})
    made.running.fault("duplicate_page")
    with pytest.raises(SyncFailedError, match="named the same page"):
        made.sync()
    assert made.alive() == []


def test_rows_that_become_visible_after_the_cursor_passed_them_are_not_lost(of: Of) -> None:
    # https://github.com/airbytehq/airbyte/issues/27146
    late = [record(n, at(310)) for n in range(301, 341)]
    newer = [record(n, at(315)) for n in range(990, 1000)]  # the cursor moves up to these
    made = of({"contacts": MANY}, {"contacts": [*late, *newer]})
    made.sync()
    made.running.advance()
    made.running.fault("late_rows")
    made.sync()
    seen = {*made.alive()}
    assert seen & {*range(990, 1000)}
    assert not seen >= {*range(301, 341)}
    made.running.heal()
    made.sync()
    assert made.alive() == [*range(1, 341), *range(990, 1000)]


def test_no_row_is_passed_over_when_one_leaves_the_window_and_another_comes_in(of: Of) -> None:
    # Pages by offset miss the row that moves up into the first page, and the total is the same.
    batch = [record(3, at(0, day=20)), record(999, at(290))]
    made = of({"contacts": MANY}, {"contacts": batch})
    options = HubSpotOptions(token=SecretStr(TOKEN), url=made.url)
    with Account("test", options).api() as api:
        searches = Searches(Crm(api), "contacts", ["lastmodifieddate"], 10_000)
        high = round(datetime(2026, 1, 2, tzinfo=UTC).timestamp() * 1000)
        [found] = searches.within(Window(0, high))
        assert found.page.total == 300
        made.running.advance()
        rows = searches.everything(found)
    assert {int(id_) for id_ in rows} >= {*range(1, 301), 999} - {3}


def test_more_rows_of_one_moment_than_a_page_has_are_read_by_ids(of: Of) -> None:
    at_once = [record(n, at(7)) for n in range(1000, 1450)]
    made = of({"contacts": [record(1, at(6)), *at_once, record(2, at(8))]})
    [run] = made.sync(**BY_SEARCH)
    assert made.alive() == [1, 2, *range(1000, 1450)]
    assert run.reported == run.extracted == 452


def test_a_window_of_time_is_read_again_on_request(of: Of) -> None:
    made = of({"contacts": MANY})
    start, end = (datetime(2026, 1, 1, 1, n, tzinfo=UTC) for n in (10, 20))
    runs = made.sync(asked=Asked(window=(start, end)), window_rows=6)
    assert made.alive() == [*range(70, 80)]
    assert [run.slice[:24] for run in runs] == [
        "2026-01-01T01:10:00.000Z", "2026-01-01T01:15:00.000Z",
    ]  # fmt: skip


def test_requests_of_a_first_load_and_of_a_sync_without_changes(of: Of) -> None:
    made = of({"contacts": [record(n, at(n // 2)) for n in range(1, 1001)]})
    made.sync()
    assert made.running.requests() == {
        "GET /hubspot/crm/v3/properties/contacts": 1,
        "GET /hubspot/crm/v3/objects/contacts": 10 + 1,
    }
    made.sync()
    assert made.running.requests() == {
        "GET /hubspot/crm/v3/properties/contacts": 1,
        "GET /hubspot/crm/v3/objects/contacts": 1,
        "POST /hubspot/crm/v3/objects/contacts/search": 1,
    }
