"""The service: what it answers to, and what every request goes through."""

from __future__ import annotations

import inspect
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.routing import Route

from simulators.hubspot.access import TOKEN, Access
from simulators.hubspot.answers import RefusedError, following, is_true, number_of
from simulators.hubspot.associations import Associations
from simulators.hubspot.catalogue import SYSTEM, Catalogue
from simulators.hubspot.objects import Objects
from simulators.hubspot.search import Search
from simulators.store import Shape

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from simulators.faults import Fault, Faults
    from simulators.store import Store, Stored

    Handler = Callable[[Request], Response | Awaitable[Response]]

_OWNERS_MOST, _OWNERS_USUAL = 500, 100
_DATED = ("2026-03", "2026-09")


class HubSpot:
    """The stand-in of HubSpot.

    Attributes:
        access: who may ask, and how often.
        search: has the ceiling of the search.
        associations: has the size of a page.
        longest_url: bytes of path and query.
    """

    shape = Shape("id", "createdAt", "updatedAt", "archived")
    credentials: ClassVar[Mapping[str, str]] = MappingProxyType({"token": TOKEN})
    passing = ("token_expired", "late_rows", "duplicate_page", "short_page", "quota_daily")

    def __init__(self, store: Store, faults: Faults) -> None:
        self.store = store
        self.access = Access(faults)
        self.catalogue = Catalogue(store)
        self.associations = Associations(self.catalogue)
        self.objects = Objects(self.catalogue, self.associations, faults)
        self.search = Search(self.catalogue, self.objects, faults)
        self.longest_url = 16_000

    def routes(self) -> list[BaseRoute]:
        """Return what it answers to."""
        grants = [
            Route(f"/oauth/{version}/token", self._open(self.access.grant), methods=["POST"])
            for version in ("v1", *_DATED)
        ]
        dated = [route for date in _DATED for route in self._crm(f"/crm/{{}}/{date}", date)]
        return [*grants, *self._crm("/crm/v3/{}", "v3", "/crm/v4/{}"), *dated]

    def _crm(self, place: str, version: str, newer: str | None = None) -> list[BaseRoute]:
        """Return the routes of a version of the CRM API.

        Args:
            place: path of a part of it.
            version: its name.
            newer: path of the parts that have a version of their own.
        """
        objects, associations = self.objects, self.associations
        one, owners = f"{place.format('objects')}/{{type}}", place.format("owners")
        pair = f"{(newer or place).format('associations')}/{{type}}/{{to}}"
        of_one = f"{(newer or place).format('objects')}/{{type}}/{{id}}/associations/{{to}}"
        schemas = [f"/crm-object-schemas/{version}/schemas"]
        schemas += ["/crm/v3/schemas"] if newer else []
        return [
            self._of_type(f"{one}/search", self.search.answer, "POST", is_search=True),
            self._of_type(f"{one}/batch/read", objects.batch_read, "POST"),
            self._of_type(one, objects.page),
            self._of_type(f"{one}/{{id}}", objects.one),
            self._of_type(f"{pair}/batch/read", associations.many, "POST"),
            self._of_type(f"{pair}/labels", associations.labels),
            self._of_type(of_one, associations.single),
            self._of_type(f"{place.format('properties')}/{{type}}", self._properties),
            self._of_type(f"{place.format('pipelines')}/{{type}}", self._pipelines),
            *(self._route(path, self._schemas, "crm.schemas.custom.read") for path in schemas),
            self._route(owners, self._owners, "crm.objects.owners.read"),
            self._route(f"{owners}/", self._owners, "crm.objects.owners.read"),
        ]

    def error(self, fault: Fault) -> Response:
        """Return the answer with which HubSpot fails like that."""
        after = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        more = {"policyName": fault.code} if fault.code else {}
        return RefusedError(fault.status, "internal error", headers=after, **more).answer()

    def changed(self, object_: str, before: Stored | None, after: Stored) -> None:  # noqa: ARG002
        """Hear of a record that a batch after the first has brought."""
        self.search.changed(object_, after.id)

    def _of_type(
        self, path: str, handler: Handler, method: str = "GET", *, is_search: bool = False
    ) -> Route:
        def scope(request: Request) -> str:
            return self.catalogue.scope_of(request.path_params["type"])

        answer = self._guarded(handler, scope, is_search=is_search)
        return Route(path, answer, methods=[method])

    def _route(self, path: str, handler: Handler, scope: str) -> Route:
        return Route(path, self._guarded(handler, lambda _: scope))

    def _guarded(
        self,
        handler: Handler,
        scope: Callable[[Request], str],
        *,
        is_search: bool = False,
    ) -> Callable[[Request], Awaitable[Response]]:
        """Let in who may ask, and tell of the limits."""

        async def answer(request: Request) -> Response:
            url = request.url
            if len(url.path) + len(url.query) > self.longest_url:
                raise RefusedError(HTTPStatus.REQUEST_URI_TOO_LONG, "URI Too Long", "URI_TOO_LONG")
            self.access.admit(request, scope(request), is_search=is_search)
            response = await _called(handler, request)
            if not is_search:
                response.headers.update(self.access.headers())
            return response

        return self._open(answer)

    @staticmethod
    def _open(
        handler: Callable[[Request], Awaitable[Response]],
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except RefusedError as error:
                return error.answer()

        return answer

    def _properties(self, request: Request) -> Response:
        object_ = self.catalogue.object_of(request.path_params["type"])
        return JSONResponse({"results": self.catalogue.described(object_)})

    def _pipelines(self, request: Request) -> Response:
        object_ = self.catalogue.object_of(request.path_params["type"])
        found = self.store.select(
            SYSTEM, "pipelines", "not deleted and body ->> '$.objectType' = ?", [object_]
        )
        return JSONResponse({"results": [_without(record, "objectType") for record in found]})

    def _schemas(self, request: Request) -> Response:  # noqa: ARG002  # the signature of a route
        found = self.store.select(SYSTEM, "schemas", "not deleted")
        return JSONResponse({"results": [self._schema(record) for record in found]})

    def _schema(self, record: Stored) -> dict[str, Any]:
        name = str(record.body["name"])
        return {
            "objectTypeId": record.id,
            "labels": {"singular": name, "plural": name},
            "properties": self.catalogue.described(name),
            "requiredProperties": [],
            "associations": [],
            **record.body,
        }

    def _owners(self, request: Request) -> Response:
        query = request.query_params
        limit = number_of(query.get("limit"), "limit", default=_OWNERS_USUAL, most=_OWNERS_MOST)
        after = number_of(query.get("after"), "after", default=0, least=0, most=1 << 63)
        found = self.store.select(
            SYSTEM, "owners", "deleted = ? and cast(id as integer) > ?",
            [is_true(query.get("archived")), after],
            order="cast(id as integer)", limit=limit + 1,
        )  # fmt: skip
        more = following(found[limit - 1].id, request) if len(found) > limit else {}
        results = [{"type": "PERSON", **record.body} for record in found[:limit]]
        return JSONResponse({"results": results, **more})


async def _called(handler: Handler, request: Request) -> Response:
    if inspect.iscoroutinefunction(handler):
        answered: Response = await handler(request)
        return answered
    found: Any = await run_in_threadpool(partial(handler, request))
    return found  # type: ignore[no-any-return]


def _without(record: Stored, name: str) -> dict[str, Any]:
    return {key: value for key, value in record.body.items() if key != name}
