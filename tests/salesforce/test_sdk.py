# ruff: noqa: S106, SLF001  # secrets of the stand-in; the client has no public way to single jobs
"""simple-salesforce, as it is, takes the stand-in for Salesforce."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from salesforce_org import ACCOUNTS, Org, serving, write
from simple_salesforce import Salesforce as Client
from simple_salesforce.bulk2 import ColumnDelimiter, Operation
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceMalformedRequest,
    SalesforceOperationError,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class ToStandIn(HTTPAdapter):
    """Sends to the stand-in what is for an org."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def send(self, request: requests.PreparedRequest, *given: Any, **named: Any) -> Any:
        assert request.url
        request.url = self.url + request.url[request.url.index("/services/") :]
        return super().send(request, *given, **named)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Org]:
    write(tmp_path / "folder", "Account", ACCOUNTS)
    with serving(tmp_path / "folder", None, tmp_path) as served:
        yield served


@pytest.fixture
def client(served: Org) -> Iterator[Client]:
    with logged_in(served) as session:
        yield Client(
            consumer_key="key", consumer_secret="secret", domain="acme.my", session=session
        )


def logged_in(served: Org) -> requests.Session:
    session = requests.Session()
    session.mount("https://", ToStandIn(served.url))
    return session


def test_a_wrong_secret_is_refused_as_salesforce_does(served: Org) -> None:
    with logged_in(served) as session, pytest.raises(SalesforceAuthenticationFailed) as caught:
        Client(consumer_key="key", consumer_secret="no", domain="acme.my", session=session)
    assert caught.value.code == "invalid_client"


def test_a_query_has_typed_values_and_attributes(client: Client) -> None:
    found = client.query(
        "SELECT Id, Name, AnnualRevenue, NumberOfEmployees, IsDeleted, CreatedDate FROM Account "
        "WHERE Name = 'Name 2'"
    )
    assert found["totalSize"] == 1
    record = found["records"][0]
    assert record["attributes"] == {
        "type": "Account",
        "url": f"/services/data/v{client.sf_version}/sobjects/Account/{ACCOUNTS[1]['Id']}",
    }
    assert [record[name] for name in ("AnnualRevenue", "NumberOfEmployees", "IsDeleted")] == [
        2.1, 2, False,
    ]  # fmt: skip
    assert record["CreatedDate"] == "2025-01-01T00:00:00.000+0000"


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ("NumberOfEmployees > 23", [24, 25]),
        ("NumberOfEmployees <= 2 OR Name IN ('Name 5', 'Name 6')", [1, 2, 5, 6]),
        ("Name LIKE '%2%' AND (NumberOfEmployees < 3 OR NumberOfEmployees >= 24)", [2, 24, 25]),
        ("NOT (NumberOfEmployees > 2)", [1, 2]),
        ("Name NOT IN ('Name 1') AND NumberOfEmployees < 3", [2]),
        ("Website = null AND NumberOfEmployees = 9", [9]),
        ("Website != 'x' AND NumberOfEmployees = 9", [9]),
        ("Website != null", []),
        ("SystemModstamp >= 2025-01-01T00:00:24.000Z", [24, 25]),
        ("IsDeleted = true", []),
        ("Name = 'it''s'", None),
        ("Nothing__c = 1", None),
        ("SystemModstamp = 'text'", None),
        ("NumberOfEmployees = ", None),
    ],
)
def test_conditions_select_what_they_say(
    client: Client, where: str, numbers: list[int] | None
) -> None:
    soql = f"SELECT NumberOfEmployees FROM Account WHERE {where} ORDER BY NumberOfEmployees"
    if numbers is None:
        with pytest.raises(SalesforceMalformedRequest):
            client.query(soql)
    else:
        found = [record["NumberOfEmployees"] for record in client.query(soql)["records"]]
        assert found == numbers


def test_order_limit_count_and_fields(client: Client) -> None:
    ordered = client.query("SELECT Name FROM Account ORDER BY NumberOfEmployees DESC LIMIT 2")
    assert [record["Name"] for record in ordered["records"]] == ["Name 25", "Name 24"]
    assert (
        client.query("SELECT COUNT() FROM Account WHERE NumberOfEmployees > 5")["totalSize"] == 20
    )
    every = client.query("SELECT FIELDS(ALL) FROM Account LIMIT 1")["records"][0]
    custom = client.query("SELECT FIELDS(CUSTOM) FROM Account LIMIT 1")["records"][0]
    assert {"Id", "Website", "Score__c"} <= every.keys()
    assert custom.keys() == {"attributes", "Score__c"}


def test_query_all_follows_the_pages_and_shows_what_is_deleted(served: Org, client: Client) -> None:
    served.system.rest.page = 10
    served.change(3, 1, IsDeleted="true")
    soql = "SELECT Id FROM Account"
    assert client.query_all(soql)["totalSize"] == 24
    assert len(client.query_all(soql)["records"]) == 24
    assert len([*client.query_all_iter(soql, include_deleted=True)]) == 25


def test_errors_have_the_codes_of_salesforce(served: Org, client: Client) -> None:
    for soql, code in {
        "SELECT FROM": "MALFORMED_QUERY",
        "SELECT Nope FROM Account": "INVALID_FIELD",
        "SELECT Id FROM Nope": "INVALID_TYPE",
    }.items():
        with pytest.raises(SalesforceMalformedRequest) as caught:
            client.query(soql)
        assert caught.value.content[0]["errorCode"] == code
    with pytest.raises(SalesforceResourceNotFound):
        client.Nope.describe()
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_QUERY_LOCATOR"):
        client.query_more("01g-2000")
    served.system.budget.most = served.system.budget.used
    with pytest.raises(SalesforceRefusedRequest, match="REQUEST_LIMIT_EXCEEDED"):
        client.query("SELECT Id FROM Account")


def test_a_session_that_has_expired_is_begun_anew(served: Org, client: Client) -> None:
    before = client.session_id
    served.system.tokens.expire()
    assert client.query("SELECT Id FROM Account")["totalSize"] == 25
    assert client.session_id != before


def test_objects_fields_limits_and_usage_are_told(served: Org, client: Client) -> None:
    assert "Account" in [entry["name"] for entry in client.describe()["sobjects"]]
    fields = {field["name"]: field for field in client.Account.describe()["fields"]}
    assert [fields[name]["type"] for name in ("Id", "AnnualRevenue", "SystemModstamp")] == [
        "id", "currency", "datetime",
    ]  # fmt: skip
    assert client.limits()["DailyApiRequests"]["Max"] == served.system.budget.most
    assert client.api_usage["api-usage"].total == served.system.budget.most


def test_deleted_records_are_told_by_their_time(served: Org, client: Client) -> None:
    served.change(3, 1, IsDeleted="true")
    start, end = (datetime(2025, 1, 1, 2, minute, tzinfo=UTC) for minute in (0, 3))
    told = client.Account.deleted(start, end)
    assert told["deletedRecords"] == [
        {"id": ACCOUNTS[2]["Id"], "deletedDate": "2025-01-01T02:01:00.000+0000"}
    ]
    assert client.Account.deleted(end, datetime(2025, 1, 1, 2, 9, tzinfo=UTC))[
        "deletedRecords"
    ] == []  # fmt: skip


def test_bulk_gives_every_record_page_by_page(client: Client) -> None:
    pages = [*client.bulk2.Account.query("SELECT Id, Name FROM Account", max_records=10, wait=0)]
    rows = [row for page in pages for row in csv.DictReader(io.StringIO(page, newline=""))]
    assert len(pages) == 3
    assert rows == [{"Id": record["Id"], "Name": record["Name"]} for record in ACCOUNTS]


def test_bulk_shows_deleted_records_only_when_asked_to(served: Org, client: Client) -> None:
    served.change(3, 1, IsDeleted="true")
    counts = [
        sum(page.count("\n") - 1 for page in ask("SELECT Id FROM Account", wait=0))
        for ask in (client.bulk2.Account.query, client.bulk2.Account.query_all)
    ]
    assert counts == [24, 25]


def test_bulk_writes_times_and_delimiters_its_own_way(client: Client) -> None:
    [page] = client.bulk2.Account.query(
        "SELECT Id, CreatedDate FROM Account LIMIT 1",
        column_delimiter=ColumnDelimiter.TAB,
        wait=0,
    )
    assert page == f'"Id"\t"CreatedDate"\n"{ACCOUNTS[0]["Id"]}"\t"2025-01-01T00:00:00.000Z"\n'


@pytest.mark.parametrize("kind", ["job_failed", "job_aborted"])
def test_a_job_that_fails_is_told_as_failed(served: Org, client: Client, kind: str) -> None:
    served.stand_in.fault(kind, system="salesforce", times=1)
    with pytest.raises(SalesforceOperationError):
        [*client.bulk2.Account.query("SELECT Id FROM Account", wait=0)]


def test_a_job_can_be_aborted_listed_and_deleted(served: Org, client: Client) -> None:
    jobs = client.bulk2.Account._client
    job = jobs.create_job(Operation.query, "SELECT Id FROM Account")
    assert job["state"] == "UploadComplete"
    with pytest.raises(SalesforceMalformedRequest, match="INVALIDJOBSTATE"):
        jobs.get_query_results(job["id"])
    assert jobs.abort_job(job["id"], is_query=True)["state"] == "Aborted"
    headers = {"Authorization": f"Bearer {client.session_id}"}
    base = f"{served.url}/services/data/v{client.sf_version}/jobs/query"
    listed = requests.get(base, headers=headers, timeout=10).json()
    assert [entry["state"] for entry in listed["records"]] == ["Aborted"]
    assert requests.delete(f"{base}/{job['id']}", headers=headers, timeout=10).status_code == 204
    assert requests.get(f"{base}/{job['id']}", headers=headers, timeout=10).status_code == 404


def test_result_pages_can_be_read_side_by_side(served: Org, client: Client) -> None:
    served.system.bulk.page = 4
    jobs = client.bulk2.Account._client
    job = jobs.create_job(Operation.query, "SELECT Id FROM Account")["id"]
    jobs.wait_for_job(job, is_query=True, wait=0)
    pages, path = [], f"jobs/query/{job}/resultPages"
    while path:
        told = client.restful(path)
        pages += told["resultPages"]
        more = told["nextRecordsUrl"]
        path = more and more.removeprefix(f"/services/data/v{client.sf_version}/")
    headers = {"Authorization": f"Bearer {client.session_id}"}
    found = [
        line
        for page in pages
        for line in requests.get(
            served.url + page["resultUrl"], headers=headers, timeout=10
        ).text.splitlines()[1:]
    ]
    assert len(pages) == 7
    assert found == [f'"{record["Id"]}"' for record in ACCOUNTS]


def test_results_are_refused_with_another_version(served: Org, client: Client) -> None:
    jobs = client.bulk2.Account._client
    job = jobs.create_job(Operation.query, "SELECT Id FROM Account")["id"]
    jobs.wait_for_job(job, is_query=True, wait=0)
    headers = {"Authorization": f"Bearer {client.session_id}"}
    url = f"{served.url}/services/data/v66.0/jobs/query/{job}/results"
    assert requests.get(url, headers=headers, timeout=10).status_code == 409


@pytest.mark.parametrize(
    "soql", ["SELECT COUNT() FROM Account", "SELECT Id FROM Task", "SELECT Nope FROM Account"]
)
def test_bulk_refuses_what_it_cannot_do(served: Org, client: Client, soql: str) -> None:
    served.system.org.no_bulk.add("Task")
    with pytest.raises(SalesforceMalformedRequest):
        client.bulk2.Account._client.create_job(Operation.query, soql)
