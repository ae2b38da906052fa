"""What Salesforce answers to, request by request."""

from __future__ import annotations

import json
from email.utils import format_datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.salesforce.answers import Budget, Refusal, error
from simulators.salesforce.bulk import Bulk
from simulators.salesforce.fields import SYSTEM
from simulators.salesforce.org import Org
from simulators.salesforce.rest import Rest
from simulators.salesforce.tokens import Tokens
from simulators.store import Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from simulators.faults import Fault, Faults
    from simulators.store import Store, Stored

    Handler: TypeAlias = Callable[[Request, dict[str, Any]], dict[str, Any] | Response]

_VERSIONS = range(58, 68)
_CODES = {401: "INVALID_SESSION_ID", 403: "REQUEST_LIMIT_EXCEEDED", 503: "SERVER_UNAVAILABLE"}


class Salesforce:
    """The stand-in of Salesforce.

    Beside the general faults it knows `token_expired` (the session ends), `job_failed`,
    `job_aborted`, `job_slow` (a job is in progress when it is next asked for; the path of these
    three is "<object> <id of the job>"), `late_rows` (the newest records of a query are not to be
    seen) and `duplicate_page` (a page of REST names itself as the next one; the path of both is the
    object).
    """

    shape = Shape("Id", "CreatedDate", "SystemModstamp", "IsDeleted")
    credentials: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"client_id": Tokens.client_id, "client_secret": Tokens.client_secret}
    )
    passing = ("token_expired", "job_failed", "job_aborted", "job_slow", "late_rows")

    def __init__(self, store: Store, faults: Faults) -> None:
        self.faults = faults
        self.tokens, self.budget, self.org = Tokens(), Budget(), Org(store, faults)
        self.rest, self.bulk = Rest(self.org), Bulk(self.org)

    def changed(self, object_: str, before: Stored | None, after: Stored) -> None:
        """Hear of a record; what Salesforce knows of it is in the record."""

    def error(self, fault: Fault) -> Response:
        """Return the answer with which Salesforce fails like that."""
        code = fault.code or _CODES.get(fault.status, "UNKNOWN_EXCEPTION")
        answer = error(fault.status, code, "An unexpected error occurred.")
        if fault.retry_after is not None:
            answer.headers["Retry-After"] = f"{fault.retry_after:g}"
        return answer

    def routes(self) -> list[BaseRoute]:
        """Return what it answers to."""
        data = "/services/data/v{version}"
        jobs = f"{data}/jobs/query"
        served: list[tuple[str, str, Handler]] = [
            ("GET", f"{data}/limits", lambda _, __: self.budget.limits),
            ("GET", f"{data}/limits/recordCount", self._counts),
            ("POST", f"{data}/composite", self._composite),
            ("GET", f"{data}/sobjects", lambda r, _: self.rest.objects(_of(r, "version"))),
            ("GET", f"{data}/sobjects/{{name}}/describe", self._describe),
            ("GET", f"{data}/sobjects/{{name}}/deleted", self._deleted),
            ("GET", f"{data}/query", self._query),
            ("GET", f"{data}/queryAll", self._query),
            ("GET", f"{data}/query/{{name}}", self._more),
            ("GET", f"{data}/queryAll/{{name}}", self._more),
            ("POST", jobs, lambda r, body: self.bulk.create(body, _of(r, "version"))),
            ("GET", jobs, lambda _, __: self.bulk.list()),
            ("GET", f"{jobs}/{{name}}", lambda r, _: self.bulk.get(_of(r, "name"))),
            ("PATCH", f"{jobs}/{{name}}", lambda r, body: self.bulk.abort(_of(r, "name"), body)),
            ("DELETE", f"{jobs}/{{name}}", lambda r, _: self.bulk.delete(_of(r, "name"))),
            ("GET", f"{jobs}/{{name}}/results", self._results),
            ("GET", f"{jobs}/{{name}}/resultPages", self._pages),
        ]
        return [
            Route("/services/oauth2/token", self._token, methods=["POST"]),
            Route("/services/data", self._versions),
            *(
                Route(path + end, self._guarded(handler), methods=[method])
                for method, path, handler in served
                for end in ("", "/")
            ),
        ]

    def _guarded(self, handler: Handler) -> Callable[[Request], Any]:
        """Let in who has a session and requests left; tell both, and the time, with the answer."""

        async def answer(request: Request) -> Response:
            body = await request.body()
            response = await run_in_threadpool(self._answer, handler, request, body)
            response.headers["Sforce-Limit-Info"] = self.budget.header
            response.headers["Date"] = format_datetime(self.org.now, usegmt=True)
            return response

        return answer

    def _answer(self, handler: Handler, request: Request, body: bytes) -> Response:
        try:
            self._let_in(request)
            found = handler(request, json.loads(body) if body else {})
        except Refusal as refusal:
            return refusal.answer
        except ValueError:
            return error(HTTPStatus.BAD_REQUEST, "JSON_PARSER_ERROR", "the body is no JSON")
        return found if isinstance(found, Response) else JSONResponse(found)

    def _let_in(self, request: Request) -> None:
        if self.faults.take(SYSTEM, request.url.path, "token_expired"):
            self.tokens.expire()
        if not self.tokens.is_good(request.headers.get("Authorization", "")):
            raise Refusal(
                HTTPStatus.UNAUTHORIZED, "INVALID_SESSION_ID", "Session expired or invalid"
            )
        self.budget.take()
        version = _of(request, "version").partition(".")[0]
        if not version.isdigit() or int(version) not in _VERSIONS:
            raise Refusal(
                HTTPStatus.NOT_FOUND, "NOT_FOUND", "The requested resource does not exist"
            )

    async def _token(self, request: Request) -> Response:
        form = {
            name: values[-1] for name, values in parse_qs((await request.body()).decode()).items()
        }
        url = str(request.base_url).rstrip("/")
        return self.tokens.answer(form, request.headers.get("Authorization", ""), url)

    def _versions(self, request: Request) -> Response:  # noqa: ARG002  # the signature of a route
        return JSONResponse(
            [
                {
                    "label": f"v{number}",
                    "url": f"/services/data/v{number}.0",
                    "version": f"{number}.0",
                }
                for number in _VERSIONS
            ]
        )

    def _counts(self, request: Request, _: dict[str, Any]) -> dict[str, Any]:
        return self.rest.counts(request.query_params.get("sObjects", "").split(","))

    def _composite(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        return self.rest.composite(body, _of(request, "version"))

    def _describe(self, request: Request, _: dict[str, Any]) -> dict[str, Any]:
        return self.rest.describe(_of(request, "name"))

    def _deleted(self, request: Request, _: dict[str, Any]) -> dict[str, Any]:
        asked = request.query_params
        return self.rest.deleted(_of(request, "name"), asked.get("start", ""), asked.get("end", ""))

    def _query(self, request: Request, _: dict[str, Any]) -> dict[str, Any]:
        path = _path(request)
        return self.rest.query(
            request.query_params.get("q", ""),
            request.headers.get("Sforce-Query-Options", ""),
            path,
            is_all=path.endswith("queryAll"),
        )

    def _more(self, request: Request, _: dict[str, Any]) -> dict[str, Any]:
        return self.rest.more(_of(request, "name"), _path(request).rpartition("/")[0])

    def _results(self, request: Request, _: dict[str, Any]) -> Response:
        asked = request.query_params
        most = asked.get("maxRecords", "")
        return self.bulk.results(
            _of(request, "name"),
            _of(request, "version"),
            asked.get("locator"),
            int(most) if most.isdigit() else None,
        )

    def _pages(self, request: Request, _: dict[str, Any]) -> dict[str, Any]:
        locator = request.query_params.get("locator")
        return self.bulk.pages(_of(request, "name"), _of(request, "version"), locator)


def _of(request: Request, name: str) -> str:
    return str(request.path_params[name])


def _path(request: Request) -> str:
    """Return the path as the org knows it: below the mount of the stand-in."""
    path = request.url.path.rstrip("/")
    return path[path.index("/services/") :]
