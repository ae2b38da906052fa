"""Objects: lists, single records and batches of them, of every type."""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from simulators.hubspot.answers import (
    RefusedError,
    batch,
    body_of,
    error_item,
    following,
    inputs_of,
    is_true,
    number_of,
)
from simulators.hubspot.catalogue import SYSTEM, changed_of, created_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from simulators.faults import Faults
    from simulators.hubspot.associations import Associations
    from simulators.hubspot.catalogue import Catalogue
    from simulators.store import Stored

LIST_MOST, LIST_USUAL, WITH_HISTORY_MOST, BATCH_MOST = 100, 10, 50, 100


@dataclass(frozen=True)
class Objects:
    """Answers what is asked of single types of objects.

    Attributes:
        catalogue: the types.
        associations: between records.
        faults: what is to fail.
    """

    catalogue: Catalogue
    associations: Associations
    faults: Faults

    def page(self, request: Request) -> Response:
        """Answer `GET /crm/v3/objects/{type}`: records by id, the next page from the last id."""
        object_ = self.catalogue.object_of(request.path_params["type"])
        query = request.query_params
        history = names_of(query.getlist("propertiesWithHistory"))
        limit = number_of(
            query.get("limit"), "limit", default=LIST_USUAL,
            most=WITH_HISTORY_MOST if history else LIST_MOST,
        )  # fmt: skip
        after = number_of(query.get("after"), "after", default=0, least=0, most=1 << 63)
        census = self.catalogue.census(object_)
        ids = census.archived if is_true(query.get("archived")) else census.alive
        start = bisect_right(ids, after)
        if self.faults.take(SYSTEM, request.url.path, "short_page"):
            limit = 0 if start else max(1, limit // 2)
        some = ids[start : start + limit]
        is_last = start + limit >= len(ids)
        last = some[-1] if some else after
        if not is_last and self.faults.take(SYSTEM, request.url.path, "duplicate_page"):
            last = after
        wanted = names_of(query.getlist("properties"))
        results = [
            self._with_associations(object_, shown, names_of(query.getlist("associations")))
            for shown in self._shown(object_, map(str, some), wanted, history)
        ]
        return JSONResponse({"results": results, **({} if is_last else following(last, request))})

    def one(self, request: Request) -> Response:
        """Answer `GET /crm/v3/objects/{type}/{id}`."""
        object_ = self.catalogue.object_of(request.path_params["type"])
        query = request.query_params
        census = self.catalogue.census(object_)
        archived = is_true(query.get("archived"))
        id_ = request.path_params["id"]
        wanted = names_of(query.getlist("properties"))
        history = names_of(query.getlist("propertiesWithHistory"))
        found = [
            shown
            for shown in self._shown(object_, [id_], wanted, history)
            if shown["archived"] is archived and id_ not in census.hidden
        ]
        if not found:
            raise RefusedError(HTTPStatus.NOT_FOUND, "resource not found")
        names = names_of(query.getlist("associations"))
        return JSONResponse(self._with_associations(object_, found[0], names))

    async def batch_read(self, request: Request) -> Response:
        """Answer `POST /crm/v3/objects/{type}/batch/read`: those of the ids that there are."""
        object_ = self.catalogue.object_of(request.path_params["type"])
        body = await body_of(request)
        history = names_of(body.get("propertiesWithHistory") or [])
        inputs = inputs_of(body, WITH_HISTORY_MOST if history else BATCH_MOST)
        asked = list(dict.fromkeys(str(item["id"]) for item in inputs))
        archived = is_true(request.query_params.get("archived"))
        hidden = self.catalogue.census(object_).hidden
        results = [
            shown
            for shown in self._shown(
                object_, asked, names_of(body.get("properties") or []), history
            )
            if shown["archived"] is archived and shown["id"] not in hidden
        ]
        missing = sorted(set(asked) - {shown["id"] for shown in results})
        errors = [error_item("Could not get some objects", None, ids=missing)] if missing else []
        return batch(results, errors)

    def _shown(
        self,
        object_: str,
        ids: Iterable[str],
        wanted: Sequence[str],
        history: Sequence[str],
    ) -> list[dict[str, Any]]:
        """Return the records with these ids as the API shows them, those that there are."""
        found = self.catalogue.store.select(
            SYSTEM, object_, "id in (select value from json_each(?))", [json.dumps([*ids])],
            order="cast(id as integer)",
        )  # fmt: skip
        return [self.shown(object_, record, wanted, history) for record in found]

    def shown(
        self,
        object_: str,
        record: Stored,
        wanted: Sequence[str] = (),
        history: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Return a record as the API shows it.

        Args:
            object_: its type.
            record: as the store has it.
            wanted: properties to show beside those that are always shown.
            history: properties to show with their history.
        """
        body = record.body
        known = {
            "hs_object_id": record.id,
            created_of(object_): body.get("createdAt"),
            changed_of(object_): body.get("updatedAt"),
            **body.get("properties", {}),
        }
        usual = wanted or self.catalogue.type_of(object_).defaults
        names = dict.fromkeys([*usual, *history, "hs_object_id", *_times(object_)])
        exists = self.catalogue.census(object_).names
        result = {
            "id": record.id,
            "properties": {name: known.get(name) for name in names if name in exists},
            "createdAt": body.get("createdAt"),
            "updatedAt": body.get("updatedAt"),
            "archived": record.deleted,
        }
        if history:
            result["propertiesWithHistory"] = {
                name: _versions(known.get(name), body.get("updatedAt"))
                for name in history
                if name in exists
            }
        if record.deleted and body.get("archivedAt"):
            result["archivedAt"] = body["archivedAt"]
        return result

    def _with_associations(
        self, object_: str, shown: dict[str, Any], names: Collection[str]
    ) -> dict[str, Any]:
        """Add the associations with these types, as v3 shows them: without labels."""
        singular = self.catalogue.type_of(object_).singular
        found = {}
        for other in map(self.catalogue.object_of, names):
            kind = f"{singular}_to_{self.catalogue.type_of(other).singular}"
            edges = self.associations.of(object_, other, shown["id"])
            if edges:
                found[other] = {
                    "results": [{"id": edge["toObjectId"], "type": kind} for edge in edges]
                }
        return {**shown, "associations": found} if found else shown


def names_of(values: Iterable[str]) -> list[str]:
    """Return names that are given one by one, or separated by commas."""
    return [name for value in values for name in value.split(",") if name]


def _times(object_: str) -> tuple[str, str]:
    return created_of(object_), changed_of(object_)


def _versions(value: str | None, when: str | None) -> list[dict[str, Any]]:
    return [{"value": value, "timestamp": when, "sourceType": "CRM_UI"}] if value else []
