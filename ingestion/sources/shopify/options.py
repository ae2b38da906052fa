"""Options of the kind `shopify`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

ObjectName = Literal["customers", "orders", "products", "variants"]


class ShopifyOptions(BaseModel):
    """Options of the kind `shopify`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shop: str | None = Field(
        default=None,
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9.-]*$",
        description="The shop: `my-shop`, or `my-shop.myshopify.com`.",
    )
    url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="Where the API is, in place of the shop: for a proxy, or for a stand-in.",
    )
    access_token: SecretStr = Field(
        description="Access token of the app (`shpat_…`), as `${NAME_OF_A_VARIABLE}`. It needs the "
        "scopes read_customers, read_orders and read_products, and read_all_orders for orders "
        "older than 60 days."
    )
    version: str = Field(
        default="2026-07",
        pattern=r"^(\d{4}-\d{2}|unstable)$",
        description="Version of the API.",
    )
    objects: tuple[ObjectName, ...] = Field(
        default=("customers", "orders", "products", "variants"),
        description="What is synced: customers, orders, products, variants.",
    )
    lookback: float = Field(
        default=600,
        ge=0,
        description="How many seconds behind the newest change records are read again, because "
        "some become visible late.",
    )
    bulk_from_rows: int = Field(
        default=250,
        ge=1,
        description="From so many records on, or five pages, all are read by a bulk operation. It "
        "takes nothing of what the app may ask for in a second.",
    )
    sweep_every_hours: float | None = Field(
        default=24,
        ge=0,
        description="How often all ids are read to find records that were deleted. 0: at every "
        "sync. null: never.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> ShopifyOptions:
        if (self.shop is None) == (self.url is None):
            raise ValueError("give either shop or url")
        return self

    @property
    def endpoint(self) -> str:
        """Return the URL of the host."""
        if self.url:
            return self.url.rstrip("/")
        shop = str(self.shop)
        return f"https://{shop if '.' in shop else shop + '.myshopify.com'}"
