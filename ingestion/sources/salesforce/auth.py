"""Getting in: the three flows that give an access token without a person."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import jwt

from crmhouse.errors import ConfigurationError
from ingestion.http import Api
from ingestion.sources.salesforce.answers import Granted, judge_token

if TYPE_CHECKING:
    from ingestion.http import Patience
    from ingestion.refresh_tokens import RefreshTokens
    from ingestion.sources.salesforce.options import SalesforceOptions

_PATH = "services/oauth2/token"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_VALID = timedelta(minutes=3)


@dataclass(frozen=True)
class Login:
    """Fetches access tokens.

    Attributes:
        place: source, for messages.
        options: as configured.
        patience: how long and how often the host is asked.
        store: keeps refresh tokens that the org has replaced.
    """

    place: str
    options: SalesforceOptions
    patience: Patience
    store: RefreshTokens | None = field(default=None, repr=False)

    def fetch(self) -> str:
        """Return a new access token.

        Raises:
            SourceRefusedError: the org does not let us in; says what to look at.
            SourceUnavailableError: the host does not answer.
        """
        if self.options.private_key:
            return self._granted(
                {"grant_type": _JWT_BEARER, "assertion": self._assertion()}
            ).access_token
        form = {
            "client_id": self.options.client_id,
            "client_secret": _shown(self.options.client_secret),
        }
        if self.options.refresh_token:
            return self._refreshed(form)
        return self._granted({"grant_type": "client_credentials", **form}).access_token

    def _refreshed(self, form: dict[str, str]) -> str:
        """Use the newest refresh token; keep the one that replaces it before anything else."""
        with self.store.alone() if self.store else nullcontext():
            newest = (self.store.load() if self.store else None) or _shown(
                self.options.refresh_token
            )
            granted = self._granted(
                {"grant_type": "refresh_token", "refresh_token": newest, **form}
            )
            if granted.refresh_token and granted.refresh_token != newest and self.store:
                self.store.save(granted.refresh_token)
        return granted.access_token

    def _granted(self, form: dict[str, str]) -> Granted:
        with Api(self.place, self.options.url, judge=judge_token, patience=self.patience) as api:
            return api.json("POST", _PATH, Granted, data=form)

    def _assertion(self) -> str:
        claims = {
            "iss": self.options.client_id,
            "sub": self.options.username,
            "aud": self.options.audience,
            "exp": datetime.now(UTC) + _VALID,
        }
        try:
            return jwt.encode(claims, _shown(self.options.private_key), algorithm="RS256")
        except (ValueError, TypeError, jwt.InvalidKeyError):
            raise ConfigurationError(
                f"{self.place}: private_key is not an RSA key in PEM form, or it has a password."
            ) from None


def _shown(secret: object) -> str:
    return str(secret.get_secret_value()) if hasattr(secret, "get_secret_value") else ""
