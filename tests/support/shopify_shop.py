"""A stand-in of a shop over demo data, and the sync from it."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stand_in import standing_in

from crmhouse.settings import Settings, SourceConfig
from ingestion.sources import connector
from ingestion.sync import sync_source
from simulators.shopify import Shopify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stand_in import StandIn

    from crmhouse.warehouse import Warehouse
    from ingestion.runs import SliceRun
    from ingestion.sources.connector import Connector
    from ingestion.stream_sync import Asked

TOKEN = "shpat_demo"  # noqa: S105  # of the stand-in


@dataclass
class Shop:
    """A running stand-in, and the warehouse that is synced to.

    Attributes:
        stand_in: the server.
        system: the shop itself.
        warehouse: where to.
    """

    stand_in: StandIn
    system: Shopify
    warehouse: Warehouse

    @property
    def url(self) -> str:
        return f"{self.stand_in.url}/shopify"

    def configured(self, **options: Any) -> tuple[Settings, SourceConfig]:
        options = {"url": self.url, "access_token": TOKEN, **options}
        source = SourceConfig(name="shop", kind="shopify", options=options)
        return Settings(sources=(source,), batch_rows=500), source

    def connector(self, **options: Any) -> Connector:
        return connector(*self.configured(**options))

    def sync(self, *, asked: Asked | None = None, **options: Any) -> dict[str, SliceRun]:
        """Sync; return what each slice did, by stream and slice."""
        configured = self.configured(**options)
        runs = sync_source(self.warehouse, *configured, run_id=uuid.uuid4(), asked=asked)
        return {f"{run.stream} {run.slice}": run for run in runs}

    def raw(self, columns: str, table: str = "orders", where: str = "true") -> list[Any]:
        return self.fetch(f"select {columns} from raw_shop.{table} where {where} order by 1")

    def fetch(self, query: str) -> list[Any]:
        with self.warehouse.connect() as connection:
            return connection.execute(query).fetchall()

    def put(self, object_: str, *bodies: dict[str, Any]) -> None:
        """Add records, or replace them."""
        self.stand_in.simulator.store.put("shopify", object_, bodies)

    def checkpoint(self, slice_: str, stream: str = "orders") -> Any:
        found = self.fetch(
            "select checkpoint from ops.stream_state where source = 'shop' "
            f"and stream = '{stream}' and slice = '{slice_}'"
        )
        return found[0][0] if found else None


def order(id_: int, updated: str = "2026-02-01T12:00:00-05:00", **more: Any) -> dict[str, Any]:
    return {
        "id": id_, "name": f"#{id_}", "email": "a@example.com", "customer": {"id": 5},
        "created_at": "2026-01-01T00:00:00-05:00", "updated_at": updated, "cancelled_at": None,
        "test": False, "currency": "USD", "subtotal_price": "10.00", "total_shipping": "0.00",
        "total_tax": "0.10", "total_price": "10.10", "financial_status": "paid",
        "line_items": [line(id_ * 100)], "refunds": [], "source_name": "web", **more,
    }  # fmt: skip


def line(id_: int) -> dict[str, Any]:
    return {
        "id": id_, "product_id": 1, "variant_id": 2, "sku": "S", "title": "T", "quantity": 1,
        "price": "10.00", "total_discount": "0.00",
    }  # fmt: skip


@contextmanager
def opened(folder: Path, home: Path, warehouse: Warehouse) -> Iterator[Shop]:
    with standing_in(folder, home, {"shopify": Shopify}) as running:
        system = running.simulator.systems["shopify"]
        assert isinstance(system, Shopify)
        system.bucket.size = system.bucket.restore_rate = 100_000
        yield Shop(running, system, warehouse)
