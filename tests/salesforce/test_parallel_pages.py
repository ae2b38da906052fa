"""Pages of a Bulk job's results that are downloaded side by side."""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from salesforce_org import ACCOUNTS

from crmhouse.errors import SyncFailedError
from ingestion.stream_sync import Asked
from ingestion.sync import sync_source
from simulators.salesforce.answers import Refusal

if TYPE_CHECKING:
    from salesforce_org import Org

ALL = [record["Id"] for record in ACCOUNTS]
DATA = "/salesforce/services/data/v62.0/jobs/query"


@pytest.fixture(autouse=True)
def _side_by_side(org: Org) -> None:
    org.system.bulk.page = 4
    org.options["pages_at_once"] = 3


def ids(org: Org) -> list[str]:
    return [key for (key,) in org.raw("id")]


def test_each_page_lands_by_itself_and_in_order(org: Org) -> None:
    runs = org.sync()
    assert [(run.slice, run.reported, run.inserted) for run in runs] == [
        *((f"bulk {number:05d}", 4, 4) for number in range(1, 7)), ("changes", 1, 1),
    ]  # fmt: skip
    assert ids(org) == ALL
    asked = org.stand_in.requests()
    assert asked[f"GET {DATA}/*/resultPages"] == 2  # it names five of seven
    assert asked[f"GET {DATA}/*/results"] == 7


def test_as_many_pages_are_under_way_at_once_as_the_options_say(org: Org) -> None:
    honest, lock, now, most = org.system.bulk.results, threading.Lock(), [0], [0]

    def slow(*asked: Any) -> Any:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.1)
        with lock:
            now[0] -= 1
        return honest(*asked)

    org.system.bulk.results = slow  # type: ignore[method-assign]
    org.sync()
    assert most == [3]
    assert ids(org) == ALL


def test_what_fits_into_one_page_is_not_asked_for_its_pages(org: Org) -> None:
    org.sync(page_rows=25)
    assert f"GET {DATA}/*/resultPages" not in org.stand_in.requests()


def test_a_killed_load_goes_on_with_the_page_that_has_not_landed(org: Org) -> None:
    class Killed(BaseException):
        pass

    class Killer:
        landed_pages = 0

        def arrived(self, place: str, records: int, expected: int | None) -> None: ...

        def landed(self, run: Any) -> None:
            self.landed_pages += run.reported == 4
            if self.landed_pages == 5:
                raise Killed

    with pytest.raises(Killed):
        sync_source(org.warehouse, *org.configured(), run_id=uuid.uuid4(), listener=Killer())
    assert ids(org) == ALL[:20]
    assert [run.reported for run in org.sync()] == [4, 1]
    assert ids(org) == ALL
    assert len(org.system.bulk.jobs) == 1


@pytest.mark.parametrize("why", ["refused", "other places", "none named", "ends too early"])
def test_pages_that_are_not_named_are_read_one_after_the_other(org: Org, why: str) -> None:
    honest = org.system.bulk.pages

    def other(name: str, version: str, locator: str | None) -> dict[str, Any]:
        told = honest(name, version, locator)
        named = told["resultPages"]
        match why:
            case "refused":
                raise Refusal(400, "UNKNOWN", "no such resource")
            case "other places":
                return {**told, "resultPages": [named[0], *named[2:]]}
            case "none named":
                return {"resultPages": [], "nextRecordsUrl": None, "done": True}
        return {**told, "resultPages": named[:2], "nextRecordsUrl": None, "done": True}

    org.system.bulk.pages = other  # type: ignore[method-assign]
    runs = org.sync()
    assert ids(org) == ALL
    assert sum(run.inserted for run in runs) == len(ALL)


def test_a_page_that_does_not_tell_what_follows_is_followed_by_the_one_that_is_named(
    org: Org,
) -> None:
    honest = org.system.bulk.results

    def silent(*asked: Any) -> Any:
        answer = honest(*asked)
        answer.headers["Sforce-Locator"] = "null"
        return answer

    org.system.bulk.results = silent  # type: ignore[method-assign]
    org.sync()
    assert ids(org) == ALL


def test_a_page_that_lacks_rows_never_moves_the_cursor(org: Org) -> None:
    """Airbyte 85372."""
    honest = org.system.bulk.results

    def short(*asked: Any) -> Any:
        return honest(*asked[:3], 2)

    org.system.bulk.results = short  # type: ignore[method-assign]
    org.sync()  # each page tells where the next one begins, and that is believed
    assert ids(org) == ALL

    def silent(*asked: Any) -> Any:
        answer = short(*asked)
        answer.headers["Sforce-Locator"] = "null"
        return answer

    org.system.bulk.results = silent  # type: ignore[method-assign]
    org.change(1, 10, Name="New")
    with pytest.raises(SyncFailedError, match=r"reported 25 records, 13 arrived"):
        org.sync(Asked(everything=True))
    assert len(org.raw("id", where="_deleted_at is null")) == 25


def test_all_records_are_read_anew_side_by_side(org: Org) -> None:
    org.sync()
    org.purge("Account", ALL[0])
    runs = org.sync(Asked(everything=True))
    assert [(run.slice, run.reported, run.missing) for run in runs] == [("refresh", 24, 1)]


def test_faults_on_every_tenth_request_lose_nothing(org: Org) -> None:
    org.stand_in.fault("reset", system="salesforce", share=0.1)
    org.stand_in.fault("status", system="salesforce", share=0.1)
    org.stand_in.fault("token_expired", system="salesforce", share=0.05)
    org.sync()
    assert ids(org) == ALL
