from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from file_sources import export, files, sync, write
from landing_records import fetch, parquet

from crmhouse.errors import ConfigurationError, SyncFailedError
from ingestion.sources import connector

if TYPE_CHECKING:
    from pathlib import Path

    from crmhouse.warehouse import Warehouse

CONTACT = '{"id": "1", "updatedAt": "2026-01-01T00:00:00Z", "archived": %s}\n'
THINGS = "select id, v from raw_lists.things order by 1"


@pytest.mark.parametrize("later_is_there", [True, False])
def test_a_sync_cut_short_after_an_old_file_reads_the_later_ones_again_next_time(
    warehouse: Warehouse, tmp_path: Path, later_is_there: bool
) -> None:
    for number, value in (("1", "old"), ("2", "new"), ("3", "newest")):
        write(tmp_path, f"{number}.csv", f"id,v\n1,{value}\n")
    sync(warehouse, files(tmp_path))
    later = tmp_path / "2.csv"
    content = later.read_text()
    write(tmp_path, "1.csv", "id,v\n1,old\n2,late\n")
    if later_is_there:
        later.write_text("id,id\n")
        with pytest.raises(SyncFailedError, match="names id twice"):
            sync(warehouse, files(tmp_path))
    else:
        later.unlink()
        (tmp_path / "3.csv").rename(tmp_path / "hidden")
        sync(warehouse, files(tmp_path))
        (tmp_path / "hidden").rename(tmp_path / "3.csv")
    assert fetch(warehouse, THINGS) == [("1", "old"), ("2", "late")]
    later.write_text(content)
    assert list(sync(warehouse, files(tmp_path))) == ["2.csv", "3.csv"]
    assert fetch(warehouse, THINGS) == [("1", "newest"), ("2", "late")]
    assert sync(warehouse, files(tmp_path)) == {}


def test_a_changed_old_file_of_a_stream_with_versions_undoes_no_deletion_and_no_later_content(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    first = write(tmp_path, "batch_1/hubspot/contacts.jsonl", CONTACT % "false")
    write(tmp_path, "batch_2/hubspot/contacts.jsonl", CONTACT % "true")
    sync(warehouse, export(tmp_path, "hubspot"))
    first.write_text(CONTACT % "false" + CONTACT.replace('"1"', '"2"') % "false")
    assert len(sync(warehouse, export(tmp_path, "hubspot"))) == 2
    deleted = "select id, _deleted_at is not null from raw_hubspot.contacts order by 1"
    assert fetch(warehouse, deleted) == [("1", True), ("2", False)]
    stream = {"version": "changed", "glob": "*.csv"}
    for number, value in (("1", "old"), ("2", "new")):
        write(tmp_path, f"{number}.csv", f"id,v,changed\n1,{value},2026-01-01T00:00:00Z\n")
    sync(warehouse, files(tmp_path, **stream))
    write(tmp_path, "1.csv", "id,v,changed\n1,older,2026-01-01T00:00:00Z\n")
    sync(warehouse, files(tmp_path, **stream))
    assert fetch(warehouse, THINGS) == [("1", "new")]


@pytest.mark.parametrize("glob", ["", ".", "/etc/*", "../*.csv", "a/../../b", "**.csv"])
def test_a_glob_that_leaves_the_path_is_refused(tmp_path: Path, glob: str) -> None:
    with pytest.raises(ConfigurationError, match=r"streams\.things\.glob"):
        connector(*files(tmp_path, glob=glob))


def test_a_glob_may_name_folders(warehouse: Warehouse, tmp_path: Path) -> None:
    write(tmp_path, "a/b/c.csv", "id\n1\n")
    assert list(sync(warehouse, files(tmp_path, glob="**/*.csv"))) == ["a/b/c.csv"]


def test_only_files_of_the_objects_name_are_batches_of_it(tmp_path: Path) -> None:
    for name in ("charges.old.jsonl", "charges.jsonl.bak", "charges_2.jsonl", "charges.jsonl"):
        write(tmp_path, f"batch_1/stripe/{name}", "")
    (tmp_path / "batch_2/stripe/charges.csv").mkdir(parents=True)
    reader = connector(*export(tmp_path, "stripe"))
    charges = next(stream for stream in reader.streams() if stream.name == "charges")
    assert [part.name for part in reader.slices(charges, {})] == ["batch_1/stripe/charges.jsonl"]


def test_a_parquet_file_says_how_many_records_it_has(warehouse: Warehouse, tmp_path: Path) -> None:
    write(tmp_path, "a.parquet", parquet({"id": ["1", "2"]}))
    run = sync(warehouse, files(tmp_path, glob="*.parquet"))["a.parquet"]
    assert (run.reported, run.extracted) == (2, 2)
