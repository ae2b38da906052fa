"""The stand-in, asked by HubSpot's own client, unmodified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import hubspot
import pytest
from hubspot.crm.associations.v4 import BatchInputPublicFetchAssociationsBatchRequest
from hubspot.crm.companies import ApiException as CompaniesException
from hubspot.crm.contacts import (
    ApiException,
    BatchReadInputSimplePublicObjectId,
    PublicObjectSearchRequest,
)
from hubspot_account import account, at, pair, record, write

from simulators.hubspot import CLIENT_ID, CLIENT_SECRET, CONTACTS_ONLY_TOKEN, REFRESH_TOKEN, TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hubspot_account import Account

    from crmhouse.warehouse import Warehouse


@pytest.fixture
def made(tmp_path: Path, warehouse: Warehouse) -> Iterator[Account]:
    write(
        tmp_path / "data", 1,
        contacts=[
            *(record(n, firstname=f"N{n}") for n in range(1, 251)),
            record(900, archived=True, archivedAt=at(5, day=3)),
        ],
        companies=[record(n) for n in range(1, 6)],
        associations=[pair(1, 2, "Boss"), pair(1, 3), pair(2, 3)],
        schemas=[{"id": "2-55", "name": "cars", "fullyQualifiedName": "p1_cars"}],
        owners=[{"id": "7", "email": "o@acme.example", "firstName": "O", "lastName": "P",
                 "userId": 7, "createdAt": at(1), "updatedAt": at(1), "archived": False,
                 "type": "PERSON"}],
        pipelines=[{"id": "default", "objectType": "deals", "label": "Sales", "displayOrder": 0,
                    "createdAt": at(1), "updatedAt": at(1), "archived": False, "stages": []}],
    )  # fmt: skip
    with account(tmp_path / "data", tmp_path, warehouse) as running:
        yield running


def client(made: Account, token: str = TOKEN) -> Any:
    return hubspot.Client.create(access_token=token, host=made.url)


def test_the_client_pages_through_a_list(made: Account) -> None:
    api = client(made).crm.contacts
    found = api.get_all(properties=["firstname"])
    assert [int(one.id) for one in found] == [*range(1, 251)]
    assert found[7].properties["firstname"] == "N8"
    page = api.basic_api.get_page(limit=3, after="3", archived=False)
    assert ([one.id for one in page.results], page.paging.next.after) == (["4", "5", "6"], "6")
    [gone] = api.basic_api.get_page(archived=True).results
    assert (gone.id, gone.archived, gone.archived_at.day) == ("900", True, 3)


def test_the_client_searches(made: Account) -> None:
    api = client(made).crm.contacts.search_api
    late = {"propertyName": "lastmodifieddate", "operator": "GTE", "value": "1767229200000"}
    request = PublicObjectSearchRequest(
        filter_groups=[{"filters": [late]}], limit=4, after="0", properties=["firstname"],
        sorts=[{"propertyName": "lastmodifieddate", "direction": "DESCENDING"}],
    )  # fmt: skip
    found = api.do_search(public_object_search_request=request)
    assert (found.total, found.paging.next.after) == (191, "4")
    assert [one.id for one in found.results] == ["250", "249", "248", "247"]
    request.after = "9999"
    with pytest.raises(ApiException) as refused:
        api.do_search(public_object_search_request=request)
    assert refused.value.status == 400
    assert "VALIDATION_ERROR" in refused.value.body


@pytest.mark.parametrize(
    ("operator", "more", "expected"),
    [
        ("EQ", {"value": "N7"}, ["7"]),
        ("IN", {"values": ["N7", "N9"]}, ["7", "9"]),
        ("CONTAINS_TOKEN", {"value": "n24*"}, ["24", *map(str, range(240, 250))]),
        ("NOT_HAS_PROPERTY", {}, []),
    ],
)
def test_the_search_knows_the_operators(
    made: Account, operator: str, more: dict[str, Any], expected: list[str]
) -> None:
    filter_ = {"propertyName": "firstname", "operator": operator, **more}
    request = PublicObjectSearchRequest(
        filter_groups=[{"filters": [filter_]}], limit=100, sorts=["hs_object_id"]
    )
    found = client(made).crm.contacts.search_api.do_search(public_object_search_request=request)
    assert [one.id for one in found.results] == expected


def test_the_client_reads_batches(made: Account) -> None:
    api = client(made).crm.contacts.batch_api
    asked = BatchReadInputSimplePublicObjectId(
        inputs=[{"id": "5"}, {"id": "900"}, {"id": "2"}], properties=["firstname"],
        properties_with_history=["firstname"],
    )  # fmt: skip
    found = api.read(batch_read_input_simple_public_object_id=asked)
    assert {one.id: one.properties["firstname"] for one in found.results} == {"2": "N2", "5": "N5"}
    assert found.results[0].properties_with_history["firstname"][0].value == "N2"
    assert found.num_errors == 1


def test_the_client_reads_associations(made: Account) -> None:
    api = client(made).crm.associations.v4
    asked = BatchInputPublicFetchAssociationsBatchRequest(inputs=[{"id": "1"}, {"id": "9"}])
    found = api.batch_api.get_page(
        from_object_type="contacts", to_object_type="companies",
        batch_input_public_fetch_associations_batch_request=asked,
    )  # fmt: skip
    [one] = found.results
    assert [int(to.to_object_id) for to in one.to] == [2, 3]
    assert [kind.label for kind in one.to[0].association_types] == [None, "Boss"]
    assert found.errors[0].sub_category == "crm.associations.NO_ASSOCIATIONS_FOUND"
    back = api.basic_api.get_page("companies", "3", "contacts", limit=1)
    assert ([int(to.to_object_id) for to in back.results], back.paging.next.after) == ([1], "1")


def test_the_client_reads_what_describes_the_account(made: Account) -> None:
    crm = client(made).crm
    names = {one.name for one in crm.properties.core_api.get_all("contacts").results}
    assert {"email", "firstname", "lastmodifieddate", "hs_object_id"} <= names
    assert [one.email for one in crm.owners.owners_api.get_page().results] == ["o@acme.example"]
    assert [one.label for one in crm.pipelines.pipelines_api.get_all("deals").results] == ["Sales"]


def test_the_client_is_let_in_by_oauth_until_the_token_expires(made: Account) -> None:
    granted = client(made).oauth.tokens_api.create(
        grant_type="refresh_token", client_id=CLIENT_ID, client_secret=CLIENT_SECRET,
        refresh_token=REFRESH_TOKEN,
    )  # fmt: skip
    assert granted.expires_in == 1800
    api = client(made, granted.access_token).crm.contacts.basic_api
    assert len(api.get_page().results) == 10
    made.running.fault("token_expired", times=1)
    for _ in range(2):
        with pytest.raises(ApiException) as expired:
            api.get_page()
        assert expired.value.status == 401


def test_the_client_is_refused_what_it_has_no_scope_for(made: Account) -> None:
    with pytest.raises(CompaniesException) as refused:
        client(made, CONTACTS_ONLY_TOKEN).crm.companies.basic_api.get_page()
    assert refused.value.status == 403
    assert "crm.objects.companies.read" in refused.value.body


@pytest.mark.parametrize("date", ["2026-03", "2026-09"])
def test_versions_by_date_answer_below_their_own_paths_as_those_by_number(
    made: Account, date: str
) -> None:
    search = {"limit": 2, "after": "0", "sorts": ["hs_object_id"], "properties": ["firstname"],
              "filterGroups": []}  # fmt: skip
    read = {"inputs": [{"id": "5"}], "properties": ["firstname"], "propertiesWithHistory": []}
    asked: list[tuple[str, str, Any]] = [
        ("/crm/v3/objects/contacts?limit=2", "/crm/objects/{}/contacts?limit=2", None),
        ("/crm/v3/objects/contacts/7", "/crm/objects/{}/contacts/7", None),
        ("/crm/v3/objects/contacts/search", "/crm/objects/{}/contacts/search", search),
        ("/crm/v3/objects/contacts/batch/read", "/crm/objects/{}/contacts/batch/read", read),
        ("/crm/v4/associations/contacts/companies/batch/read",
         "/crm/associations/{}/contacts/companies/batch/read", {"inputs": [{"id": "1"}]}),
        ("/crm/v4/associations/contacts/companies/labels",
         "/crm/associations/{}/contacts/companies/labels", None),
        ("/crm/v4/objects/contacts/1/associations/companies",
         "/crm/objects/{}/contacts/1/associations/companies", None),
        ("/crm/v3/properties/contacts", "/crm/properties/{}/contacts", None),
        ("/crm/v3/pipelines/deals", "/crm/pipelines/{}/deals", None),
        ("/crm/v3/owners", "/crm/owners/{}", None),
        ("/crm/v3/schemas", "/crm-object-schemas/{}/schemas", None),
    ]  # fmt: skip
    with httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        for by_number, by_date, body in asked:
            method = "POST" if body else "GET"
            first, second = (
                client.request(method, f"{made.url}{path}", json=body)
                for path in (by_number, by_date.format(date))
            )
            assert (first.status_code, second.status_code) == (200, 200), by_date
            found, expected = second.json(), first.json()
            assert found["results" if "results" in found else "id"]
            for answer in (found, expected):
                for changing in ("startedAt", "completedAt", "paging"):
                    answer.pop(changing, None)
            assert found == expected
