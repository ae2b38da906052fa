"""Changes, deletions and merges; formulas; windows of time; what is asked for them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from salesforce_org import ACCOUNTS

from crmhouse.errors import ConfigurationError, SyncFailedError
from ingestion.stream_sync import Asked
from simulators.salesforce.fields import Field

if TYPE_CHECKING:
    from salesforce_org import Org

# With it the accounts are older than what is read again in any case.
LATER = {
    "Id": "0039", "CreatedDate": "2025-01-01T09:00:00.000+0000",
    "SystemModstamp": "2025-01-01T09:00:00.000+0000",
}  # fmt: skip
NOTHING_BESIDES = {"sweep_every_hours": None, "formulas_every_hours": None}


def test_a_first_load_lands_page_by_page_with_every_field(org: Org) -> None:
    runs = org.sync()
    assert [(run.slice, run.reported, run.inserted) for run in runs] == [
        ("bulk 00001", 10, 10), ("bulk 00002", 10, 10), ("changes", 5, 5),
    ]  # fmt: skip
    expected = [
        (record["Id"], record["Name"], Decimal(record["AnnualRevenue"]), "1") for record in ACCOUNTS
    ]
    assert [
        (key, name, revenue, str(score).rstrip("0").rstrip("."))
        for key, name, revenue, score in org.raw("id, name, annual_revenue, score__c")
    ] == expected


def test_a_first_load_costs_a_job_and_its_pages(org: Org) -> None:
    org.sync(bulk_from_rows=0)
    data, asked = "/salesforce/services/data/v62.0", org.stand_in.requests()
    assert asked == {
        "POST /salesforce/services/*/token": 1,
        f"GET {data}/sobjects/Account/describe": 1,
        f"POST {data}/jobs/query": 1,
        f"GET {data}/jobs/query/*": 1,
        f"GET {data}/jobs/query/*/results": 3,
    }


@pytest.mark.parametrize("composite", [True, False], ids=["together", "one by one"])
def test_a_first_load_of_small_objects_costs_a_query_each(org: Org, *, composite: bool) -> None:
    if not composite:
        org.stand_in.fault("status", system="salesforce", path="composite|recordCount", status=404,
                           code="NOT_FOUND")  # fmt: skip
    org.put("Contact", LATER)
    org.put("Lead", LATER | {"Id": "00Q9"})
    with pytest.raises(SyncFailedError, match="Object Nothing__c"):
        org.sync(objects=["Account", "Contact", "Lead", "Nothing__c"], bulk_from_rows=2000)
    data, asked = "/salesforce/services/data/v62.0", org.stand_in.requests()
    together = {f"POST {data}/composite": 1, f"GET {data}/limits/recordCount": 1}
    assert asked.items() >= together.items()
    describes = sum(n for path, n in asked.items() if path.endswith("/describe"))
    assert describes == (2 if composite else 5)  # what cannot be described is asked for alone
    assert asked.get(f"GET {data}/queryAll", 0) == (3 if composite else 0)
    assert (len(org.raw("id")), len(org.raw("id", "contact"))) == (25, 1)


def test_what_has_not_changed_costs_three_requests_and_changes_nothing(org: Org) -> None:
    org.options["bulk_from_rows"] = 2000
    org.sync()
    org.stand_in.requests()
    before = org.raw("id, _loaded_at")
    org.sync()
    assert sum(org.stand_in.requests().values()) == 4  # a token, describe, the query, the feed
    assert org.raw("id, _loaded_at") == before


@pytest.mark.parametrize("bulk_from_rows", [0, 2000], ids=["by bulk", "by rest"])
def test_changes_arrive_and_older_versions_do_not_come_back(org: Org, bulk_from_rows: int) -> None:
    org.sync()
    org.change(3, 10, Name="New", AnnualRevenue="", NumberOfEmployees="7")
    runs = org.sync(bulk_from_rows=bulk_from_rows)
    assert (sum(run.inserted for run in runs), sum(run.updated for run in runs)) == (0, 1)
    changed = org.raw("name, annual_revenue, number_of_employees", where="id like '%03AAA'")
    assert changed == [("New", None, 7)]


def test_a_deleted_record_arrives_as_a_tombstone(org: Org) -> None:
    """Airbyte 19838 and 35017."""
    org.sync()
    org.change(3, 10, IsDeleted="true")
    org.sync()
    assert org.raw("id", where="_deleted_at is not null") == [(ACCOUNTS[2]["Id"],)]


def test_merged_contacts_are_there_once_and_point_to_the_one_that_stays(org: Org) -> None:
    org.put("Contact", *({
        "Id": f"003{number}", "LastName": "B", "MasterRecordId": "", "IsDeleted": "false",
        "CreatedDate": "2025-01-01T00:00:00.000+0000",
        "SystemModstamp": "2025-01-01T00:00:00.000+0000",
    } for number in (1, 2)))  # fmt: skip
    org.sync(objects=["Contact"])
    org.put("Contact", {
        "Id": "0032", "LastName": "B", "MasterRecordId": "0031", "IsDeleted": "true",
        "CreatedDate": "2025-01-01T00:00:00.000+0000",
        "SystemModstamp": "2025-01-01T03:00:00.000+0000",
    })  # fmt: skip
    org.sync(objects=["Contact"])
    assert org.raw("id, master_record_id, _deleted_at is not null", "contact") == [
        ("0031", None, False), ("0032", "0031", True),
    ]  # fmt: skip


def test_a_record_purged_at_once_arrives_by_the_feed_of_deleted_records(org: Org) -> None:
    org.sync()
    when = datetime(2025, 1, 1, 2, 5, tzinfo=UTC)
    org.purge("Account", ACCOUNTS[4]["Id"], when)
    org.change(1, 10)
    org.sync(**NOTHING_BESIDES)
    assert org.raw("id, name, _deleted_at", where="_deleted_at is not null") == [
        (ACCOUNTS[4]["Id"], "Name 5", when)
    ]


def test_a_record_that_left_no_trace_is_found_by_the_sweep_of_ids(org: Org) -> None:
    org.sync()
    org.purge("Account", ACCOUNTS[4]["Id"])
    org.sync()
    assert not org.raw("id", where="_deleted_at is not null")
    runs = org.sync(sweep_every_hours=0, bulk_from_rows=2000)
    assert [run.missing for run in runs] == [0, 1]
    assert org.raw("id", where="_deleted_at is not null") == [(ACCOUNTS[4]["Id"],)]


def test_a_feed_with_too_many_ids_leads_to_a_sweep(org: Org) -> None:
    org.sync()
    org.change(1, 10)
    org.system.rest.most_ids = -1
    org.purge("Account", ACCOUNTS[4]["Id"])
    org.sync(**NOTHING_BESIDES)
    assert org.raw("id", where="_deleted_at is not null") == [(ACCOUNTS[4]["Id"],)]


def test_formula_fields_do_not_stay_stale(org: Org) -> None:
    """Estuary pull request 3414."""
    org.system.org.special["Account"]["Score__c"] = Field("Score__c", "double", calculated=True)
    org.put("Contact", LATER)
    org.sync()
    org.put("Account", *(record | {"Score__c": "2"} for record in ACCOUNTS))
    org.sync(formulas_every_hours=24)
    assert org.raw("distinct score__c") == [(1,)]
    runs = org.sync(formulas_every_hours=0)
    assert [(run.slice, run.updated) for run in runs] == [("refresh", 25)]
    assert org.raw("distinct score__c") == [(2,)]


def test_a_field_that_is_new_is_read_for_all_records(org: Org) -> None:
    org.sync()
    org.put("Account", *(record | {"Tier__c": "gold"} for record in ACCOUNTS))
    org.sync()
    assert org.raw("distinct tier__c") == [("gold",)]


def test_compound_fields_are_left_to_their_parts(org: Org) -> None:
    special = org.system.org.special["Account"]
    special["BillingAddress"] = Field("BillingAddress", "address")
    special["BillingCity"] = Field("BillingCity", compound="BillingAddress")
    org.put("Account", *(record | {"BillingCity": "Graz"} for record in ACCOUNTS))
    org.sync()
    assert org.raw("distinct billing_city") == [("Graz",)]


def test_what_bulk_refuses_is_read_by_rest_to_its_last_page(org: Org) -> None:
    org.system.org.no_bulk.add("Account")
    org.system.rest.page = 10
    assert [(run.slice, run.reported, run.inserted) for run in org.sync()] == [("changes", 25, 25)]
    org.sync(Asked(everything=True))
    assert len(org.raw("id")) == 25


def test_a_page_that_comes_twice_does_not_count_as_another_one(org: Org) -> None:
    org.system.org.no_bulk.add("Account")
    org.system.rest.page = 10
    org.sync()
    for number in range(1, 26):
        org.change(number, 10)
    for times in (1, None):
        org.stand_in.fault("duplicate_page", path="Account", times=times)
        with pytest.raises(SyncFailedError, match=r"reported 25 records, \d\d arrived"):
            org.sync(bulk_from_rows=1000, **NOTHING_BESIDES)
        org.stand_in.heal()
    [run] = org.sync(bulk_from_rows=1000, **NOTHING_BESIDES)
    assert (run.reported, run.updated) == (25, 25)


@pytest.mark.parametrize("refused", [False, True], ids=["by bulk", "by rest"])
def test_field_history_has_its_creation_as_version_and_values_of_any_type(
    org: Org, *, refused: bool
) -> None:
    org.system.org.special["AccountHistory"] |= {
        name: Field(name, "anyType") for name in ("OldValue", "NewValue")
    }
    if refused:
        org.system.org.no_bulk.add("AccountHistory")
    org.put("AccountHistory", *({
        "Id": f"017{number}", "AccountId": "0011", "Field": "Name",
        "OldValue": [True, 1.5, "a"][number], "NewValue": "b",
        "CreatedDate": f"2025-01-01T00:0{number}:00.000+0000",
    } for number in range(3)))  # fmt: skip
    org.sync(objects=["AccountHistory"])
    found = org.raw("_source_updated_at, old_value, new_value", "account_history")
    assert [(when.minute, *values) for when, *values in found] == [
        (0, "true", "b"), (1, "1.5", "b"), (2, "a", "b"),
    ]  # fmt: skip


def test_an_object_without_a_time_of_change_is_read_whole(org: Org) -> None:
    org.put("Plain__c", {"Id": "a011", "Name": "x"}, {"Id": "a012", "Name": "y"})
    org.sync(objects=["Plain__c"])
    org.purge("Plain__c", "a011")
    org.sync(objects=["Plain__c"])
    assert org.raw("id", "plain__c", "_deleted_at is null") == [("a012",)]
    with pytest.raises(ConfigurationError, match="no time of change"):
        org.sync(Asked(window=(datetime(2025, 1, 1, tzinfo=UTC),) * 2), objects=["Plain__c"])


def test_a_window_of_time_is_read_again(org: Org) -> None:
    start, end = (datetime(2025, 1, 1, 0, 0, second, tzinfo=UTC) for second in (5, 15))
    runs = org.sync(Asked(window=(start, end)))
    assert [(run.reported, run.inserted) for run in runs] == [(10, 10)]


def test_a_full_refresh_finds_what_is_gone(org: Org) -> None:
    org.sync()
    org.purge("Account", ACCOUNTS[0]["Id"])
    runs = org.sync(Asked(everything=True))
    assert [(run.slice, run.reported, run.missing) for run in runs] == [("refresh", 24, 1)]
