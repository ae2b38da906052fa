"""Credentials: what a request carries to be let in, renewed when it is not any more."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Credentials(Protocol):
    """Gives requests what lets them in."""

    def headers(self) -> dict[str, str]:
        """Return the headers of a request."""

    def renew(self, refused: dict[str, str]) -> bool:
        """Replace credentials that were refused; say whether there are others now.

        Args:
            refused: the headers that the request had. Where others have been fetched meanwhile,
                these are used.
        """


@dataclass(frozen=True)
class Bearer:
    """A token that never changes, in the header `Authorization` or in another one."""

    token: str = field(repr=False)
    header: str = "Authorization"
    prefix: str = "Bearer "

    def headers(self) -> dict[str, str]:
        """Return the header."""
        return {self.header: f"{self.prefix}{self.token}"}

    def renew(self, refused: dict[str, str]) -> bool:  # noqa: ARG002  # the signature of Credentials
        """Say that there is no other."""
        return False


@dataclass
class Token:
    """A bearer token that is fetched when it is first needed, and anew when it is refused.

    Attributes:
        fetch: gets one.
    """

    fetch: Callable[[], str] = field(repr=False)
    _token: str | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def headers(self) -> dict[str, str]:
        """Return the header; fetches the token where there is none."""
        with self._lock:
            if self._token is None:
                self._token = self.fetch()
            return self._header

    def renew(self, refused: dict[str, str]) -> bool:
        """Fetch another one, unless somebody has."""
        with self._lock:
            if self._token is None or refused == self._header:
                self._token = self.fetch()
            return True

    @property
    def _header(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}
