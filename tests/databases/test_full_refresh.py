"""Tables that are read in full: without a cursor, without a key, views; and full refreshes."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from file_sources import files, sync, write
from landing_records import fetch

from crmhouse.errors import SyncFailedError
from ingestion.sources import connector
from ingestion.stream_sync import Asked
from ingestion.sync import sync_source

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Source

    from crmhouse.warehouse import Warehouse

EVERYTHING = Asked(everything=True)


def counts(run: Any) -> tuple[int, int, int, int]:
    """Inserted, updated, unchanged, missing."""
    return run.inserted, run.updated, run.unchanged, run.missing


def test_without_a_cursor_every_sync_compares_all_rows(source: Source) -> None:
    source.execute("create table things (id integer primary key, name varchar(20))")
    source.fill("insert into things values (:id, :n)", [{"id": n, "n": f"n{n}"} for n in range(50)])
    assert counts(source.sync()["changes"]) == (50, 0, 0, 0)
    assert counts(source.sync()["changes"]) == (0, 0, 50, 0)
    source.execute(
        "update things set name = 'new' where id = 3",
        "delete from things where id = 4",
        "insert into things values (50, 'n50')",
    )
    assert counts(source.sync()["changes"]) == (1, 1, 48, 1)
    assert source.raw("id, name", where="id in (3, 50)") == [(3, "new"), (50, "n50")]
    assert source.raw("id", where="_deleted_at is not null") == [(4,)]
    source.execute("insert into things values (4, 'n4')")
    assert counts(source.sync()["changes"]) == (0, 1, 50, 0)
    assert source.raw("id", where="_deleted_at is not null") == []


def test_rows_without_a_key_are_told_apart_by_their_content(source: Source) -> None:
    source.execute("create table things (name varchar(20), amount decimal(10, 2))")
    rows = [{"n": "a", "x": 1}, {"n": "a", "x": 1}, {"n": None, "x": None}, {"n": "b", "x": 2}]
    source.fill("insert into things values (:n, :x)", rows)
    assert counts(source.sync()["changes"]) == (4, 0, 0, 0)
    assert counts(source.sync()["changes"]) == (0, 0, 4, 0)
    assert source.raw("name, count(*)", where="name = 'a' group by name") == [("a", 2)]
    source.execute(
        "update things set amount = 3 where name = 'b'",
        "delete from things where name = 'a'",
    )
    source.execute("insert into things values ('a', 1)")
    assert counts(source.sync()["changes"]) == (1, 0, 2, 2)
    assert source.raw("name, amount::int, _row_copy") == [("a", 1, 0), ("b", 3, 0), (None, None, 0)]


def test_a_view_is_read_like_a_table(source: Source) -> None:
    source.execute(
        "create table base (id integer primary key, n integer)",
        "insert into base values (1, 10)",
        "insert into base values (2, 20)",
        "create view things as select id, n * 2 as twice from base",
    )
    assert counts(source.sync({"things": {"key": ["id"]}})["changes"]) == (2, 0, 0, 0)
    assert source.raw("id, twice::int") == [(1, 20), (2, 40)]


def test_all_tables_are_synced_when_none_is_named(source: Source) -> None:
    source.execute(
        "create table a (id integer primary key)", "create table b (id integer primary key)"
    )
    settings, configured = source.configured({}, {})
    runs = sync_source(source.warehouse, settings, configured, run_id=uuid.uuid4())
    assert [run.stream for run in runs] == ["a", "b"]


def test_a_table_that_was_emptied_is_not_believed_until_the_floor_is_lowered(
    source: Source,
) -> None:
    source.execute("create table things (id integer primary key)", "insert into things values (1)")
    source.sync()
    source.execute("delete from things")
    with pytest.raises(SyncFailedError, match="source has 0 records, raw holds 1"):
        source.sync()
    assert source.raw("id", where="_deleted_at is null") == [(1,)]
    assert source.sync(settings={"refresh_row_floor": 0})["changes"].missing == 1


def test_a_snapshot_shows_one_moment_while_others_write(source: Source) -> None:
    """Rows that are moved from one end of the table to the other are read once."""
    if source.dialect == "sqlite":
        pytest.skip("a writer waits for readers of a file without WAL")
    source.execute("create table things (id integer primary key, name varchar(20))")
    source.fill("insert into things values (:id, 'x')", [{"id": n} for n in range(3000)])
    settings, configured = source.configured({"things": {}}, {"batch_rows": 500})
    reader = connector(settings, configured)
    (stream,) = reader.streams()
    slices = reader.everything(stream)
    part = next(slices)
    batches = part.read()
    rows = next(batches).rows
    source.execute("delete from things where id > 1000", "insert into things values (-1, 'new')")
    rows += sum(batch.rows for batch in batches)
    assert (rows, part.reported) == (3000, 3000)
    slices.close()


def test_nothing_is_left_open_on_the_source(postgres: Source) -> None:
    postgres.execute("create table things (id int primary key)", "insert into things values (1)")
    postgres.sync()
    assert postgres.connections() == 0


def test_a_full_refresh_of_files_marks_what_no_file_has_any_more(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    configured = files(tmp_path)
    write(tmp_path, "1.csv", "id,n\n" + "".join(f"{n},a\n" for n in range(10)))
    write(tmp_path, "2.csv", "id,n\n10,b\n")
    sync(warehouse, configured)
    write(tmp_path, "1.csv", "id,n\n" + "".join(f"{n},c\n" for n in range(9)))
    run = sync(warehouse, configured, asked=EVERYTHING)["full refresh"]
    assert counts(run) == (0, 9, 1, 1)
    assert fetch(warehouse, "select id from raw_lists.things where _deleted_at is not null") == [
        ("9",)
    ]
    assert sync(warehouse, configured) == {}, "the files are known as they are now"


def test_a_file_without_a_column_says_nothing_of_it_in_a_full_refresh_either(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    configured = files(tmp_path)
    write(tmp_path, "1.csv", "id,phone,name\n1,555,a\n2,666,b\n")
    write(tmp_path, "2.csv", "id,name\n1,c\n3,d\n")
    sync(warehouse, configured)
    rows = "select id, phone, name from raw_lists.things order by 1"
    before = fetch(warehouse, rows)
    assert before == [("1", "555", "c"), ("2", "666", "b"), ("3", None, "d")]
    assert counts(sync(warehouse, configured, asked=EVERYTHING)["full refresh"])[:2] == (0, 0)
    assert fetch(warehouse, rows) == before


def test_a_full_refresh_of_files_with_one_broken_file_changes_nothing(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    configured = files(tmp_path)
    write(tmp_path, "1.csv", "id,n\n1,a\n2,a\n")
    sync(warehouse, configured)
    write(tmp_path, "1.csv", "id,n\n1,b\n")
    write(tmp_path, "2.csv", 'id,n\n3,"b\n')
    with pytest.raises(SyncFailedError, match="quote"):
        sync(warehouse, configured, asked=EVERYTHING)
    assert fetch(warehouse, "select id, n from raw_lists.things order by 1") == [
        ("1", "a"), ("2", "a"),
    ]  # fmt: skip
    write(tmp_path, "2.csv", "id,n\n3,b\n")
    assert counts(sync(warehouse, configured, asked=EVERYTHING)["full refresh"]) == (1, 1, 0, 1)


def test_a_file_that_comes_back_after_a_full_refresh_is_read_again(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    configured = files(tmp_path)
    write(tmp_path, "1.csv", "id\n1\n2\n3\n")
    second = write(tmp_path, "2.csv", "id\n4\n")
    sync(warehouse, configured)
    second.rename(tmp_path / "2.away")
    assert sync(warehouse, configured, asked=EVERYTHING)["full refresh"].missing == 1
    (tmp_path / "2.away").rename(second)
    assert sync(warehouse, configured)["2.csv"].updated == 1
    alive = "select count(*) from raw_lists.things where _deleted_at is null"
    assert fetch(warehouse, alive) == [(4,)]


def test_views_and_grants_over_the_table_survive_a_full_refresh(postgres: Source) -> None:
    postgres.execute("create table things (id int primary key)", "insert into things values (1)")
    postgres.sync()
    with postgres.warehouse.connect() as connection:
        connection.execute("create view public.bi as select id from raw_test.things")
    postgres.execute("insert into things values (2)")
    postgres.sync(asked=EVERYTHING)
    assert fetch(postgres.warehouse, "select count(*) from public.bi") == [(2,)]
