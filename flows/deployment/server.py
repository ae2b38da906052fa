"""The REST API of a Prefect server, asked through Prefect's own client."""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import get_current_settings

from crmhouse.errors import ConfigurationError, OrchestratorError

if TYPE_CHECKING:
    from collections.abc import Iterator

Body: TypeAlias = dict[str, Any] | list[dict[str, Any]]

_PAGE = 200  # Prefect's largest
_EXISTS = (
    " Somebody else may have made it meanwhile, or an answer was lost; it stays as it is. Deploy "
    "again: what is there is then compared."
)


class Server:
    """A Prefect server. The client brings authentication, TLS and its own tries."""

    def __init__(self, client: SyncPrefectClient) -> None:
        self._client = client

    def get(self, path: str) -> Any:  # noqa: ANN401  # any JSON
        """Read one thing; None when there is none.

        Raises:
            ConfigurationError: the server wants another password.
            OrchestratorError: the server refused or did not answer.
        """
        try:
            return self._call("GET", path)
        except _NotFoundError:
            return None

    def post(self, path: str, body: Body) -> Any:  # noqa: ANN401
        """Make something, or ask for a list; raises as `get` does."""
        return self._call("POST", path, body)

    def patch(self, path: str, body: dict[str, Any]) -> None:
        """Change what the body names; raises as `get` does."""
        self._call("PATCH", path, body)

    def put(self, path: str, body: dict[str, Any]) -> None:
        """Replace something; raises as `get` does."""
        self._call("PUT", path, body)

    def delete(self, path: str) -> None:
        """Remove something; that it is gone already is fine."""
        try:
            self._call("DELETE", path)
        except _NotFoundError:
            return

    def every(self, path: str, **body: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        """Read a list to its end; raises as `get` does."""
        found: list[dict[str, Any]] = []
        while True:
            page = self._call("POST", path, {**body, "limit": _PAGE, "offset": len(found)})
            found += page
            if len(page) < _PAGE:
                return found

    def _call(
        self,
        method: Literal["GET", "POST", "PATCH", "PUT", "DELETE"],
        path: str,
        body: Body | None = None,
    ) -> Any:  # noqa: ANN401
        try:
            response = self._client.request(method, path, json=body)  # type: ignore[arg-type]
        except httpx.HTTPStatusError as error:
            raise _refusal(error.response, method, path) from None
        except (httpx.HTTPError, OSError) as error:
            raise OrchestratorError(
                f"The Prefect server at {self._client.api_url} did not answer to {method} {path} "
                f"({type(error).__name__})."
            ) from None
        try:
            return response.json() if response.content else None
        except ValueError:
            raise OrchestratorError(
                f"What answers at {self._client.api_url} is no Prefect server: {method} {path} "
                "gave no JSON. Does PREFECT_API_URL end in /api?"
            ) from None


class RefusedError(OrchestratorError):
    """A no that is definite: the request changed nothing."""


class _NotFoundError(RefusedError):
    """There is no such thing."""


def _refusal(response: httpx.Response, method: str, path: str) -> Exception:
    if response.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return ConfigurationError(
            "The Prefect server refuses the credentials: PREFECT_API_AUTH_STRING has to be the "
            "server's PREFECT_SERVER_API_AUTH_STRING."
        )
    kind: type[OrchestratorError] = OrchestratorError
    if response.status_code == HTTPStatus.NOT_FOUND:
        kind = _NotFoundError
    elif response.is_client_error and response.status_code != HTTPStatus.REQUEST_TIMEOUT:
        kind = RefusedError
    exists = response.status_code == HTTPStatus.CONFLICT
    return kind(
        f"The Prefect server refused {method} {path} with {response.status_code}: "
        f"{_reason(response)}{_EXISTS if exists else ''}"
    )


def _reason(response: httpx.Response) -> str:
    """Return what the server says; a validation error without the values, they may be secret."""
    try:
        content = response.json()
    except ValueError:
        return response.reason_phrase
    if isinstance(content, dict) and (faults := content.get("exception_detail")):
        return "; ".join(
            f"{'.'.join(map(str, fault.get('loc', ())))}: {fault.get('msg')}" for fault in faults
        )
    return str(content.get("detail", content) if isinstance(content, dict) else content)[:500]


@contextmanager
def connect() -> Iterator[Server]:
    """Open the server that PREFECT_API_URL (or Prefect's profile) names.

    Raises:
        ConfigurationError: none is named; Prefect would start one for a moment.
    """
    if not get_current_settings().api.url:
        raise ConfigurationError(
            "No Prefect server is named: set PREFECT_API_URL, such as http://127.0.0.1:4200/api, "
            "and PREFECT_API_AUTH_STRING where the server wants one."
        )
    with get_client(sync_client=True) as client:
        yield Server(client)
