"""A shop as a source: everything by a bulk operation, then what has changed, page by page.

Checkpoints of a stream, by slice:

    bulk         the bulk operation of a load, and the change from which on it reads
    changes      the newest change that has landed; within a window, the page to go on with
    deletions    when all ids were read last
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from crmhouse.errors import CrmhouseError, SourceRefusedError
from ingestion.http import IMPATIENT
from ingestion.readers.json_lines import batches_of
from ingestion.slices import Slice
from ingestion.sources.connector import ByOneProcess, always
from ingestion.sources.schedule import is_due, read_now, window_name
from ingestion.sources.shopify.bulk import OperationUnderWayError, Result, begin, find, wait
from ingestion.sources.shopify.client import Client
from ingestion.sources.shopify.mapping import number, record_of
from ingestion.sources.shopify.options import ShopifyOptions
from ingestion.sources.shopify.queries import OBJECTS
from ingestion.sources.shopify.streams import API_STREAMS
from ingestion.sources.shopify.windows import Pages, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping

    from ingestion.batches import Batch
    from ingestion.sources.connector import Claim, Given
    from ingestion.sources.shopify.mapping import Record
    from ingestion.streams import Stream

logger = logging.getLogger(__name__)

BULK, CHANGES, DELETIONS = "bulk", "changes", "deletions"
_SAFETY = timedelta(seconds=5)
_SCOPES = {
    "customers": ("read_customers",),
    "orders": ("read_orders", "read_customers", "read_products"),
    "products": ("read_products",),
    "variants": ("read_products",),
}
_ALL_ORDERS = "read_all_orders"
_SOLD = frozenset({"products", "variants"})


@dataclass(frozen=True)
class ShopifyConnector(ByOneProcess):
    """Reads one shop.

    Attributes:
        client: of the shop.
        options: as configured.
        batch_rows: records in memory at once.
        chosen: names of the streams that are synced.
    """

    client: Client
    options: ShopifyOptions
    batch_rows: int
    chosen: frozenset[str] = field(default_factory=frozenset)

    system = "shopify"

    def only(self, streams: Collection[str]) -> ShopifyConnector:
        """Return this connector, restricted to these streams."""
        return replace(self, chosen=frozenset(streams))

    def streams(self) -> tuple[Stream, ...]:
        """Return the streams."""
        return tuple(stream for stream in API_STREAMS if stream.name in self.chosen)

    def check(self) -> list[str]:
        """Say what keeps the shop from being read; nothing when all is well."""
        client = replace(self.client, patience=IMPATIENT)
        try:
            granted = client.scopes
        except CrmhouseError as error:
            return [str(error)]
        finally:
            client.close()
        needed = {scope for name in self.chosen for scope in _SCOPES[name]}
        problems = [
            f"{self.client.place}: the access token lacks the scope {scope}. Add it to the app and "
            "install the app anew."
            for scope in sorted(needed - granted)
        ]
        if "orders" in self.chosen and _ALL_ORDERS not in granted:
            problems.append(
                f"{self.client.place}: the access token lacks the scope {_ALL_ORDERS}, without "
                "which Shopify shows the orders of the last 60 days only. Ask for it in the app's "
                "settings, and install the app anew."
            )
        return problems

    def slices(
        self,
        stream: Stream,
        landed: Mapping[str, Mapping[str, Any]],
        claim: Claim = always,  # noqa: ARG002  # one process reads a stream
    ) -> Generator[Slice]:
        """Yield what is to be landed, in order."""
        try:
            known, began = landed.get(CHANGES) or {}, read_now()
            self.client.expect(OBJECTS[stream.name].page, known.get("rows"))
            pages = self._pages(stream, Window.after(known, self.options.lookback, _now()))
            plan = self._bulk_plan(stream, landed, pages)
            if plan:
                yield from self._bulk_load(stream, landed, plan, pages.window)
            else:
                yield from self._changes(stream, pages, {} if known else {DELETIONS: began})
            if known:
                yield from self._deletions(stream, landed)
        finally:
            self.client.close()

    def everything(self, stream: Stream) -> Generator[Slice]:
        """Yield one slice with all records.

        Raises:
            SourceRefusedError: the token sees a part of the orders only.
        """
        try:
            if not self._sees_all(stream):
                raise self._sees_too_little(stream)
            pages, began = self._pages(stream, Window.until(_now())), read_now()
            if pages.is_large(self.options.bulk_from_rows):
                operation = begin(self.client, OBJECTS[stream.name].bulk)
                yield self._of_bulk(stream, operation, holds="all")
                return
            yield Slice(
                CHANGES, lambda: self._batches(stream, pages.all()), pages.checkpoint,
                holds="all", also=lambda: {DELETIONS: began},
            )  # fmt: skip
        finally:
            self.client.close()

    def window(self, stream: Stream, start: datetime, end: datetime) -> Generator[Slice]:
        """Yield the slice of the records that changed in `start` <= time < `end`."""
        pages = self._pages(stream, Window(start, end))
        try:
            yield Slice(
                window_name(start, end),
                lambda: self._batches(stream, pages.all()),
                lambda: {"landed": True},
                window=(start, end),
            )
        finally:
            self.client.close()

    def no_window(self, stream: Stream) -> None:  # the signature of Connector
        """Say nothing: every stream can be read by a window of time."""

    def _bulk_plan(
        self, stream: Stream, landed: Mapping[str, Mapping[str, Any]], pages: Pages
    ) -> Mapping[str, Any] | None:
        """Return the operation that is to read a window: the one that is remembered, or another.

        None where pages are to: there are few of them, or some have landed, or another operation
        of the app is under way.
        """
        window, known = pages.window, landed.get(BULK) or {}
        is_under_way = known and not landed.get(CHANGES)
        if window.page or not (is_under_way or pages.is_large(self.options.bulk_from_rows)):
            return None
        if known.get("since") == window.newest and find(self.client, known.get("operation")):
            return known
        query = OBJECTS[stream.name].bulk_of(replace(window, high=None).filter)
        try:
            return {"operation": begin(self.client, query, joins=True), "since": window.newest}
        except OperationUnderWayError as error:
            if window.low is None:
                raise
            logger.info("%s Meanwhile %s come by pages.", error, stream.name)
            return None

    def _sees_all(self, stream: Stream) -> bool:
        return stream.name != "orders" or _ALL_ORDERS in self.client.scopes

    def _sees_too_little(self, stream: Stream) -> SourceRefusedError:
        return SourceRefusedError(
            f"{self.client.place}.{stream.name}: without the scope {_ALL_ORDERS} Shopify shows the "
            "orders of the last 60 days only, so that older ones would count as deleted. Nothing "
            "was read; add the scope to the app."
        )

    def _bulk_load(
        self,
        stream: Stream,
        landed: Mapping[str, Mapping[str, Any]],
        plan: Mapping[str, Any],
        window: Window,
    ) -> Generator[Slice]:
        """Yield the operation, so that it is remembered, and then its records."""
        if plan != landed.get(BULK):
            yield Slice(BULK, lambda: iter(()), lambda: plan)
        yield self._of_bulk(stream, plan["operation"], window)

    def _of_bulk(
        self,
        stream: Stream,
        operation: str,
        asked: Window | None = None,
        **more: Any,  # noqa: ANN401  # fields of Slice
    ) -> Slice:
        result = Result(self.client, wait(self.client, operation))
        begun = result.operation["createdAt"]
        # A record that was changed while the operation ran may be in it as it was before.
        end = datetime.fromisoformat(begun) - _SAFETY
        window = Window(None, end, newest=asked.newest if asked else None)
        # With its records it is over: another window begins one of its own.
        also: dict[str, Mapping[str, Any]] = {BULK: {}}
        if asked is None or asked.low is None:
            also[DELETIONS] = {"read_at": begun}

        def nodes() -> Iterator[Record]:
            for node, children in result.nodes():
                if stream.name == "orders":
                    node["lineItems"] = {"nodes": children}
                window.see(node)
                yield node

        return Slice(
            CHANGES, lambda: self._batches(stream, nodes()),
            lambda: window.done() | self.client.found(OBJECTS[stream.name].page),
            reported=result.roots, also=lambda: also, **more,
        )  # fmt: skip

    def _changes(
        self, stream: Stream, pages: Pages, also: Mapping[str, Mapping[str, Any]]
    ) -> Generator[Slice]:
        """Yield a window in parts, each of which is remembered."""
        while not pages.are_done:
            yield Slice(
                CHANGES, lambda: self._batches(stream, pages.nodes()), pages.checkpoint,
                also=lambda: also,
            )  # fmt: skip
            pages.go_on()

    def _pages(self, stream: Stream, window: Window) -> Pages:
        return Pages(self.client, OBJECTS[stream.name], window)

    def _deletions(
        self, stream: Stream, landed: Mapping[str, Mapping[str, Any]]
    ) -> Generator[Slice]:
        if not self._is_sweep_due(stream, landed.get(DELETIONS, {})):
            return
        if not self._sees_all(stream):
            logger.warning(
                "%s.%s: deleted orders are not looked for, because the access token lacks the "
                "scope %s and does not see all of them",
                self.client.place, stream.name, _ALL_ORDERS,
            )  # fmt: skip
            return
        began = read_now()
        asked = OBJECTS[stream.name]
        pages = Pages(self.client, asked, Window(None, None), asked.keys)
        nodes: Callable[[], Iterable[Record]] = pages.all
        reported = None
        if pages.is_large(self.options.bulk_from_rows):
            result = Result(self.client, wait(self.client, begin(self.client, asked.bulk_keys)))
            reported = result.roots
            nodes = lambda: (node for node, _ in result.nodes())  # noqa: E731

        def read() -> Iterator[Batch]:
            keys = (msgspec.json.encode({"id": number(node["id"])}) for node in nodes())
            return batches_of(keys, stream, self.batch_rows, "record")

        yield Slice(
            DELETIONS,
            read,
            lambda: began,
            reported=reported,
            holds="keys",
        )

    def _is_sweep_due(self, stream: Stream, last: Mapping[str, Any]) -> bool:
        hours = self.options.sweep_every_hours
        if is_due(last, hours):
            return True
        if hours is None or stream.name not in _SOLD:
            return False
        since = datetime.fromisoformat(last["read_at"]) - timedelta(seconds=self.options.lookback)
        return self.client.has_deleted_products(since)

    def _batches(self, stream: Stream, nodes: Iterable[Record]) -> Iterator[Batch]:
        shop = self.client.shop
        if stream.name == "orders":
            nodes = self.client.with_refund_lines(nodes)
        texts = (msgspec.json.encode(record_of(stream.name, node, shop)) for node in nodes)
        return batches_of(texts, stream, self.batch_rows, "record")


def _now() -> datetime:
    return datetime.now(UTC) - _SAFETY


def build(options: Mapping[str, Any], given: Given) -> ShopifyConnector:
    """Make the connector of a source of the kind `shopify`.

    Args:
        options: the configured options, checked against `ShopifyOptions`.
        given: what it gets beside them.
    """
    checked = ShopifyOptions.model_validate(options)
    client = Client(given.name, checked)
    return ShopifyConnector(client, checked, given.batch_rows, frozenset(checked.objects))
