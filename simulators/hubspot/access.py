"""Access: tokens and their scopes, OAuth, and how often HubSpot lets itself be asked."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.responses import JSONResponse

from simulators.hubspot.answers import RefusedError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from simulators.faults import Faults

TOKEN = "pat-na1-stand-in"  # noqa: S105  # opens nothing but the stand-in
CONTACTS_ONLY_TOKEN = "pat-na1-contacts-only"  # noqa: S105
CLIENT_ID = "stand-in-client"
CLIENT_SECRET = "stand-in-client-secret"  # noqa: S105
REFRESH_TOKEN = "stand-in-refresh-token"  # noqa: S105

_ALL = frozenset({"*"})
_TEN_SECONDS, _SECOND, _DAY = 10, 1, 86_400
_EXPIRES_IN = 1800


@dataclass(frozen=True)
class Limits:
    """How often an account may ask.

    Attributes:
        ten_seconds: requests in any ten seconds.
        search: searches in any second.
        daily: requests in any day.
    """

    ten_seconds: int = 190
    search: int = 5
    daily: int = 650_000


@dataclass
class Rolling:
    """A number of requests in a span of time that ends now."""

    seconds: float
    _begun: deque[float] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, most: int) -> float:
        """Count a request; return for how many seconds there is no room for it, 0 where there is.

        What is refused is not counted.
        """
        now = time.monotonic()
        with self._lock:
            while self._begun and self._begun[0] <= now - self.seconds:
                self._begun.popleft()
            if len(self._begun) < most:
                self._begun.append(now)
                return 0
            return self._begun[0] + self.seconds - now if self._begun else self.seconds

    def left(self, most: int) -> int:
        """Return how many more there may be now."""
        return max(0, most - len(self._begun))


@dataclass
class Access:
    """Who may ask for what, and how often.

    Attributes:
        faults: what is to fail.
        limits: how often.
        scopes: what each token may read: names of scopes, or `*`.
        expires_in: seconds that a token of OAuth lives.
    """

    faults: Faults
    limits: Limits = field(default_factory=Limits)
    scopes: dict[str, frozenset[str]] = field(
        default_factory=lambda: {
            TOKEN: _ALL,
            CONTACTS_ONLY_TOKEN: frozenset({"crm.objects.contacts.read"}),
        }
    )
    expires_in: float = _EXPIRES_IN
    _expiring: dict[str, float] = field(default_factory=dict)
    _ten: Rolling = field(default_factory=lambda: Rolling(_TEN_SECONDS))
    _search: Rolling = field(default_factory=lambda: Rolling(_SECOND))
    _day: Rolling = field(default_factory=lambda: Rolling(_DAY))

    def admit(self, request: Request, scope: str | None, *, is_search: bool) -> None:
        """Let a request in.

        Raises:
            RefusedError: its token does not let it in, or it is one too many.
        """
        token = self._token(request)
        if self.faults.take("hubspot", request.url.path, "token_expired"):
            self._expiring.pop(token, None)
            raise _expired()
        self._count(request, is_search=is_search)
        allowed = self.scopes.get(token, _ALL)
        if scope and not allowed & {"*", scope}:
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                "This app hasn't been granted all required scopes to make this call. Read more "
                "about required scopes here: https://developers.hubspot.com/scopes.",
                links={"scopes": "https://developers.hubspot.com/scopes"},
                errors=[
                    {
                        "message": "One or more of the following scopes are required.",
                        "context": {"requiredGranularScopes": [scope]},
                    }
                ],
            )

    def headers(self) -> dict[str, str]:
        """Return what answers tell of the limits; those of searches do not."""
        limits = self.limits
        return {
            "X-HubSpot-RateLimit-Daily": str(limits.daily),
            "X-HubSpot-RateLimit-Daily-Remaining": str(self._day.left(limits.daily)),
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(_TEN_SECONDS * 1000),
            "X-HubSpot-RateLimit-Max": str(limits.ten_seconds),
            "X-HubSpot-RateLimit-Remaining": str(self._ten.left(limits.ten_seconds)),
        }

    async def grant(self, request: Request) -> Response:
        """Answer a request for a token of OAuth."""
        form = {
            name: values[0] for name, values in parse_qs((await request.body()).decode()).items()
        }
        if form.get("grant_type") != "refresh_token":
            raise RefusedError(
                HTTPStatus.BAD_REQUEST, "unsupported grant type", "BAD_GRANT_TYPE",
                error="unsupported_grant_type",
            )  # fmt: skip
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            raise RefusedError(
                HTTPStatus.BAD_REQUEST, "missing or invalid client id or secret",
                "BAD_CLIENT_SECRET", error="invalid_client",
            )  # fmt: skip
        if form.get("refresh_token") != REFRESH_TOKEN:
            raise RefusedError(
                HTTPStatus.BAD_REQUEST, "missing or invalid refresh token", "BAD_REFRESH_TOKEN",
                error="invalid_grant",
            )  # fmt: skip
        token = f"oauth-{secrets.token_hex(8)}"
        self._expiring[token] = time.monotonic() + self.expires_in
        return JSONResponse(
            {
                "token_type": "bearer", "access_token": token, "refresh_token": REFRESH_TOKEN,
                "expires_in": int(self.expires_in),
            }
        )  # fmt: skip

    def _token(self, request: Request) -> str:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token in self._expiring:
            if self._expiring[token] <= time.monotonic():
                raise _expired()
            return token
        if token not in self.scopes:
            if token.startswith("oauth-"):
                raise _expired()
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED,
                "Authentication credentials not found. This API supports OAuth 2.0 authentication "
                "and you can find more details at https://developers.hubspot.com/docs/methods/auth",
            )
        return token

    def _count(self, request: Request, *, is_search: bool) -> None:
        limits = self.limits
        if self.faults.take("hubspot", request.url.path, "quota_daily") or self._day.take(
            limits.daily
        ):
            raise _too_many("DAILY", "daily", None)
        if is_search and (wait := self._search.take(limits.search)):
            raise _too_many("SECONDLY", "secondly", wait)
        if wait := self._ten.take(limits.ten_seconds):
            raise _too_many("TEN_SECONDLY_ROLLING", "ten_secondly_rolling", wait)


def _expired() -> RefusedError:
    return RefusedError(
        HTTPStatus.UNAUTHORIZED, "The OAuth token used to make this call expired.",
        "EXPIRED_AUTHENTICATION",
    )  # fmt: skip


def _too_many(policy: str, name: str, wait: float | None) -> RefusedError:
    after = {} if wait is None else {"Retry-After": f"{wait:.3f}"}
    return RefusedError(
        HTTPStatus.TOO_MANY_REQUESTS, f"You have reached your {name} limit.",
        headers=after, errorType="RATE_LIMIT", policyName=policy,
    )  # fmt: skip
