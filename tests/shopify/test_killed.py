"""A first load whose process is killed while the bulk operation runs, and the memory of a join."""

from __future__ import annotations

import json
import time
import tracemalloc
import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any

from fault_points import Child, wait_for_the_dead
from shopify_shop import order

from ingestion.sources.shopify.bulk import Result
from ingestion.sources.shopify.client import Client
from ingestion.sources.shopify.options import ShopifyOptions
from ingestion.sync import sync_source

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe
    from pathlib import Path

    from shopify_shop import Shop

    from crmhouse.settings import Settings, SourceConfig
    from crmhouse.warehouse import Warehouse

ORDERS: dict[str, Any] = {"objects": ["orders"], "bulk_from_rows": 1}
ROOTS, CHILDREN = 20_000, 3


def load(pipe: Pipe, warehouse: Warehouse, settings: Settings, source: SourceConfig) -> None:
    pipe.send("began")
    sync_source(warehouse, settings, source, run_id=uuid.uuid4())


def test_a_load_that_is_killed_while_the_operation_runs_goes_on_with_it(shop: Shop) -> None:
    shop.put("orders", *(order(n) for n in range(10, 300)))
    shop.stand_in.fault("bulk_slow", seconds=3, times=1)
    with Child(load, shop.warehouse, *shop.configured(**ORDERS)) as child:
        assert child.said() == "began"
        until = time.monotonic() + 60
        while shop.checkpoint("bulk") is None and time.monotonic() < until:
            time.sleep(0.05)
        child.kill()
    wait_for_the_dead(shop.warehouse)
    assert shop.raw("id") == []
    assert shop.system.bulk.all[0].status == "RUNNING"
    shop.sync(**ORDERS)
    assert [id_ for (id_,) in shop.raw("id")] == [1, 2, 3, *range(10, 300)]
    assert len(shop.system.bulk.all) == 1


def test_a_file_is_joined_on_disk_whatever_its_order(shop: Shop) -> None:
    parent = "gid://shopify/Order/{}"
    folder: Path = shop.system.bulk.folder
    folder.mkdir()
    with shop.system.bulk.file(1).open("w", encoding="utf-8") as file:
        for child in range(CHILDREN):
            for n in range(ROOTS):
                row = {"id": f"gid://shopify/LineItem/{n}{child}", "sku": "x" * 300}
                file.write(json.dumps({**row, "__parentId": parent.format(n)}) + "\n")
        for n in reversed(range(ROOTS)):
            file.write(json.dumps({"id": parent.format(n), "note": "y" * 300}) + "\n")
    operation = {
        "id": "gid://shopify/BulkOperation/1",
        "url": f"{shop.url}/bulk/1.jsonl?Signature=1",
        "rootObjectCount": str(ROOTS),
        "objectCount": str(ROOTS * (1 + CHILDREN)),
    }
    options = ShopifyOptions.model_validate({"url": shop.url, "access_token": "t"})
    seen = 0
    tracemalloc.start()
    with closing(Result(Client("shop", options), operation).nodes()) as nodes:
        for node, children in nodes:
            number = node["id"].rpartition("/")[2]
            assert [one["id"].rpartition("/")[2] for one in children] == [
                f"{number}{child}" for child in range(CHILDREN)
            ]
            seen += 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen == ROOTS
    assert peak < 8 << 20  # the file has 30 MB
