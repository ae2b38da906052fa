"""Exchanges over HTTP, recorded at a stand-in and held against OpenAPI documents (3.0)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

from openapi_schema_validator import OAS30Validator, oas30_format_checker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_NUMBER = re.compile(r"-?\d+")


class Exchange(NamedTuple):
    """A request and its answer; bodies are JSON, None where there is none."""

    method: str
    path: str
    query: list[tuple[str, str]]
    body: Any
    status: int
    answer: Any

    @property
    def place(self) -> str:
        return f"{self.method.upper()} {self.path} {self.status}"


@dataclass
class Recorder:
    """An app that records what is asked of another one, and what that answers.

    Attributes:
        app: the other one.
        exchanges: what was recorded.
    """

    app: ASGIApp
    exchanges: list[Exchange] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked, answered, statuses = bytearray(), bytearray(), list[int]()

        async def hear() -> Message:
            message = await receive()
            asked.extend(message.get("body", b""))
            return message

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            answered.extend(message.get("body", b""))
            await send(message)

        await self.app(scope, hear, tell)
        path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
        query = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
        self.exchanges.append(
            Exchange(
                scope["method"].lower(), path, query, _json(asked), statuses[0], _json(answered)
            )
        )


@dataclass(frozen=True)
class Document:
    """An OpenAPI document."""

    content: Mapping[str, Any]

    def violations(self, exchange: Exchange) -> list[str] | None:
        """Say what of an exchange is not as documented; None where it is of another document."""
        operation = self._operation(exchange.method, exchange.path)
        if operation is None:
            return None
        found = [*self._of_query(operation, exchange.query)]
        if "requestBody" in operation:
            found += self._of_body("request", operation["requestBody"], exchange.body)
        elif exchange.body is not None:
            found.append("request: a body is not documented")
        responses = operation["responses"]
        documented = responses.get(str(exchange.status))
        if documented is None and exchange.status < 400:
            found.append(f"answer: the status {exchange.status} is not documented")
        else:
            found += self._of_body(
                "answer", self._resolved(documented or responses["default"]), exchange.answer
            )
        return [f"{exchange.place}: {one}" for one in found]

    def _operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        """Return the operation of a path: the one with the fewest parameters in it."""
        fitting = [
            (template.count("{"), operations[method])
            for template, operations in self.content["paths"].items()
            if method in operations and re.fullmatch(re.sub(r"\{\w+\}", r"[^/]+", template), path)
        ]
        return min(fitting, key=lambda one: one[0])[1] if fitting else None

    def _of_query(
        self, operation: Mapping[str, Any], query: Iterable[tuple[str, str]]
    ) -> Iterator[str]:
        documented = {one["name"]: one for one in operation.get("parameters", ())
                      if one["in"] == "query"}  # fmt: skip
        given = {name for name, _ in query}
        for name, parameter in documented.items():
            if parameter.get("required") and name not in given:
                yield f"query: {name} is missing"
        for name, text in query:
            if name not in documented:
                yield f"query: {name} is not documented"
                continue
            schema = documented[name]["schema"]
            for error in self._errors(schema, _typed(text, schema.get("type"))):
                yield f"query: {name}: {error}"

    def _of_body(self, what: str, documented: Mapping[str, Any], body: Any) -> Iterator[str]:
        content = documented.get("content") or {}
        for kind in ("application/json", "*/*"):
            if kind in content:
                for error in self._errors(content[kind]["schema"], body):
                    yield f"{what}: {error}"

    def _errors(self, schema: Mapping[str, Any], value: Any) -> Iterator[str]:
        whole = {**schema, "components": self.content.get("components", {})}
        validator = OAS30Validator(whole, format_checker=oas30_format_checker)
        for error in validator.iter_errors(value):
            yield f"{error.json_path} {error.message[:200]}"

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        found: Any = schema
        if "$ref" in found:
            found = self.content
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
        return dict(found)


def _typed(text: str, kind: str | None) -> Any:
    """Return a value of a query as its type says it is written."""
    if kind == "array":
        return text.split(",")
    if kind == "integer" and _NUMBER.fullmatch(text):
        return int(text)
    if kind == "boolean" and text in {"true", "false"}:
        return text == "true"
    return text


def _json(content: bytes | bytearray) -> Any:
    return json.loads(content) if content else None
