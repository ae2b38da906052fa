"""The API and the export of the same shop leave the same rows."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from shopify_shop import Shop, opened

from crmhouse.settings import Settings, SourceConfig
from ingestion.sources.shopify import MORE, STREAMS
from ingestion.sync import sync_source

if TYPE_CHECKING:
    from pathlib import Path

    from crmhouse.warehouse import Warehouse
    from ingestion.streams import Stream


def exported(warehouse: Warehouse, folder: Path, until: str) -> None:
    options = {"path": str(folder), "until": until}
    source = SourceConfig(name="export", kind="shopify_export", options=options)
    sync_source(warehouse, Settings(sources=(source,)), source, run_id=uuid.uuid4())


def assert_equal(shop: Shop, least: int, streams: tuple[Stream, ...], *more: str) -> None:
    """Compare all declared columns, further ones of orders, and which rows are deleted.

    The API does not tell when a record was deleted, so its last change is an earlier one.
    """
    for stream in streams:
        names = [
            f'case when _deleted_at is null then "{column.name}" end'
            if column.name == "updated_at"
            else f'"{column.name}"'
            for column in stream.columns
            if column.name != "deleted"
        ]
        names += more if stream.name == "orders" else ()
        what = f"select {', '.join(names)}, _deleted_at is null from"
        api, export = (
            shop.fetch(f"{what} raw_{source}.{stream.name} order by id")
            for source in ("shop", "export")
        )
        assert len(export) >= least
        assert api == export


@pytest.mark.parametrize("bulk_from_rows", [1, 1_000_000])
def test_the_api_leaves_the_rows_that_the_export_leaves(
    demo_shop: Shop, demo: Path, bulk_from_rows: int
) -> None:
    for until in ("batch_1", "batch_2"):
        demo_shop.sync(bulk_from_rows=bulk_from_rows)
        exported(demo_shop.warehouse, demo, until)
        assert_equal(demo_shop, 50, (*STREAMS, *MORE), "transactions")
        if until == "batch_1":
            demo_shop.stand_in.advance()


def test_the_reference_data_arrive_as_the_export_has_them(
    crm_demo: Path, tmp_path: Path, warehouse: Warehouse
) -> None:
    with opened(crm_demo, tmp_path, warehouse) as shop:
        for until in ("batch_1", "batch_2"):
            shop.sync()
            exported(warehouse, crm_demo, until)
            assert_equal(shop, 1000, STREAMS)
            if until == "batch_1":
                shop.stand_in.advance()
