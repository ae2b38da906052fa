"""Refresh tokens that a service replaces at each use, kept encrypted in `ops.refresh_tokens`."""

from __future__ import annotations

import base64
import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from crmhouse.warehouse import Warehouse


@dataclass(frozen=True)
class RefreshTokens:
    """The refresh token of one source, where the service replaces it at each use.

    The old one is dead when the new one arrives, so the new one is kept before it is used.

    The key is made from the configured secrets, so the warehouse alone does not give the token
    away; and one that belongs to other secrets, because somebody has configured a new token since,
    is as good as none.

    Attributes:
        opened: opens the warehouse for the length of a block, with its tables in place.
        source: the configured source's name.
        secrets: the configured ones that the key is made of.
    """

    opened: Callable[[], AbstractContextManager[Warehouse]]
    source: str
    secrets: tuple[str, ...] = field(repr=False)

    def load(self) -> str | None:
        """Return the newest one; None where the configured one was never replaced."""
        with self.opened() as warehouse, warehouse.connect() as connection:
            row = connection.execute(
                "select token from ops.refresh_tokens where source = %s", [self.source]
            ).fetchone()
        try:
            return self._cipher.decrypt(row[0].encode()).decode() if row else None
        except InvalidToken:
            return None

    def save(self, token: str) -> None:
        """Keep it, for good, before this returns."""
        with self.opened() as warehouse, warehouse.connect() as connection:
            connection.execute(
                """
                insert into ops.refresh_tokens (source, token) values (%s, %s)
                on conflict (source) do update set token = excluded.token, replaced_at = now()
                """,
                [self.source, self._cipher.encrypt(token.encode()).decode()],
            )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other process use the token: two uses of one would leave both without."""
        with self.opened() as warehouse, warehouse.connect() as connection:
            connection.execute(
                "select pg_advisory_xact_lock(hashtextextended(%s, 0))",
                [f"refresh token of {self.source}"],
            )
            yield

    @property
    def _cipher(self) -> Fernet:
        digest = hashlib.sha256("\n".join(("refresh token", *self.secrets)).encode()).digest()
        return Fernet(base64.urlsafe_b64encode(digest))
