"""The API of one shop: queries at the speed that their reported cost allows."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from crmhouse.errors import SourceRefusedError
from ingestion.http import Api, Bearer, Patience
from ingestion.sources.shopify.mapping import Shop
from ingestion.sources.shopify.queries import DELETED, LINES, LINES_AT_ONCE, SHOP
from ingestion.sources.shopify.verdicts import TOO_DEAR, codes_of, judge, judge_file
from ingestion.sources.shopify.windows import text_of

if TYPE_CHECKING:
    from datetime import datetime

    from ingestion.sources.shopify.mapping import Record
    from ingestion.sources.shopify.options import ShopifyOptions
    from ingestion.sources.shopify.queries import Object

logger = logging.getLogger(__name__)

PATIENCE = Patience()
_ROWS_AT_ONCE = 250


@dataclass
class Client:
    """Asks one shop.

    Attributes:
        place: the source, for messages.
        options: as configured.
        patience: how long and how often it is asked.
    """

    place: str
    options: ShopifyOptions
    patience: Patience = field(default_factory=lambda: PATIENCE)
    _costs: dict[str, float] = field(default_factory=dict, repr=False)
    _rows: dict[str, int] = field(default_factory=dict, repr=False)
    _bucket: tuple[float, float, float] | None = field(default=None, repr=False)

    @cached_property
    def _api(self) -> Api:
        token = self.options.access_token.get_secret_value()
        return Api(
            self.place,
            self.options.endpoint,
            Bearer(token, "X-Shopify-Access-Token", ""),
            judge,
            patience=self.patience,
        )

    def close(self) -> None:
        """Close the connections."""
        if "_api" in self.__dict__:
            self.__dict__.pop("_api").close()

    @cached_property
    def _installed(self) -> dict[str, Any]:
        return self.ask(SHOP)

    @cached_property
    def shop(self) -> Shop:
        """Return what records need to know of the shop."""
        known = self._installed["shop"]
        return Shop(ZoneInfo(known["ianaTimezone"]), known["currencyCode"])

    @property
    def scopes(self) -> frozenset[str]:
        """Return what the token may read; to write includes to read."""
        granted = self._installed["currentAppInstallation"]["accessScopes"]
        handles = {scope["handle"] for scope in granted}
        return frozenset(handles | {handle.replace("write_", "read_", 1) for handle in handles})

    def ask(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a query and return its data.

        Raises:
            SourceUnavailableError: there was no proper answer, however often it was tried.
            SourceRefusedError: it was refused, or it costs more than any query may.
        """
        data, ratio = self._send(query, variables or {})
        if data is None:
            raise SourceRefusedError(
                f"{self.place}: a query costs {ratio:.1f} times what Shopify allows a single one. "
                "Nothing was read."
            )
        return data

    def page(self, asked: Object, query: str, filter_: str | None, after: str | None) -> Record:
        """Return a page of an object, of as many records as a query may cost."""
        while True:
            rows = self._rows.get(query, _ROWS_AT_ONCE)
            data, ratio = self._send(query, {"first": rows, "after": after, "query": filter_})
            if data is not None:
                page: Record = data[asked.field]
                return page
            if rows == 1:
                raise SourceRefusedError(
                    f"{self.place}: a page of one of {asked.field} costs {ratio:.1f} times what "
                    "Shopify allows a single query. Nothing was read."
                )
            self._rows[query] = max(1, min(rows // 2, int(rows / ratio)))
            self._costs.pop(query, None)

    def complete(self, order: Record) -> None:
        """Read the lines of an order that its page had no room for."""
        lines = order["lineItems"]
        following = lines.get("pageInfo", {"hasNextPage": False})
        while following["hasNextPage"]:
            after = {"id": order["id"], "first": LINES_AT_ONCE, "after": following["endCursor"]}
            node = self.ask(LINES, after)["node"]
            if node is None:  # it was deleted meanwhile
                return
            lines["nodes"].extend(node["lineItems"]["nodes"])
            following = node["lineItems"]["pageInfo"]

    def count(self, asked: Object) -> int:
        """Return how many records of an object there are."""
        return int(self.ask(asked.count)[f"{asked.field}Count"]["count"])

    def has_deleted_products(self, since: datetime) -> bool:
        """Say whether a product was deleted since then: of other objects, no event tells."""
        wanted = f"action:destroy AND subject_type:PRODUCT AND created_at:>='{text_of(since)}'"
        return bool(self.ask(DELETED, {"query": wanted})["events"]["nodes"])

    def download(self, url: str, file: BinaryIO) -> None:
        """Write the file of a bulk operation, which is on another host, and asks for no token."""
        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc}"
        with Api(self.place, host, judge=judge_file, patience=self.patience) as api:
            api.download(url, file)

    def _send(self, query: str, variables: dict[str, Any]) -> tuple[dict[str, Any] | None, float]:
        """Return the data; None, and how many times too dear it was, for a query that is."""
        self._wait(self._costs.get(query, 0))
        answer = self._api.json(
            "POST",
            f"admin/api/{self.options.version}/graphql.json",
            dict[str, Any],
            json={"query": query, "variables": variables},
        )
        errors = answer.get("errors") or []
        if TOO_DEAR in codes_of(errors):
            told = next(error["extensions"] for error in errors if "extensions" in error)
            return None, float(told.get("cost", 2)) / float(told.get("maxCost", 1))
        self._remember(query, answer.get("extensions"))
        data = answer.get("data")
        if not isinstance(data, dict):
            raise SourceRefusedError(f"{self.place}: an answer has no data. Nothing was read.")
        return data, 1.0

    def _remember(self, query: str, extensions: Record | None) -> None:
        cost = (extensions or {}).get("cost")
        if cost:
            status = cost["throttleStatus"]
            self._costs[query] = float(cost["requestedQueryCost"])
            left, rate = float(status["currentlyAvailable"]), float(status["restoreRate"])
            self._bucket = left, rate, time.monotonic()

    def _wait(self, cost: float) -> None:
        """Wait until the bucket holds what the query has cost the last time."""
        if self._bucket:
            left, rate, then = self._bucket
            lacking = cost - left - (time.monotonic() - then) * rate
            if lacking > 0 and rate > 0:
                time.sleep(min(lacking / rate, self.patience.longest_pause))
