"""Answers: HubSpot's error bodies, and what a request is read with."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

_CATEGORIES: Mapping[int, str] = {
    HTTPStatus.BAD_REQUEST: "VALIDATION_ERROR",
    HTTPStatus.UNAUTHORIZED: "INVALID_AUTHENTICATION",
    HTTPStatus.FORBIDDEN: "MISSING_SCOPES",
    HTTPStatus.NOT_FOUND: "OBJECT_NOT_FOUND",
    HTTPStatus.TOO_MANY_REQUESTS: "RATE_LIMITS",
}


class RefusedError(Exception):
    """A request is answered with an error of HubSpot.

    Args:
        status: of HTTP.
        message: for people.
        category: HubSpot's; that of the status when left out.
        headers: of the answer.
        more: further fields of the body.
    """

    def __init__(
        self,
        status: int,
        message: str,
        category: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,  # noqa: ANN401  # any JSON
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers
        self.body = {
            "status": "error",
            "message": message,
            "correlationId": str(uuid.uuid4()),
            "category": category or _CATEGORIES.get(status, "INTERNAL_ERROR"),
            **more,
        }

    def answer(self) -> JSONResponse:
        """Return the answer."""
        return JSONResponse(self.body, self.status, self.headers)


def bad(message: str) -> RefusedError:
    """Return the error of a request that is not as it should be."""
    return RefusedError(HTTPStatus.BAD_REQUEST, message)


async def body_of(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request brings.

    Raises:
        RefusedError: it brings none.
    """
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise bad("Invalid input JSON: an object is expected")
    return body


def number_of(text: object, name: str, *, default: int, most: int, least: int = 1) -> int:
    """Return a number that a request gives, or the default.

    Raises:
        RefusedError: it is none, too small or too large.
    """
    if text is None:
        return default
    if not str(text).isdigit() or not least <= int(str(text)) <= most:
        raise bad(f"{name} must be a number from {least} to {most}")
    return int(str(text))


def is_true(text: str | None) -> bool:
    """Say whether a flag of a query is set; HubSpot's clients write it with a capital, too."""
    return (text or "").lower() == "true"


def inputs_of(body: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    """Return the inputs of a batch request.

    Raises:
        RefusedError: there are none, or too many.
    """
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or not all(
        isinstance(item, dict) and "id" in item for item in inputs
    ):
        raise bad("inputs must be a list of objects with an id")
    if len(inputs) > most:
        raise bad(f"The maximum number of inputs supported in a batch request is {most}")
    return inputs


def batch(
    results: list[dict[str, Any]], errors: list[dict[str, Any]] | None = None
) -> JSONResponse:
    """Return the answer of a batch: 207 where something of it is missing."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body: dict[str, Any] = {
        "status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now,
    }  # fmt: skip
    if not errors:
        return JSONResponse(body)
    return JSONResponse(
        {**body, "numErrors": len(errors), "errors": errors}, HTTPStatus.MULTI_STATUS
    )


def error_item(message: str, sub_category: str | None, **context: list[str]) -> dict[str, Any]:
    """Return an error within the answer of a batch."""
    found = {
        "status": "error", "category": "OBJECT_NOT_FOUND", "message": message, "context": context,
        "links": {}, "errors": [],
    }  # fmt: skip
    return found | ({"subCategory": sub_category} if sub_category else {})


def following(after: object, request: Request) -> dict[str, Any]:
    """Return what tells of the next page."""
    link = str(request.url.include_query_params(after=after))
    return {"paging": {"next": {"after": str(after), "link": link}}}
