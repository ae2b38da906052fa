"""What comes over the APIs is what a folder of exports gives."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from stand_in import standing_in

from crmhouse.settings import Settings, SourceConfig
from ingestion.sources.salesforce import MORE, STREAMS
from ingestion.sync import sync_source
from simulators.demo_data import generate
from simulators.salesforce import Salesforce

if TYPE_CHECKING:
    from pathlib import Path

    from crmhouse.warehouse import Warehouse
    from ingestion.streams import Stream


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    generate(folder, persons=300, seed=5)
    return folder


def test_both_batches_of_the_reference_data_land_as_they_do_from_exports(
    crm_demo: Path, warehouse: Warehouse, tmp_path: Path
) -> None:
    compare(crm_demo, warehouse, tmp_path, streams=STREAMS)


@pytest.mark.parametrize("kind", [None, "status", "reset"])
def test_both_batches_land_as_they_do_from_exports_also_where_every_tenth_request_fails(
    generated: Path, warehouse: Warehouse, tmp_path: Path, kind: str | None
) -> None:
    compare(generated, warehouse, tmp_path, kind)


def compare(
    folder: Path,
    warehouse: Warehouse,
    home: Path,
    fault: str | None = None,
    streams: tuple[Stream, ...] = (*STREAMS, *MORE),
) -> None:
    with standing_in(folder, home, {"salesforce": Salesforce}) as stand_in:
        api = SourceConfig(
            name="api",
            kind="salesforce",
            options={
                "url": f"{stand_in.url}/salesforce", "client_id": "key",
                "client_secret": "secret", "page_rows": 100, "bulk_from_rows": 50,
            },
        )  # fmt: skip
        if fault:
            stand_in.fault(fault, share=0.1)
        sync(warehouse, api)
        assert rows(warehouse, "api", streams) == rows_of_exports(warehouse, folder, 1, streams)
        stand_in.advance()
        sync(warehouse, api)
        assert rows(warehouse, "api", streams) == rows_of_exports(warehouse, folder, 2, streams)


def rows_of_exports(
    warehouse: Warehouse, folder: Path, batch: int, streams: tuple[Stream, ...]
) -> dict[str, list[Any]]:
    options = {"path": str(folder), "until": f"batch_{batch}"}
    sync(warehouse, SourceConfig(name="files", kind="salesforce_export", options=options))
    return rows(warehouse, "files", streams)


def sync(warehouse: Warehouse, source: SourceConfig) -> None:
    sync_source(warehouse, Settings(sources=(source,)), source, run_id=uuid.uuid4())


def rows(warehouse: Warehouse, source: str, streams: tuple[Stream, ...]) -> dict[str, list[Any]]:
    with warehouse.connect() as connection:
        found = {}
        for stream in streams:
            names = ", ".join(
                [column.name for column in stream.columns] + ["_source_updated_at", "_deleted_at"]
            )
            found[stream.name] = connection.execute(
                f'select {names} from raw_{source}."{stream.name}" order by id'
            ).fetchall()
    assert all(found.values())
    return found
