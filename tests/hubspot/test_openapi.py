"""What is sent and what the stand-in answers, against HubSpot's own OpenAPI documents.

They are fetched when the test runs, for they have no licence to be copied. `HUBSPOT_OPENAPI` names
a folder that has them as their repository does (`PublicApiSpecs/CRM/...`).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hubspot_account import UNLIMITED, Account, account, at, pair, record, write
from openapi import Document, Exchange, Recorder
from starlette.applications import Starlette
from starlette.routing import Mount

from crmhouse.errors import SyncFailedError
from ingestion.stream_sync import Asked
from simulators.hubspot import CONTACTS_ONLY_TOKEN, HubSpot, Limits

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from crmhouse.warehouse import Warehouse

WHERE = (
    "https://raw.githubusercontent.com/HubSpot/HubSpot-public-api-spec-collection/main/"
    "PublicApiSpecs/CRM"
)
FILES = {
    "objects": "Objects/Rollouts/424/v3/objects.json",
    "companies": "Companies/Rollouts/424/v3/companies.json",
    "associations": "Associations/Rollouts/130902/v4/associations.json",
    "labels": "Associations Schema/Rollouts/130902/v4/associationsSchema.json",
    "owners": "Crm Owners/Rollouts/146888/v3/crmOwners.json",
    "pipelines": "Pipelines/Rollouts/145896/v3/pipelines.json",
    "properties": "Properties/Rollouts/145899/v3/properties.json",
    "schemas": "Schemas/Rollouts/145900/v3/schemas.json",
}
SECONDS = 5
OBJECTS = ["contacts", "companies", "deals"]
WIDE = {f"a_property_with_quite_a_long_name_{n:04d}": str(n) for n in range(400)}
BY_SEARCH = {"searches_per_second": 1e9}


class Recorded(HubSpot):
    """The stand-in, which remembers what it was asked."""

    exchanges: list[Exchange]

    def routes(self) -> list[BaseRoute]:
        recorder = Recorder(Starlette(routes=super().routes()))
        self.exchanges = recorder.exchanges
        return [Mount("/", app=recorder)]


@cache
def documents() -> dict[str, Document]:
    """Return HubSpot's documents; the test is skipped where they are not to be had."""
    folder = os.environ.get("HUBSPOT_OPENAPI")
    found = {}
    for name, path in FILES.items():
        if folder:
            text = (Path(folder) / "PublicApiSpecs/CRM" / path).read_text(encoding="utf-8")
        else:
            try:
                text = httpx.get(f"{WHERE}/{path}", timeout=SECONDS).raise_for_status().text
            except httpx.HTTPError as error:
                pytest.skip(
                    f"HubSpot's OpenAPI documents cannot be fetched ({type(error).__name__}); "
                    "HUBSPOT_OPENAPI may name a folder that has them"
                )
        found[name] = Document(amended(json.loads(text)))
    return found


def amended(document: dict[str, Any]) -> dict[str, Any]:
    """Correct what the documents have otherwise than the service.

    - The label of an association without one is null (guide of the associations API).
    - The sub category of an error is a name, not an object, as in `Error`.
    - A sort is an object with a direction (guide of the search), not only a name.
    - A batch of which some records are missing is answered with 207 and the same shape (HubSpot's
      clients; older versions of the document).
    """
    schemas = document["components"]["schemas"]
    if label := schemas.get("AssociationSpecWithLabel"):
        label["properties"]["label"]["nullable"] = True
    if error := schemas.get("StandardError"):
        error["properties"]["subCategory"] = {"type": "string"}
    if search := schemas.get("PublicObjectSearchRequest"):
        direction = {"type": "string", "enum": ["ASCENDING", "DESCENDING"]}
        by = {"propertyName": {"type": "string"}, "direction": direction}
        sort = {"type": "object", "required": [*by], "properties": by}
        search["properties"]["sorts"]["items"] = {"anyOf": [{"type": "string"}, sort]}
    for path, operations in document["paths"].items():
        if path.endswith("/batch/read") and "objects" in path:
            responses = operations["post"]["responses"]
            responses.setdefault("207", responses["200"])
    return document


def violations(exchanges: list[Exchange]) -> list[str]:
    """Say what is not as some document says, and what no document knows."""
    found = []
    for exchange in exchanges:
        told = [document.violations(exchange) for document in documents().values()]
        known = [one for one in told if one is not None]
        if not known:
            found.append(f"{exchange.place}: no document has it")
        found += [line for one in known for line in one]
    return list(dict.fromkeys(found))


@pytest.fixture
def made(tmp_path: Path, warehouse: Warehouse) -> Any:
    frame = {"createdAt": at(1), "updatedAt": at(1)}
    stage = {"id": "won", "label": "Won", "displayOrder": 0, "archived": False,
             "metadata": {"probability": "1.0"}, **frame}  # fmt: skip
    folder = tmp_path / "data"
    write(
        folder, 1,
        contacts=[
            *(record(n, firstname=f"N{n}", nothing=None) for n in range(1, 251)),
            record(900, archived=True, archivedAt=at(5, day=3)),
        ],
        companies=[record(n, name=f"C{n}") for n in range(1, 41)],
        deals=[record(n, amount="10.50", **WIDE) for n in (1, 2)],
        cars=[record(n, wheels="4") for n in (1, 2)],
        schemas=[{"id": "2-55", "name": "cars", "fullyQualifiedName": "p1_cars"}],
        associations=[pair(1, 2, "Boss"), *(pair(2, n) for n in range(3, 40))],
        owners=[{"id": str(n), "email": f"{n}@acme.example", "archived": n == 2, **frame}
                for n in range(1, 151)],
        pipelines=[{"id": "default", "objectType": "deals", "label": "Sales", "displayOrder": 0,
                    "archived": False, "stages": [stage], **frame}],
    )  # fmt: skip
    write(
        folder, 2,
        contacts=[
            record(5, at(0, day=9)), record(6, at(6), archived=True, archivedAt=at(1, day=9)),
            record(8, at(1, day=9), hs_merged_object_ids="9"), record(10, purged=True),
        ],
        associations=[pair(5, 7, "Buyer")],
    )  # fmt: skip
    with account(folder, tmp_path, warehouse, Recorded) as running:
        running.service.associations.page = 10
        yield running


def test_our_requests_and_the_answers_of_the_stand_in_are_as_hubspot_documents_them(
    made: Account,
) -> None:
    documents()
    whole: dict[str, Any] = {
        "objects": OBJECTS, "custom_objects": True, "streams": None, "sweep_every_hours": 0,
        "associations_every_hours": 0,
    }  # fmt: skip
    made.sync(**whole)
    made.sync(**whole, properties_with_history={"contacts": ["firstname"]})
    made.running.advance()
    made.sync(**{**whole, "associations_every_hours": 24})
    made.sync(**whole, asked=Asked(everything=True))
    assert made.check(objects=OBJECTS, custom_objects=True) == []
    made.sync(streams=["deals"], objects=["deals"], lookback=1e9)
    made.service.search.ceiling = 40
    made.sync(lookback=1e7, window_rows=40, **BY_SEARCH)
    refused(made)
    service = made.service
    assert isinstance(service, Recorded)
    statuses = Counter(exchange.status for exchange in service.exchanges)
    assert statuses.keys() >= {200, 207, 400, 401, 403, 404, 429}
    assert violations(service.exchanges) == []


def refused(made: Account) -> None:
    """Bring about each kind of refusal."""
    made.check(token="pat-na1-wrong", objects=["contacts"])  # noqa: S106  # lets nobody in
    made.check(token=CONTACTS_ONLY_TOKEN, objects=["deals"])
    made.check(objects=["p1_unknown"])
    made.service.access.limits = Limits(1_000_000, 1_000_000, daily=0)
    with pytest.raises(SyncFailedError, match="DAILY"):
        made.sync()
    made.service.access.limits = UNLIMITED
    token = {"Authorization": "Bearer pat-na1-stand-in"}
    for path, body in (("contacts/777", None), ("contacts/batch/read", {"inputs": [{"id": "777"}],
                       "properties": [], "propertiesWithHistory": []})):  # fmt: skip
        url = f"{made.url}/crm/v3/objects/{path}"
        httpx.request("POST" if body else "GET", url, json=body, headers=token)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"query": [("limit", "many")]}, "query: limit: $ 'many' is not of type 'integer'"),
        ({"query": [("page", "2")]}, "query: page is not documented"),
        ({"answer": {"paging": {}}}, "answer: $ 'results' is a required property"),
        ({"answer": {"results": [{"id": 5}]}}, "answer: $.results[0].id 5 is not of type 'string'"),
        ({"status": 202}, "answer: the status 202 is not documented"),
        ({"status": 404, "answer": {}}, "answer: $ 'category' is a required property"),
    ],
)
def test_what_is_not_as_documented_is_found(change: dict[str, Any], told: str) -> None:
    answer: dict[str, Any] = {"results": [], "paging": {"next": {"after": "5"}}}
    fine = Exchange("get", "/things", [("limit", "5")], None, 200, answer)
    required = {"type": "object", "required": ["results"], "properties": {"results": {
        "type": "array",
        "items": {"type": "object", "properties": {"id": {"type": "string"}}},
    }}}  # fmt: skip
    error = {"type": "object", "required": ["category"]}
    document = Document({
        "paths": {"/things": {"get": {
            "parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer"}}],
            "responses": {
                "200": {"content": {"application/json": {
                    "schema": {"$ref": "#/components/schemas/Page"},
                }}},
                "default": {"$ref": "#/components/responses/Error"},
            },
        }}},
        "components": {
            "schemas": {"Page": required},
            "responses": {"Error": {"content": {"*/*": {"schema": error}}}},
        },
    })  # fmt: skip
    assert document.violations(fine) == []
    assert document.violations(fine._replace(path="/others")) is None
    found = document.violations(fine._replace(**change))
    assert found
    assert told in found[0]
