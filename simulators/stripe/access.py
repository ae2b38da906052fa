"""Access: keys with their permissions, and how fast an account may be asked."""

from __future__ import annotations

import base64
import binascii
import threading
import time
from dataclasses import dataclass, field

from simulators.stripe.errors import expired_key, no_key, no_permission, too_fast, wrong_key

SECRET_KEY = "sk_test_simulator"  # noqa: S105  # of a stand-in that guards nothing


@dataclass
class Access:
    """Who may ask, and how often.

    Attributes:
        keys: the permissions of each key; None where it has all of them.
        per_second: requests that may begin in a second; no limit when None.
    """

    keys: dict[str, frozenset[str] | None] = field(default_factory=lambda: {SECRET_KEY: None})
    per_second: float | None = None
    _tokens: float = 0
    _filled_at: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admit(self, authorization: str, permission: str, *, revoked: bool = False) -> None:
        """Let a request in.

        Raises:
            StripeError: there is no key, a wrong one, one without the permission; or too many
                requests.
        """
        key = _key(authorization)
        if key is None:
            raise no_key()
        if revoked:
            raise expired_key(key)
        if key not in self.keys:
            raise wrong_key(key)
        self._take()
        granted = self.keys[key]
        if granted is not None and permission not in granted:
            raise no_permission(key, permission)

    def _take(self) -> None:
        """Take a token of the bucket, which holds those of a second."""
        if self.per_second is None:
            return
        with self._lock:
            now = time.monotonic()
            grown = self._tokens + (now - self._filled_at) * self.per_second
            self._tokens, self._filled_at = min(grown, max(1, self.per_second)), now
            if self._tokens < 1:
                raise too_fast()
            self._tokens -= 1


def _key(authorization: str) -> str | None:
    """Return the key of a header: a bearer token, or the user of Basic authentication."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        user, _, _ = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user or None
