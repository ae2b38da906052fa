"""What users of other connectors lost, each with its thread; and failures of every kind."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from salesforce_org import ACCOUNTS

from crmhouse.errors import QuotaExhaustedError, SyncFailedError
from ingestion.http import Patience
from ingestion.sources import connector
from ingestion.sources.salesforce import connector as connector_module
from ingestion.sources.salesforce.streams import DECLARED
from ingestion.stream_sync import Asked, Silent
from ingestion.sync import sync_source

if TYPE_CHECKING:
    from salesforce_org import Org


def ids(org: Org) -> list[str]:
    return [key for (key,) in org.raw("id")]


ALL = [record["Id"] for record in ACCOUNTS]


def test_a_dropped_page_of_a_bulk_result_never_moves_the_cursor(org: Org) -> None:
    """Airbyte 85372."""
    honest = org.system.bulk.results

    def dropping(name: str, version: str, locator: str | None, most: int | None) -> Any:
        answer = honest(name, version, locator, most)
        if locator is None:
            answer.headers["Sforce-Locator"] = "null"
        return answer

    org.system.bulk.results = dropping  # type: ignore[method-assign]
    with pytest.raises(SyncFailedError, match="processed 25 records, its results have 10"):
        org.sync()
    org.system.bulk.results = honest  # type: ignore[method-assign]
    org.sync()
    assert ids(org) == ALL


def test_a_page_with_fewer_rows_than_its_header_says_is_not_landed(org: Org) -> None:
    honest = org.system.bulk.results

    def claiming(name: str, version: str, locator: str | None, most: int | None) -> Any:
        answer = honest(name, version, locator, most)
        answer.headers["Sforce-NumberOfRecords"] = "11"
        return answer

    org.system.bulk.results = claiming  # type: ignore[method-assign]
    with pytest.raises(SyncFailedError, match="reported 11 records, 10 arrived"):
        org.sync()
    org.system.bulk.results = honest  # type: ignore[method-assign]
    org.sync()
    assert ids(org) == ALL


def test_a_failed_full_refresh_does_not_empty_the_table(org: Org) -> None:
    """Airbyte 13312."""
    org.sync()
    honest = org.system.bulk.results

    def dropping(name: str, version: str, locator: str | None, most: int | None) -> Any:
        answer = honest(name, version, locator, most)
        answer.headers["Sforce-Locator"] = "null"
        return answer

    org.system.bulk.results = dropping  # type: ignore[method-assign]
    with pytest.raises(SyncFailedError, match="reported 25 records, 10 arrived"):
        org.sync(Asked(everything=True))
    assert len(org.raw("id", where="_deleted_at is null")) == 25


def test_no_row_goes_missing_in_a_green_run_for_each_slice_is_counted(org: Org) -> None:
    """Airbyte 77627, 42490 and 37528."""
    org.sync()
    with org.warehouse.connect() as connection:
        found = connection.execute(
            "select slice, rows_reported, rows_extracted from ops.sync_runs "
            "where rows_reported is not null order by started_at"
        ).fetchall()
    assert found == [("bulk 00001", 10, 10), ("bulk 00002", 10, 10), ("changes", 5, 5)]


def test_no_stream_is_merged_without_a_key(org: Org) -> None:
    """The Salesforce source of dlt's verified sources."""
    org.put("Invoice__c", {"Id": "a011", "SystemModstamp": "2025-01-01T00:00:00.000+0000"})
    names = [*DECLARED, "Invoice__c"]
    streams = connector(*org.configured(objects=names)).streams()
    assert [stream.object for stream in streams] == names
    assert {stream.key for stream in streams} == {("id",)}


def test_a_bad_row_is_neither_ignored_nor_fatal_to_the_others(org: Org) -> None:
    """Airbyte 2352 and 26821."""
    org.put("Account", ACCOUNTS[3] | {"Name": "nul \x00 byte"})
    settings, source = org.configured()
    lenient = settings.model_copy(update={"max_quarantine_share": 0.5})
    sync_source(org.warehouse, lenient, source, run_id=uuid.uuid4())
    assert len(org.raw("id")) == 24
    with org.warehouse.connect() as connection:
        held = connection.execute("select reason, record_key from ops.quarantine").fetchall()
    assert held == [("value_does_not_fit", ACCOUNTS[3]["Id"])]


def test_rows_that_become_visible_after_the_cursor_passed_them_are_not_lost(org: Org) -> None:
    """Airbyte 27146."""
    org.stand_in.fault("late_rows", system="salesforce", path="Account", times=1)
    org.sync()
    assert ids(org) == ALL[:-1]
    org.sync()
    assert ids(org) == ALL


def test_a_quota_that_is_hit_is_not_reported_as_success(org: Org) -> None:
    """Airbyte 8690 and 17503."""
    org.system.budget.most = 5
    with pytest.raises(SyncFailedError, match="5 of the org's 5 requests of 24 hours") as caught:
        org.sync()
    assert [type(cause) for cause in caught.value.causes] == [QuotaExhaustedError]
    landed = ids(org)
    assert landed == ALL[: len(landed)]
    assert landed
    org.system.budget.most = 100
    org.sync()
    assert ids(org) == ALL


def test_a_timeout_is_not_reported_as_success(org: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airbyte 8690 and 17503: the page that has landed stays, the rest comes with the next sync."""
    impatient = Patience(2, 0.3, 2, 0.01, 2)
    monkeypatch.setattr(connector_module, "Patience", lambda: impatient)

    class Stops(Silent):
        def landed(self, run: Any) -> None:
            if run.reported == 10:
                org.stand_in.fault("timeout", seconds=1, path="results")

    with pytest.raises(SyncFailedError, match="no answer in time"):
        sync_source(org.warehouse, *org.configured(), run_id=uuid.uuid4(), listener=Stops())
    assert ids(org) == ALL[:10]
    org.stand_in.heal()
    org.sync()
    assert ids(org) == ALL


def test_an_older_version_never_overwrites_a_newer_one(org: Org) -> None:
    """Reproduced on dlt 1.31."""
    org.sync()
    org.change(3, 10, Name="new")
    org.sync()
    org.change(3, 9, Name="old")
    [run] = org.sync(bulk_from_rows=1000, lookback_seconds=86_400, sweep_every_hours=None)
    assert (run.reported, run.updated) == (25, 0)
    assert org.raw("name", where=f"id = '{ALL[2]}'") == [("new",)]


def test_a_budget_that_others_have_used_up_is_told_as_such(org: Org) -> None:
    org.system.budget.used = org.system.budget.most
    with pytest.raises(SyncFailedError, match="403 REQUEST_LIMIT_EXCEEDED") as caught:
        org.sync()
    assert isinstance(caught.value.causes[0], QuotaExhaustedError)


@pytest.mark.parametrize("app", [None, "crmhouse"], ids=["of the org", "and of the app"])
def test_the_reserve_of_the_day_is_left_to_others(org: Org, app: str | None) -> None:
    org.system.budget.most, org.system.budget.app = 100, app
    org.system.budget.used = 80
    with pytest.raises(SyncFailedError, match=r"of the org's 100 .* leaves 17% of them") as caught:
        org.sync(request_reserve=0.17)
    assert isinstance(caught.value.causes[0], QuotaExhaustedError)
    assert org.system.budget.used == 83


def test_a_url_that_would_be_too_long_becomes_a_bulk_job(org: Org) -> None:
    """Airbyte 14024."""
    wide = {f"A_custom_field_with_a_long_name_{number:03d}__c": "x" for number in range(400)}
    org.put("Account", *(record | wide for record in ACCOUNTS))
    org.sync()
    org.put("Account", ACCOUNTS[0] | wide | {"SystemModstamp": "2025-01-01T02:00:00.000+0000",
                                             "Name": "New"})  # fmt: skip
    org.stand_in.requests()
    org.sync()
    assert not [path for path in org.stand_in.requests() if path.endswith("/queryAll")]
    assert org.raw("name", where=f"id = '{ALL[0]}'") == [("New",)]


def test_a_job_that_fails_is_made_anew(org: Org) -> None:
    org.stand_in.fault("job_failed", system="salesforce", times=1)
    org.stand_in.fault("job_aborted", system="salesforce", times=1)
    org.sync()
    assert ids(org) == ALL


def test_jobs_that_always_fail_are_told_with_their_code(org: Org) -> None:
    org.stand_in.fault("job_failed", system="salesforce")
    with pytest.raises(SyncFailedError, match=r"3 Bulk jobs .* Failed \(InvalidBatch\)"):
        org.sync()
    org.stand_in.heal()
    org.sync()
    assert ids(org) == ALL


def test_a_slow_job_is_waited_for_and_collected_by_the_next_sync(org: Org) -> None:
    org.stand_in.fault("job_slow", system="salesforce", times=3)
    with pytest.raises(SyncFailedError, match="has not ended in"):
        org.sync(job_minutes=0.0001)
    org.sync()
    assert ids(org) == ALL
    assert len(org.system.bulk.jobs) == 1


def test_a_killed_load_goes_on_with_the_page_that_has_not_landed(org: Org) -> None:
    class Killed(BaseException):
        pass

    class Killer:
        def arrived(self, place: str, records: int, expected: int | None) -> None: ...

        def landed(self, run: Any) -> None:
            if run.reported == 10:
                raise Killed

    with pytest.raises(Killed):
        sync_source(org.warehouse, *org.configured(), run_id=uuid.uuid4(), listener=Killer())
    assert ids(org) == ALL[:10]
    assert [run.reported for run in org.sync()] == [10, 5]
    assert ids(org) == ALL
    assert len(org.system.bulk.jobs) == 1


def test_a_job_that_is_gone_when_the_load_goes_on_is_made_anew(org: Org) -> None:
    org.system.budget.most = 5
    with pytest.raises(SyncFailedError):
        org.sync()
    org.system.budget.most = 100
    org.system.bulk.jobs.clear()
    org.sync()
    assert ids(org) == ALL


def test_an_expired_session_is_renewed_where_it_expires(org: Org) -> None:
    org.stand_in.fault("token_expired", system="salesforce", share=0.3, times=3)
    org.sync()
    assert ids(org) == ALL


@pytest.mark.parametrize("kind", ["status", "reset", "truncate"])
def test_syncs_with_faults_on_every_tenth_request_end_with_the_same_rows(
    org: Org, kind: str
) -> None:
    org.stand_in.fault(kind, system="salesforce", share=0.1)
    org.stand_in.fault("token_expired", system="salesforce", share=0.05)
    for round_ in range(4):
        org.change(round_ + 1, round_, Name=f"Changed {round_}")
        try:
            org.sync(page_rows=3, bulk_from_rows=0, sweep_every_hours=0)
        except SyncFailedError as error:
            assert "reported" in str(error) or "its results have" in str(error)  # noqa: PT017
    org.stand_in.heal()
    org.sync()
    assert ids(org) == ALL
    assert [name for (_, name) in org.raw("id, name")][:4] == [
        f"Changed {round_}" for round_ in range(4)
    ]
    assert not org.raw("id", where="_deleted_at is not null")
