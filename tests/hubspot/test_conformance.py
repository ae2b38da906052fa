"""A sync over the API, against what the exports of the same records give."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from hubspot_account import account, at, record, rows, write

from crmhouse.settings import Settings, SourceConfig
from ingestion.sources.hubspot import MORE, STREAMS
from ingestion.sources.hubspot.streams import OBJECTS
from ingestion.stream_sync import Asked
from ingestion.sync import sync_source
from simulators.demo_data import generate

if TYPE_CHECKING:
    from pathlib import Path

    from hubspot_account import Account

    from crmhouse.warehouse import Warehouse
    from ingestion.streams import Stream

DECLARED = ", ".join(
    ["_deleted_at", "_source_updated_at", *(column.name for column in STREAMS[0].columns)]
)


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "reference":
        found: Path = request.getfixturevalue("crm_demo")
        return found
    made = tmp_path_factory.mktemp("demo")
    generate(made, persons=250, seed=13)
    return made


def from_exports(warehouse: Warehouse, folder: Path, until: str) -> list[Any]:
    source = SourceConfig(
        name="exports", kind="hubspot_export", options={"path": str(folder), "until": until}
    )
    sync_source(warehouse, Settings(sources=(source,)), source, run_id=uuid.uuid4())
    return rows(warehouse, f"id, {DECLARED}", "raw_exports.contacts")


def from_the_api(made: Account) -> list[Any]:
    return made.raw(f"id, {DECLARED}")


@pytest.mark.parametrize(
    ("folder", "speed", "faults"),
    [("generated", 1e5, 0.1), ("generated", 1e9, 0.1), ("reference", 1e9, 0)],
    indirect=["folder"],
)
def test_the_api_gives_what_the_exports_give(
    folder: Path, tmp_path: Path, warehouse: Warehouse, speed: float, faults: float
) -> None:
    # Fast searches make a first load by search, slow ones one by list.
    options = {"searches_per_second": speed, "window_rows": 500}
    with account(folder, tmp_path, warehouse) as made:
        made.running.fault("status", share=faults)
        made.running.fault("reset", share=faults / 2)
        made.running.fault("truncate", share=faults / 2)
        made.sync(**options)
        expected = from_exports(warehouse, folder, "batch_1")
        assert from_the_api(made) == expected
        assert len(expected) > 100
        made.running.advance()
        made.sync(**options)
        expected = from_exports(warehouse, folder, "batch_2")
        assert from_the_api(made) == expected
        assert any(row[1] for row in expected), "no contact was archived"


@pytest.mark.parametrize("folder", ["generated"], indirect=True)
def test_a_full_refresh_gives_the_same(folder: Path, tmp_path: Path, warehouse: Warehouse) -> None:
    with account(folder, tmp_path, warehouse) as made:
        made.running.advance()
        made.sync(asked=Asked(everything=True))
        expected = from_exports(warehouse, folder, "batch_2")
        assert from_the_api(made) == expected
        [run] = [run for run in made.sync(archived_every_hours=None) if run.slice == "changes"]
        assert (run.inserted, run.updated) == (0, 0)


def test_each_type_of_objects_arrives_engagements_among_them(
    tmp_path: Path, warehouse: Warehouse
) -> None:
    folder = tmp_path / "data"
    write(folder, 1, **{name: [record(n, subject=name) for n in (1, 2)] for name in OBJECTS})
    write(folder, 2, **{name: [record(2, at(9), subject="changed")] for name in OBJECTS})
    with account(folder, tmp_path, warehouse) as made:
        chosen = {"objects": OBJECTS, "streams": None, "associations": []}
        made.sync(**chosen)
        made.running.advance()
        made.sync(**chosen)
        for name in OBJECTS:
            assert made.raw("id, property_subject", name) == [("1", name), ("2", "changed")]


@pytest.mark.parametrize("folder", ["generated"], indirect=True)
def test_further_objects_land_as_they_do_from_exports(
    folder: Path, tmp_path: Path, warehouse: Warehouse
) -> None:
    filled = [stream for stream in MORE if stream.name not in {"tickets", "products", "line_items"}]
    names = [stream.name for stream in filled]
    options = {"objects": OBJECTS, "streams": names, "sweep_every_hours": 0}
    with account(folder, tmp_path, warehouse) as made:
        for batch in ("batch_1", "batch_2"):
            made.sync(**options)
            from_exports(warehouse, folder, batch)
            for stream in filled:
                columns = ", ".join(columns_of(warehouse, stream))
                found = made.raw(columns, stream.name)
                assert found == rows(warehouse, columns, f"raw_exports.{stream.name}"), stream.name
                assert found
            if batch == "batch_1":
                made.running.advance()
    assert len(made.raw("id", "companies", where="_deleted_at is not null")) > 0


def columns_of(warehouse: Warehouse, stream: Stream) -> list[str]:
    """The columns that an export has, and which rows are deleted."""
    with warehouse.connect() as connection:
        found = connection.execute(
            "select column_name from information_schema.columns where table_schema = 'raw_exports' "
            "and table_name = %s and column_name not like '\\_%%' order by 1",
            [stream.name],
        ).fetchall()
    return [*stream.key, "_deleted_at is null", *(f'"{name}"' for (name,) in found)]
