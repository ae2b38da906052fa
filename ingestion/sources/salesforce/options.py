"""Options of the kind `salesforce`."""

from __future__ import annotations

from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from ingestion.sources.salesforce.streams import DECLARED

_SANDBOX = (".sandbox.", ".scratch.", "--")
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})


class SalesforceOptions(BaseModel):
    """Options of the kind `salesforce`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(
        description="My Domain of the org: `https://<name>.my.salesforce.com`. Neither login nor "
        "test.salesforce.com."
    )
    api_version: str = Field(
        default="62.0", pattern=r"^\d{2,3}\.0$", description="Version of the API; 58.0 or newer."
    )
    client_id: str = Field(min_length=1, description="Consumer key of the connected app.")
    client_secret: SecretStr | None = Field(
        default=None,
        description="Consumer secret, as ${VARIABLE}. With it alone: the client credentials flow.",
    )
    username: str | None = Field(
        default=None, description="User that `private_key` signs for: the JWT bearer flow."
    )
    private_key: SecretStr | None = Field(
        default=None,
        description="PEM text of the RSA key of the connected app's certificate, as ${VARIABLE}.",
    )
    refresh_token: SecretStr | None = Field(
        default=None,
        description="Refresh token, as ${VARIABLE}: the refresh token flow. Where the app rotates "
        "it, the newer one is kept, encrypted, in ops.refresh_tokens.",
    )
    objects: tuple[str, ...] = Field(
        default=tuple(DECLARED),
        min_length=1,
        description="Objects to read, standard ones and custom ones (`Invoice__c`, "
        "`AccountHistory`), by the name that the API has for them.",
    )
    safety_seconds: int = Field(
        default=60,
        ge=0,
        description="A sync reads what changed until so long ago; the rest comes with the next.",
    )
    lookback_seconds: int = Field(
        default=600,
        ge=0,
        description="How far before the end of the last sync records are read again: some are "
        "seen late.",
    )
    bulk_from_rows: int = Field(
        default=2000,
        ge=0,
        description="More records than this are read by Bulk API 2.0; fewer by REST.",
    )
    page_rows: int = Field(
        default=50_000, ge=1, description="Records of a page of Bulk; each is landed by itself."
    )
    pages_at_once: int = Field(
        default=3,
        ge=1,
        le=10,
        description="Pages of a Bulk job that are downloaded side by side into temporary files, "
        "where there are more records than `page_rows`; Salesforce says then how large they are. "
        "1: one after the other.",
    )
    job_minutes: float = Field(
        default=240,
        gt=0,
        description="How long a Bulk job is waited for; the next sync goes on waiting for it.",
    )
    sweep_every_hours: float | None = Field(
        default=24,
        ge=0,
        description="How often all ids are read to find records that are in no recycle bin any "
        "more. 0: at every sync. null: never.",
    )
    formulas_every_hours: float | None = Field(
        default=24,
        ge=0,
        description="How often all records of objects with calculated fields are read, whose "
        "values change without a trace. 0: at every sync. null: never.",
    )
    request_reserve: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of the org's requests of the day that is left to others: with fewer "
        "left, the sync ends as partial.",
    )

    @field_validator("url")
    @classmethod
    def _my_domain(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.hostname in {"login.salesforce.com", "test.salesforce.com"}:
            raise ValueError("give the org's own My Domain, https://<name>.my.salesforce.com")
        if not parts.hostname or parts.query or parts.username:
            raise ValueError("it must be https://<name>.my.salesforce.com, and nothing else")
        # A name without a dot is one of a private network, such as a stand-in beside us.
        if parts.scheme != "https" and parts.hostname not in _HERE and "." in parts.hostname:
            raise ValueError("it must begin with https://")
        return url.rstrip("/")

    @field_validator("objects")
    @classmethod
    def _each_once(cls, objects: tuple[str, ...]) -> tuple[str, ...]:
        names = [object_.lower() for object_ in objects]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} stands there twice")
        return objects

    @model_validator(mode="after")
    def _one_flow(self) -> Self:
        if self.private_key and not self.username:
            raise ValueError("private_key needs the username that it signs for")
        if self.private_key and self.refresh_token:
            raise ValueError("give either private_key or refresh_token")
        if not self.private_key and not self.client_secret:
            raise ValueError(
                "give client_secret (client credentials), username and private_key (JWT bearer), "
                "or client_secret and refresh_token"
            )
        return self

    @property
    def audience(self) -> str:
        """Return whom an assertion is for: sandboxes log in elsewhere."""
        host = urlsplit(self.url).hostname or ""
        name = "test" if any(part in host for part in _SANDBOX) else "login"
        return f"https://{name}.salesforce.com"
