"""The token endpoint: client credentials, JWT bearer, refresh token; never with `expires_in`."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_AUDIENCES = frozenset({"https://login.salesforce.com", "https://test.salesforce.com"})
_LONGEST_SECONDS = 300  # of the three minutes of an assertion, and of clocks that differ
_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")  # of SHA-256, in PKCS #1


class _Denied(Exception):  # noqa: N818  # never leaves this module
    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.body = {"error": error, "error_description": description}


@dataclass
class Tokens:
    """The connected app of an org, and the tokens that were given out.

    Attributes:
        client_id: consumer key.
        client_secret: consumer secret.
        username: the user that assertions may be for.
        public_key: modulus and exponent of the app's certificate; None accepts any signature.
        refresh_token: the one that is good now.
        rotates: whether each use of the refresh token replaces it.
    """

    client_id: str = "key"
    client_secret: str = "secret"  # noqa: S105  # the stand-in guards nothing
    username: str = "reader@example.com"
    public_key: tuple[int, int] | None = None
    refresh_token: str = "refresh-1"  # noqa: S105
    rotates: bool = False
    _good: set[str] = field(default_factory=set)

    def is_good(self, header: str) -> bool:
        """Say whether a request with this `Authorization` is let in."""
        return header.removeprefix("Bearer ") in self._good

    def expire(self) -> None:
        """End all sessions."""
        self._good.clear()

    def answer(self, form: Mapping[str, str], basic: str, url: str) -> Response:
        """Answer a request for a token.

        Args:
            form: the fields of the body.
            basic: the header `Authorization`.
            url: of the instance.
        """
        try:
            more = self._granted({**_credentials(basic), **form})
        except _Denied as denied:
            return JSONResponse(denied.body, HTTPStatus.BAD_REQUEST)
        token = f"00DSIM!{secrets.token_urlsafe(32)}"
        self._good.add(token)
        identity = "https://login.salesforce.com/id/00DSIM/005SIM"
        return JSONResponse(
            {
                "access_token": token,
                "signature": base64.b64encode(hashlib.sha256(token.encode()).digest()).decode(),
                "scope": "api refresh_token",
                "instance_url": url,
                "id": identity,
                "token_type": "Bearer",
                "issued_at": str(int(time.time() * 1000)),
                **more,
            },
            headers={"Cache-Control": "no-store"},
        )

    def _granted(self, form: Mapping[str, str]) -> dict[str, str]:
        """Return what an answer has besides, or refuse it."""
        match form.get("grant_type"):
            case "client_credentials":
                self._require_app(form)
                return {}
            case "refresh_token":
                self._require_app(form)
                return self._refreshed(form)
            case grant if grant == _JWT_BEARER:
                self._require_assertion(form.get("assertion", ""))
                return {}
        raise _Denied("unsupported_grant_type", "grant type not supported")

    def _require_app(self, form: Mapping[str, str]) -> None:
        if form.get("client_id") != self.client_id:
            raise _Denied("invalid_client_id", "client identifier invalid")
        if form.get("client_secret") != self.client_secret:
            raise _Denied("invalid_client", "invalid client credentials")

    def _refreshed(self, form: Mapping[str, str]) -> dict[str, str]:
        if form.get("refresh_token") != self.refresh_token:
            raise _Denied("invalid_grant", "expired access/refresh token")
        if not self.rotates:
            return {}
        self.refresh_token = secrets.token_urlsafe(32)
        return {"refresh_token": self.refresh_token}

    def _require_assertion(self, assertion: str) -> None:
        try:
            signed, _, signature = assertion.rpartition(".")
            header, claims = (json.loads(_decoded(part)) for part in signed.split("."))
        except ValueError:
            raise _Denied("invalid_grant", "invalid assertion") from None
        self._require_claims(claims)
        is_rsa = header.get("alg") == "RS256"
        if not is_rsa or not self._is_signed(signed.encode(), _decoded(signature)):
            raise _Denied("invalid_grant", "invalid assertion")

    def _require_claims(self, claims: Mapping[str, Any]) -> None:
        if claims.get("iss") != self.client_id:
            raise _Denied("invalid_client_id", "client identifier invalid")
        if claims.get("aud") not in _AUDIENCES:
            raise _Denied("invalid_grant", "audience is invalid")
        if not 0 < int(claims.get("exp", 0)) - time.time() < _LONGEST_SECONDS:
            raise _Denied("invalid_grant", "assertion is expired or lives too long")
        if claims.get("sub") != self.username:
            raise _Denied("invalid_grant", "user hasn't approved this consumer")

    def _is_signed(self, signed: bytes, signature: bytes) -> bool:
        if self.public_key is None:
            return True
        modulus, exponent = self.public_key
        size = (modulus.bit_length() + 7) // 8
        found = pow(int.from_bytes(signature), exponent, modulus).to_bytes(size)
        tail = b"\x00" + _DIGEST_INFO + hashlib.sha256(signed).digest()
        return found == b"\x00\x01" + b"\xff" * (size - 2 - len(tail)) + tail


def _credentials(basic: str) -> dict[str, str]:
    if not basic.startswith("Basic "):
        return {}
    name, _, secret = base64.b64decode(basic.removeprefix("Basic ")).decode().partition(":")
    return {"client_id": name, "client_secret": secret}


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
