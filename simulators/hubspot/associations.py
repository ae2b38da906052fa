"""Associations between records, with labels: v4, for one record and for many."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from simulators.hubspot.answers import (
    batch,
    body_of,
    error_item,
    following,
    inputs_of,
    number_of,
)
from simulators.hubspot.catalogue import SYSTEM

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from simulators.hubspot.catalogue import Catalogue

_INPUTS_MOST, _PAGE = 1000, 500
_UNLABELLED = ({"category": "HUBSPOT_DEFINED", "typeId": 1, "label": None},)

Edge = dict[str, Any]


@dataclass
class Associations:
    """The associations of an account.

    Attributes:
        catalogue: the types.
        page: associations of one record that a batch shows at once.
    """

    catalogue: Catalogue
    page: int = _PAGE
    _edges: dict[tuple[str, str], dict[str, dict[str, Edge]]] = field(default_factory=dict)
    _batch: int = -1

    def of(self, one: str, other: str, id_: str) -> list[Edge]:
        """Return what a record is associated with, as v4 shows it, by id."""
        self._load()
        found = self._edges.get((one, other), {}).get(id_, {})
        gone = self.catalogue.census(other).hidden
        return [found[to] for to in sorted(found, key=int) if to not in gone]

    def single(self, request: Request) -> Response:
        """Answer `GET /crm/v4/objects/{type}/{id}/associations/{to}`."""
        parts = request.path_params
        one, other = map(self.catalogue.object_of, (parts["type"], parts["to"]))
        limit = number_of(request.query_params.get("limit"), "limit", default=_PAGE, most=_PAGE)
        after = request.query_params.get("after")
        results, rest = _page(self.of(one, other, parts["id"]), after, limit)
        return JSONResponse({"results": results, **(following(rest, request) if rest else {})})

    async def many(self, request: Request) -> Response:
        """Answer `POST /crm/v4/associations/{from}/{to}/batch/read`."""
        names = request.path_params["type"], request.path_params["to"]
        one, other = map(self.catalogue.object_of, names)
        results, errors = [], []
        for item in inputs_of(await body_of(request), _INPUTS_MOST):
            id_ = str(item["id"])
            edges = self.of(one, other, id_)
            some, rest = _page(edges, item.get("after"), self.page)
            if edges:
                paging = following(rest, request) if rest else {}
                results.append({"from": {"id": id_}, "to": some, **paging})
            else:
                errors.append(
                    error_item(
                        f"No {names[1]} is associated with {names[0]} {id_}.",
                        "crm.associations.NO_ASSOCIATIONS_FOUND",
                        fromObjectId=[id_], fromObjectType=[names[0]], toObjectType=[names[1]],
                    )
                )  # fmt: skip
        return batch(results, errors)

    def labels(self, request: Request) -> Response:
        """Answer `GET /crm/v4/associations/{from}/{to}/labels`."""
        parts = request.path_params
        one, other = map(self.catalogue.object_of, (parts["type"], parts["to"]))
        self._load()
        kinds = {
            json.dumps(kind, sort_keys=True): kind
            for edges in self._edges.get((one, other), {}).values()
            for edge in edges.values()
            for kind in edge["associationTypes"]
        }
        return JSONResponse({"results": [kinds[key] for key in sorted(kinds)]})

    def _load(self) -> None:
        """Read the file of associations anew after a batch."""
        store = self.catalogue.store
        if self._batch == store.batch:
            return
        self._edges = {}
        for record in store.select(SYSTEM, "associations", "not deleted"):
            self._add(record.body)
        self._batch = store.batch

    def _add(self, body: dict[str, Any]) -> None:
        here, there = ((body[f"{end}ObjectType"], str(body[f"{end}Id"])) for end in ("from", "to"))
        types = body.get("types") or _UNLABELLED
        back = body.get("reverseTypes") or types
        for (one, id_), (other, to), kinds in ((here, there, types), (there, here, back)):
            edges = self._edges.setdefault((one, other), {}).setdefault(id_, {})
            edge = edges.setdefault(to, {"toObjectId": to, "associationTypes": []})
            edge["associationTypes"] = [*edge["associationTypes"], *kinds]


def _page(edges: list[Edge], after: object, limit: int) -> tuple[list[Edge], str | None]:
    """Return the edges after the one with that id, and the id from which the next page goes on."""
    start = (
        0 if after is None else sum(int(edge["toObjectId"]) <= int(str(after)) for edge in edges)
    )
    some = edges[start : start + limit]
    return some, some[-1]["toObjectId"] if start + limit < len(edges) and some else None
