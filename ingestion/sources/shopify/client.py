"""The API of one shop: queries at the speed that their reported cost allows."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from crmhouse.errors import SourceRefusedError, SourceUnavailableError
from ingestion.http import Api, Bearer, Patience
from ingestion.sources.shopify.mapping import Shop, gid_of_refund
from ingestion.sources.shopify.queries import (
    DELETED,
    LINES,
    LINES_AT_ONCE,
    REFUND_LINES_AT_ONCE,
    REFUNDS,
    REFUNDS_AT_ONCE,
    ROWS_AT_ONCE,
    SHOP,
)
from ingestion.sources.shopify.verdicts import TOO_DEAR, codes_of, judge, judge_file
from ingestion.sources.shopify.windows import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from ingestion.sources.shopify.mapping import Record
    from ingestion.sources.shopify.options import ShopifyOptions
    from ingestion.sources.shopify.queries import Object

logger = logging.getLogger(__name__)

PATIENCE = Patience()


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
    _undeleted_since: datetime | None = field(default=None, repr=False)

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
        """Return a page of an object, of as many records as a query may cost.

        Beside the page's own fields it has `count`, of the records that the filter lets through.
        """
        while True:
            rows = self.rows_of(query)
            data, ratio = self._send(query, {"first": rows, "after": after, "query": filter_})
            if data is not None:
                page: Record = data[asked.field] | data[f"{asked.field}Count"]
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
        after = self._following(lines, None)
        while after:
            asked = {"id": order["id"], "first": LINES_AT_ONCE, "after": after}
            node = self.ask(LINES, asked)["node"]
            if node is None:  # it was deleted meanwhile
                return
            lines["nodes"].extend(node["lineItems"]["nodes"])
            after = self._following(node["lineItems"], after)

    def _following(self, page: Record, asked: str | None) -> str | None:
        """Return where the next page of a nested list begins; None after the last one.

        Raises:
            SourceUnavailableError: where this one has begun.
        """
        info = page.get("pageInfo", {"hasNextPage": False})
        if not info["hasNextPage"]:
            return None
        after = str(info["endCursor"])
        if after == asked:
            raise SourceUnavailableError(
                f"{self.place}: a list within an order says that there is more, and gave the same "
                "page twice. Nothing of this slice was landed; sync again."
            )
        return after

    def with_refund_lines(self, orders: Iterable[Record]) -> Iterator[Record]:
        """Yield orders after what their refunds gave back was read.

        Neither a bulk operation nor a page has that: it is a connection within a list.
        """
        rest = iter(orders)
        while some := [*islice(rest, ROWS_AT_ONCE)]:
            refunds = {gid_of_refund(one): one for order in some for one in order["refunds"]}
            ids = iter(refunds)
            while chosen := [*islice(ids, REFUNDS_AT_ONCE)]:
                self._read_refund_lines({id_: refunds[id_] for id_ in chosen})
            yield from some

    def _read_refund_lines(self, refunds: dict[str, Record]) -> None:
        """Read the lines of some refunds: those with many of them page by page."""
        after: dict[str, str | None] = dict.fromkeys(refunds)
        for refund in refunds.values():
            refund["lines"] = []
        while after:
            place = next(iter(after.values()))  # all of them at first, then one by one
            ids = [id_ for id_, its in after.items() if its == place]
            asked = {"ids": ids, "first": REFUND_LINES_AT_ONCE, "after": place}
            for id_ in ids:
                del after[id_]
            for node in filter(None, self.ask(REFUNDS, asked)["nodes"]):  # None: deleted meanwhile
                lines = node["refundLineItems"]
                refunds[node["id"]]["lines"] += lines["nodes"]
                if following := self._following(lines, place):
                    after[node["id"]] = following

    def has_deleted_products(self, since: datetime) -> bool:
        """Say whether a product was deleted since then: of other objects, no event tells."""
        if self._undeleted_since and since >= self._undeleted_since:
            return False  # another stream has asked
        wanted = f"action:destroy AND subject_type:PRODUCT AND created_at:>='{text_of(since)}'"
        found = bool(self.ask(DELETED, {"query": wanted})["events"]["nodes"])
        if not found:
            self._undeleted_since = since
        return found

    def rows_of(self, query: str) -> int:
        """Return how many records a page of a query may have: fewer once that was too dear."""
        return self._rows.get(query, ROWS_AT_ONCE)

    def found(self, query: str) -> dict[str, int]:
        """Return for a checkpoint what was found out about the pages of a query."""
        return {"rows": self._rows[query]} if query in self._rows else {}

    def expect(self, query: str, rows: int | None) -> None:
        """Ask for pages of so many records, which an earlier sync has found to be possible."""
        if rows:
            self._rows.setdefault(query, rows)

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
