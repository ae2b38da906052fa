"""The stand-in: access tokens, the schema, costs, and the answers over HTTP.

Faults of its own: `token_revoked`, `throttled`, `bulk_failed`, `bulk_slow` (for so many seconds),
`duplicate_page`, after which the next page is the same one, and `late_rows`, which leaves out of a
query, of what changed in the last thirty days before the newest change, the records with an odd id.
"""

from __future__ import annotations

import json
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    build_schema,
    execute_sync,
    parse,
    validate,
)
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from simulators.shopify.bulk import Operations
from simulators.shopify.costs import Bucket, requested
from simulators.shopify.root import SYSTEM, Asking, Root, destroyed
from simulators.store import Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from simulators.faults import Fault, Faults
    from simulators.store import Body, Store, Stored

SCHEMA_FILE = Path(__file__).with_name("schema.graphql")
TOKEN = "shpat_demo"  # noqa: S105  # opens a stand-in
SCOPES = frozenset({"read_orders", "read_all_orders", "read_customers", "read_products"})
_DENIED = "[API] Invalid API key or access token (unrecognized login or wrong password)"


class Shopify:
    """One shop, and the app that reads it."""

    shape = Shape("id", "created_at", "updated_at")
    credentials: ClassVar[Mapping[str, str]] = MappingProxyType({"access_token": TOKEN})
    passing = (
        "token_revoked",
        "throttled",
        "bulk_failed",
        "bulk_slow",
        "late_rows",
        "duplicate_page",
    )

    def __init__(self, store: Store, faults: Faults) -> None:
        self.store, self.faults = store, faults
        self.tokens: dict[str, frozenset[str]] = {TOKEN: SCOPES}
        self.bucket = Bucket()
        self.schema: GraphQLSchema = build_schema(SCHEMA_FILE.read_text(encoding="utf-8"))
        self.shop: Body = {
            "id": "gid://shopify/Shop/1", "name": "Demo", "myshopifyDomain": "demo.myshopify.com",
            "currencyCode": "USD", "ianaTimezone": "America/New_York",
        }  # fmt: skip
        self.root = Root(store, faults, self.shop)
        folder = store.database.with_name(store.database.name + ".shopify_bulk")
        self.bulk = Operations(self.schema, self._run_bulk, folder, faults)

    def routes(self) -> list[BaseRoute]:
        """Return what it answers to."""
        return [
            Route("/admin/api/{version}/graphql.json", self._graphql, methods=["POST"]),
            Route("/bulk/{number:int}.jsonl", self._file),
        ]

    def error(self, fault: Fault) -> Response:
        """Return the answer with which the service fails like that."""
        after = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        return JSONResponse(
            {"errors": fault.code or HTTPStatus(fault.status).phrase}, fault.status, after
        )

    def changed(self, object_: str, before: Stored | None, after: Stored) -> None:
        """Put the deletion of a product on the feed of events."""
        if after.deleted and object_ == "products" and not (before and before.deleted):
            number = self.store.count(SYSTEM, "events") + 1
            self.store.put(SYSTEM, "events", [destroyed("Product", after, number)])

    def _file(self, request: Request) -> Response:
        path = self.bulk.file(request.path_params["number"])
        if not path.is_file() or "Signature" not in request.query_params:
            return Response(status_code=HTTPStatus.FORBIDDEN)
        return FileResponse(path, media_type="application/jsonl")

    async def _graphql(self, request: Request) -> Response:
        path = str(request.url.path)
        scopes = self.tokens.get(request.headers.get("X-Shopify-Access-Token", ""))
        if scopes is None or self.faults.take(SYSTEM, path, "token_revoked"):
            return JSONResponse({"errors": _DENIED}, HTTPStatus.UNAUTHORIZED)
        try:
            body = json.loads(await request.body())
            query, variables = str(body["query"]), body.get("variables") or {}
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"errors": {"query": "Required parameter missing or invalid"}}, 400)
        base = f"{request.url.scheme}://{request.url.netloc}{request.scope['root_path']}"
        answer = partial(self._answer, query, variables, body.get("operationName"))
        return JSONResponse(await run_in_threadpool(answer, Asking(scopes, path), base))

    def _answer(
        self, query: str, variables: Body, operation: str | None, asking: Asking, base: str
    ) -> Body:
        try:
            document = parse(query)
        except GraphQLError as error:
            return {"errors": [error.formatted]}
        if problems := validate(self.schema, document):
            return {"errors": [problem.formatted for problem in problems]}
        cost = requested(self.schema, document, variables)
        if cost > self.bucket.single:
            return {
                "errors": [{
                    "message": f"Query cost is {cost}, which exceeds the single query max cost "
                    f"limit ({self.bucket.single:.0f}).",
                    "extensions": {
                        "code": "MAX_COST_EXCEEDED", "cost": cost, "maxCost": self.bucket.single,
                    },
                }]
            }  # fmt: skip
        is_fault = self.faults.take(SYSTEM, asking.path, "throttled") is not None
        if is_fault or not self.bucket.take(cost):
            throttled = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
            return {"errors": [throttled], **self._costs(cost, None)}
        result = self._execute(document, asking, base, variables, operation)
        spent = _actual(result.data)
        self.bucket.give_back(max(0, cost - spent))
        return {**result.formatted, **self._costs(cost, min(spent, cost))}

    def _costs(self, cost: int, actual: int | None) -> Body:
        status = self.bucket.status()
        shown = {"requestedQueryCost": cost, "actualQueryCost": actual, "throttleStatus": status}
        return {"extensions": {"cost": shown}}

    def _execute(
        self,
        document: DocumentNode,
        asking: Asking,
        base: str,
        variables: Body | None = None,
        operation: str | None = None,
    ) -> ExecutionResult:
        root = {**self.root.fields(), **self._bulk_fields(base)}
        return execute_sync(
            self.schema, document, root, asking, variables or {}, operation_name=operation
        )

    def _run_bulk(self, query: str, asking: Asking) -> ExecutionResult:
        return self._execute(parse(query), asking, "")

    def _bulk_fields(self, base: str) -> dict[str, Any]:
        """Return the entries that have to do with bulk operations."""

        def find(info: Any, id: str) -> Body | None:  # noqa: A002, ANN401
            found = self.bulk.find(id)
            return found.shown(base) if found else self.root.fields()["node"](info, id)

        def current(info: Any, type: str = "QUERY") -> Body | None:  # noqa: A002, ANN401, ARG001
            return self.bulk.all[-1].shown(base) if self.bulk.all and type == "QUERY" else None

        def run(info: Any, query: str, groupObjects: bool = False) -> Body:  # noqa: ANN401, ARG001, N803
            asking = Asking(info.context.scopes, info.context.path, is_bulk=True)
            operation, problem = self.bulk.run(query, asking, info.context.path)
            code = "OPERATION_IN_PROGRESS" if problem and "in progress" in problem else "INVALID"
            errors = [{"field": ["query"], "message": problem, "code": code}] if problem else []
            shown = operation.shown(base) if operation else None
            return {"bulkOperation": shown, "userErrors": errors}

        def cancel(info: Any, id: str) -> Body:  # noqa: A002, ANN401, ARG001
            found = self.bulk.cancel(id)
            missing = [{"field": ["id"], "message": "Bulk operation does not exist"}]
            shown = found.shown(base) if found else None
            return {"bulkOperation": shown, "userErrors": [] if found else missing}

        return {
            "node": find,
            "bulkOperation": find,
            "currentBulkOperation": current,
            "bulkOperations": lambda info, **args: self.bulk.page(base, args),  # noqa: ARG005
            "bulkOperationRunQuery": run,
            "bulkOperationCancel": cancel,
        }


def _actual(data: object) -> int:
    """Return what a query has cost in the end: one for each object."""
    match data:
        case dict():
            return 1 + sum(_actual(value) for value in data.values())
        case list():
            return sum(_actual(value) for value in data)
        case _:
            return 0
