"""What comes over the APIs is what a folder of exports gives."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from stand_in import standing_in

from crmhouse.settings import Settings, SourceConfig
from ingestion.sources.salesforce import STREAMS
from ingestion.sync import sync_source
from simulators.salesforce import Salesforce

if TYPE_CHECKING:
    from pathlib import Path

    from crmhouse.warehouse import Warehouse


def test_both_batches_land_as_they_do_from_exports(
    crm_demo: Path, warehouse: Warehouse, tmp_path: Path
) -> None:
    with standing_in(crm_demo, tmp_path, {"salesforce": Salesforce}) as stand_in:
        api = SourceConfig(
            name="api",
            kind="salesforce",
            options={
                "url": f"{stand_in.url}/salesforce", "client_id": "key",
                "client_secret": "secret", "page_rows": 500,
            },
        )  # fmt: skip
        sync(warehouse, api)
        assert rows(warehouse, "api") == rows_of_exports(warehouse, crm_demo, 1)
        stand_in.advance()
        sync(warehouse, api)
        assert rows(warehouse, "api") == rows_of_exports(warehouse, crm_demo, 2)


def rows_of_exports(warehouse: Warehouse, folder: Path, batch: int) -> dict[str, list[Any]]:
    options = {"path": str(folder), "until": f"batch_{batch}"}
    sync(warehouse, SourceConfig(name="files", kind="salesforce_export", options=options))
    return rows(warehouse, "files")


def sync(warehouse: Warehouse, source: SourceConfig) -> None:
    sync_source(warehouse, Settings(sources=(source,)), source, run_id=uuid.uuid4())


def rows(warehouse: Warehouse, source: str) -> dict[str, list[Any]]:
    with warehouse.connect() as connection:
        found = {}
        for stream in STREAMS:
            names = ", ".join(
                [column.name for column in stream.columns] + ["_source_updated_at", "_deleted_at"]
            )
            found[stream.name] = connection.execute(
                f"select {names} from raw_{source}.{stream.name} order by id"
            ).fetchall()
    assert all(found.values())
    return found
