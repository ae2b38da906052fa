"""Options of the kind `stripe`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

DEFAULT_VERSION = "2025-02-24.acacia"
_KEYS = ("sk_", "rk_")


def _key(key: SecretStr) -> SecretStr:
    if not key.get_secret_value().startswith(_KEYS):
        raise ValueError(
            "a secret key begins with sk_, a restricted one with rk_; a publishable one (pk_) "
            "may not read"
        )
    return key


class StripeOptions(BaseModel):
    """Options of the kind `stripe`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    api_key: Annotated[SecretStr, AfterValidator(_key)] = Field(
        description="Secret key, or a restricted one that may read the chosen streams and events; "
        "given as `${NAME_OF_A_VARIABLE}`."
    )
    url: str = Field(
        default="https://api.stripe.com", pattern=r"^https?://", description="Where the API is."
    )
    version: str = Field(
        default=DEFAULT_VERSION,
        pattern=r"^\d{4}-\d\d-\d\d(\.[a-z_]+)?$",
        description="Version of the API, which says what objects look like. From 2025-03-31.basil "
        "on, charges no longer name their invoice.",
    )
    lookback: int = Field(
        default=600,
        ge=0,
        description="Seconds before the end of the last sync whose events are looked at again, "
        "because some come late.",
    )
    reread_days: int = Field(
        default=14,
        ge=0,
        description="Balance transactions make no events: those of so many days are read again "
        "at every sync.",
    )
    full_pass_every_days: float | None = Field(
        default=30,
        ge=0,
        description="How often all objects are read again, as a full refresh does it. 0: at every "
        "sync. null: only where events are missing.",
    )
    requests_per_second: float = Field(
        default=20,
        gt=0,
        description="How fast the account is asked, at most. Stripe allows 100 in live mode and 25 "
        "in test mode, for all who use the account.",
    )
