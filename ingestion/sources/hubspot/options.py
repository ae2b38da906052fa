"""Options of the kind `hubspot`."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from ingestion.sources.hubspot.streams import OBJECTS

PAIRS = ("contacts/companies", "deals/companies", "deals/contacts")
_MOST = 10_000

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]
Pair = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+/[A-Za-z0-9_-]+$")]


class HubSpotOptions(BaseModel):
    """Options of the kind `hubspot`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: SecretStr | None = Field(
        default=None,
        description="Access token of a private app, as `${NAME_OF_A_VARIABLE}`. Instead of it "
        "`client_id`, `client_secret` and `refresh_token` of an app with OAuth.",
    )
    client_id: str | None = Field(default=None, description="Of an app with OAuth.")
    client_secret: SecretStr | None = Field(
        default=None, description="Of that app, as `${NAME_OF_A_VARIABLE}`."
    )
    refresh_token: SecretStr | None = Field(
        default=None, description="Of the account's consent, as `${NAME_OF_A_VARIABLE}`."
    )
    url: str = Field(
        default="https://api.hubapi.com", pattern=r"^https?://", description="Where the API is."
    )
    objects: tuple[Name, ...] = Field(
        default=OBJECTS,
        description="Types of objects, as the API's paths have them: custom ones by their "
        "full name (`p123_cars`) or id (`2-123`).",
    )
    custom_objects: bool = Field(
        default=False,
        description="Whether all custom objects of the account are streams, too. The token then "
        "needs the scope crm.schemas.custom.read.",
    )
    associations: tuple[Pair, ...] = Field(
        default=PAIRS,
        description="Pairs of types whose associations are read with their labels; a pair of "
        "which one type is not among the objects is left out.",
    )
    properties_with_history: dict[str, tuple[Name, ...]] = Field(
        default_factory=dict,
        description="By type of objects: the properties whose earlier values are read, too, into "
        "the column `properties_with_history`.",
    )
    lookback: float = Field(
        default=600,
        ge=0,
        description="Seconds behind the newest change that are searched again: HubSpot's search "
        "learns of changes late.",
    )
    archived_every_hours: float | None = Field(
        default=6,
        ge=0,
        description="How often the list of archived records is read. 0: at every sync. null: "
        "never.",
    )
    sweep_every_hours: float | None = Field(
        default=24,
        ge=0,
        description="How often all ids are read to find records that are gone without a trace: "
        "deleted for good, or merged. 0: at every sync. null: never.",
    )
    associations_every_hours: float = Field(
        default=24,
        ge=0,
        description="How often all associations are read. In between those of changed records "
        "are: an association that was taken away is seen when all are read. 0: at every sync.",
    )
    requests_per_10_seconds: int = Field(
        default=100,
        ge=10,
        description="What the account allows: 100 with Free and Starter, 190 with Professional "
        "and Enterprise, 110 to apps with OAuth.",
    )
    searches_per_second: float = Field(
        default=4, gt=0, description="HubSpot allows 5, to all apps of the account together."
    )
    window_rows: int = Field(
        default=_MOST,
        ge=1,
        le=_MOST,
        description="Records of one window of time, held in memory at once. HubSpot's search "
        "gives 10000 at most; windows with more are cut in two.",
    )
    slice_rows: int = Field(
        default=25_000,
        ge=100,
        description="Records of a slice of the first load; a load that was cut short goes on "
        "with the next one.",
    )

    @model_validator(mode="after")
    def _lets_in(self) -> Self:
        """Require one way in."""
        oauth = (self.client_id, self.client_secret, self.refresh_token)
        if (self.token is None) == (None in oauth) or (self.token and any(oauth)):
            raise ValueError("give token, or client_id with client_secret and refresh_token")
        return self
