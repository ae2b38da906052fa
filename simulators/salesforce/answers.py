"""Answers of the API: errors as a list, times on the server's clock, the day's requests."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.responses import Response


class Refusal(Exception):  # noqa: N818  # an answer, not a failure of ours
    """A request that is answered with an error.

    Args:
        status: of HTTP.
        code: what Salesforce calls it.
        message: what it says.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    @property
    def answer(self) -> Response:
        """Return the answer."""
        return error(self.status, self.code, self.message)


def error(status: int, code: str, message: str) -> Response:
    """Return an error as the REST API gives it: a list."""
    return JSONResponse([{"message": message, "errorCode": code}], status)


def not_found() -> Refusal:
    """Return the refusal of what is not there."""
    return Refusal(HTTPStatus.NOT_FOUND, "NOT_FOUND", "The requested resource does not exist")


def malformed(message: str) -> Refusal:
    """Return the refusal of a query that cannot be read."""
    return Refusal(HTTPStatus.BAD_REQUEST, "MALFORMED_QUERY", message)


@dataclass
class Budget:
    """The requests of an org within 24 hours.

    Attributes:
        most: so many are allowed.
        used: so many were made.
        app: name of the connected app, where it has a limit of its own: the header then tells both.
    """

    most: int = 100_000
    used: int = 0
    app: str | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> None:
        """Count a request.

        Raises:
            Refusal: there are none left.
        """
        with self._lock:
            if self.used >= self.most:
                raise Refusal(
                    HTTPStatus.FORBIDDEN, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."
                )
            self.used += 1

    @property
    def header(self) -> str:
        """Return the value of `Sforce-Limit-Info`."""
        usage = f"api-usage={self.used}/{self.most}"
        own = f"; per-app-api-usage={self.used}/{self.most}(appName={self.app})"
        return usage + (own if self.app else "")

    @property
    def limits(self) -> dict[str, Any]:
        """Return what `/limits` tells."""
        return {
            "DailyApiRequests": {"Max": self.most, "Remaining": max(0, self.most - self.used)},
            "DailyBulkApiBatches": {"Max": 15000, "Remaining": 15000},
            "DailyBulkV2QueryFileStorageMB": {"Max": 976562, "Remaining": 976562},
            "DailyBulkV2QueryJobs": {"Max": 10000, "Remaining": 10000},
        }
