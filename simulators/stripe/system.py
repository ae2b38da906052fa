"""The stand-in: `/v1/…` over the records of a folder's `stripe`.

Its key is `sk_test_simulator`. Beside the general faults it has `late_events` (a request does not
see the events of the last `seconds`), `events_expired` (all events so far are gone for good),
`duplicate_page` (a page is answered as the one before it was) and `key_revoked`.
"""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from starlette.responses import JSONResponse
from starlette.routing import Route

from simulators.store import Shape
from simulators.stripe.access import SECRET_KEY, Access
from simulators.stripe.errors import StripeError, failing, invalid, missing, unknown_url
from simulators.stripe.events import Events
from simulators.stripe.lists import SYSTEM, Lists
from simulators.stripe.queries import expansions, query_of
from simulators.stripe.resources import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from simulators.faults import Fault, Faults
    from simulators.store import Store, Stored
    from simulators.stripe.queries import Query
    from simulators.stripe.resources import Resource

DEFAULT_VERSION = "2025-02-24.acacia"
_VERSION = re.compile(r"\d{4}-\d\d-\d\d(\.[a-z_]+)?")


@dataclass
class Stripe:
    """Stripe, over the records of a store.

    Attributes:
        store: the records.
        faults: what is to fail.
        access: keys, permissions and the rate limit.
    """

    store: Store
    faults: Faults
    access: Access = field(default_factory=Access)
    shape = Shape()
    credentials: ClassVar[Mapping[str, str]] = MappingProxyType({"api_key": SECRET_KEY})
    passing = ("late_events", "duplicate_page", "key_revoked")
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.lists = Lists(self.store)
        self.events = Events(self.store, DEFAULT_VERSION)

    def routes(self) -> list[BaseRoute]:
        """Return what it answers to."""
        made: list[BaseRoute] = []
        for resource in RESOURCES.values():
            answers = partial(self._answering, resource)
            path = f"/v1/{resource.name}"
            made.append(Route(path, answers(partial(self._list, resource)), methods=["GET"]))
            made.append(
                Route(f"{path}/{{id}}", answers(partial(self._one, resource)), methods=["GET"])
            )
            for name, url in resource.nested.items():
                pattern = url.partition("?")[0].replace("{id}", "{parent}")
                work = partial(self._nested, resource, name)
                made.append(Route(pattern, answers(work), methods=["GET"]))
        return [*made, Route("/{path:path}", self._unknown)]

    def error(self, fault: Fault) -> Response:
        """Return the answer with which the service fails like that."""
        return self._stamped(
            failing(fault.status, fault.code, fault.retry_after).answer(), self.events.version
        )

    def changed(self, object_: str, before: Stored | None, after: Stored) -> None:
        """Hear of a record that a later batch has brought."""
        self.events.changed(object_, before, after)

    def _answering(
        self, resource: Resource, work: Callable[[Request], dict[str, Any]]
    ) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            version = request.headers.get("Stripe-Version", DEFAULT_VERSION)
            try:
                self.access.admit(
                    request.headers.get("Authorization", ""),
                    resource.permission,
                    revoked=self._has(request, "key_revoked") is not None,
                )
                self.events.version = _checked(version)
                return self._stamped(JSONResponse(work(request)), version)
            except StripeError as error:
                return self._stamped(error.answer(), version)

        return answer

    def _list(self, resource: Resource, request: Request) -> dict[str, Any]:
        more = {"events": ["type"], "subscriptions": ["status"]}.get(resource.name, [])
        query = query_of(request.query_params, resource.filters, ["created", *more])
        seen = self._seen(request, query) if resource.name == "events" else ("true", [])
        if query.after and self._has(request, "duplicate_page"):
            query.after = self._page_before(resource, query)
        return self.lists.page(resource, query, seen)

    def _seen(self, request: Request, query: Query) -> tuple[str, list[int]]:
        """Return the condition of the events that can be seen: not gone, and there already."""
        if self._has(request, "events_expired"):
            self.events.expire()
        where, values = self.events.kept
        if query.after and not self._is_kept(query.after):
            raise missing(RESOURCES["events"], query.after, "starting_after")
        if late := self._has(request, "late_events"):
            where += " and created <= ?"
            values.append(int(time.time() - late.seconds) * 1000)
        return where, values

    def _is_kept(self, id_: str) -> bool:
        where, values = self.events.kept
        return bool(self.store.count(SYSTEM, "events", f"id = ? and {where}", [id_, *values]))

    def _page_before(self, resource: Resource, query: Query) -> str | None:
        """Return where the page before began: after which id, or at the start."""
        before = self.lists.page(resource, _replaced(query, limit=query.limit))
        ids = [record["id"] for record in before["data"]]
        return ids[0] if len(ids) == query.limit else None

    def _one(self, resource: Resource, request: Request) -> dict[str, Any]:
        id_ = request.path_params["id"]
        if resource.name == "events" and not self._is_kept(id_):
            raise missing(resource, id_)
        return self.lists.one(resource, id_, expansions(request.query_params))

    def _nested(self, resource: Resource, name: str, request: Request) -> dict[str, Any]:
        has_parent = "parent" in request.path_params
        query = query_of(request.query_params, () if has_parent else (resource.object,))
        parent = request.path_params.get("parent") or query.equal.get(resource.object)
        if parent is None:
            raise invalid(
                resource.object,
                f"Missing required param: {resource.object}.",
                code="parameter_missing",
            )
        return self.lists.nested(resource, parent, name, query)

    def _unknown(self, request: Request) -> Response:
        path = f"/{request.path_params['path']}"
        return self._stamped(unknown_url(request.method, path).answer(), self.events.version)

    def _has(self, request: Request, kind: str) -> Fault | None:
        return self.faults.take(SYSTEM, request.url.path, kind)

    def _stamped(self, response: Response, version: str) -> Response:
        response.headers["Request-Id"] = f"req_{next(self._numbers):014d}"
        response.headers["Stripe-Version"] = version
        return response


def _checked(version: str) -> str:
    if not _VERSION.fullmatch(version):
        raise StripeError(400, f"Invalid Stripe API version: {version}")
    return version


def _replaced(query: Query, *, limit: int) -> Query:
    """Return the query of the page that ends with the id that another one goes on from."""
    return type(query)(
        limit, None, query.after, query.created, query.equal, query.types, query.status
    )
