from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from file_servers import KEY, SECRET, S3Server, s3_server
from file_sources import export, files, sync
from landing_records import fetch, parquet

from crmhouse.errors import (
    ConfigurationError,
    SourceRefusedError,
    SourceUnavailableError,
    SyncFailedError,
)
from ingestion.sources import connector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crmhouse.settings import Settings, SourceConfig
    from crmhouse.warehouse import Warehouse

THINGS = "select id, v from raw_lists.things order by 1"


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with s3_server("exports") as server:
        yield server


@pytest.fixture
def s3(running: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server with an empty bucket."""
    running.failures.clear()
    listed = running.client.list_objects_v2(Bucket=running.bucket).get("Contents", [])
    for entry in listed:
        running.delete(entry["Key"])
    running.on_download = lambda: None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    return running


def lists(s3: S3Server, path: str = "s3://exports/lists", **stream: Any) -> tuple[Any, Any]:
    """Configure the stream `things` of the files in the bucket."""
    settings, source = files(Path(), **stream)
    options = {**source.options, "path": path, "storage": {"endpoint_url": s3.url}}
    return settings, source.model_copy(update={"options": options})


def causes(warehouse: Warehouse, configured: tuple[Settings, SourceConfig]) -> list[type]:
    with pytest.raises(SyncFailedError) as caught:
        sync(warehouse, configured)
    assert KEY not in str(caught.value)
    assert SECRET not in str(caught.value)
    return [type(cause) for cause in caught.value.causes]


def test_files_land_once_and_again_when_they_change(warehouse: Warehouse, s3: S3Server) -> None:
    configured = lists(s3)
    for number, value in ((1, "old"), (2, "new"), (10, "newest")):
        s3.put(f"lists/{number}.csv", f"id,v\n1,{value}\n")
    s3.put("lists/deeper/3.csv", "id,v\n1,no\n")
    s3.put("lists/notes.txt", "")
    assert connector(*configured).check() == []
    assert list(sync(warehouse, configured)) == ["1.csv", "2.csv", "10.csv"]
    assert fetch(warehouse, THINGS) == [("1", "newest")]
    s3.requests.clear()
    assert sync(warehouse, configured) == {}
    assert s3.requests == [("GET", "/exports")]  # a listing says it all
    s3.put("lists/2.csv", "id,v\n1,new\n2,more\n")
    assert list(sync(warehouse, configured)) == ["2.csv", "10.csv"]
    assert s3.downloads() == ["lists/2.csv", "lists/10.csv"]
    assert fetch(warehouse, THINGS) == [("1", "newest"), ("2", "more")]
    s3.put("lists/11.csv", "id,v\n3,late\n")
    s3.delete("lists/1.csv")
    assert list(sync(warehouse, configured)) == ["11.csv"]
    s3.put("lists/11.csv", "id,v\n3,late\n")  # written anew, with the same content
    assert sync(warehouse, configured) == {}
    assert s3.downloads() == []


def test_globs_match_as_they_do_in_a_folder(s3: S3Server, tmp_path: Path) -> None:
    names = ["a.csv", "x/b.csv", "x/y/c.csv", "x/y/.csv", "[1].csv", "ax/b.csv", "a.CSV", "b2.csv"]
    for name in names:
        s3.put(f"lists/{name}", "id,v\n1,x\n")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("id,v\n1,x\n")
    s3.put("lists/x/", "")  # how a console makes a folder
    globs = ["*.csv", "**/*.csv", "x/*.csv", "x/**/*.csv", "?.csv", "*/b.csv", "[[]1].csv", "**",
             "a.csv", "[!a]*.csv", "./x//b.csv", ["b2.csv", "*.csv", "x/b.csv"]]  # fmt: skip
    for glob in globs:
        here, there = connector(*files(tmp_path, glob=glob)), connector(*lists(s3, glob=glob))
        found, expected = ([f.name for f in c.files[0].find()] for c in (there, here))
        assert found == expected, glob


def test_every_format_is_read_from_a_bucket(warehouse: Warehouse, s3: S3Server) -> None:
    s3.put("lists/a.csv.gz", gzip.compress(b"id,v\n1,gz\n"))
    s3.put("lists/b.parquet", parquet({"id": ["2"], "v": ["parquet"]}))
    s3.put("lists/c.json", '[{"id": "3", "v": "json"}]')
    s3.put("lists/größe 50% #1.jsonl", '{"id": "4", "v": "name"}\n')
    sync(warehouse, lists(s3, glob="*"))
    values = [("1", "gz"), ("2", "parquet"), ("3", "json"), ("4", "name")]
    assert fetch(warehouse, THINGS) == values


def test_a_bucket_may_hold_the_exports_of_a_system(warehouse: Warehouse, s3: S3Server) -> None:
    line = '{"id": "1", "updatedAt": "2026-01-01T00:00:00Z", "archived": false}\n'
    s3.put("crm/batch_2/hubspot/contacts.jsonl.gz", gzip.compress(line.encode()))
    s3.put("crm/batch_1/hubspot/contacts.jsonl", line)
    s3.put("crm/batch_1/hubspot/contacts.old.jsonl", "")
    storage = {"endpoint_url": s3.url}
    settings, source = export(Path(), "hubspot", storage=storage)
    source.options["path"] = "s3://exports/crm/"
    assert connector(settings, source).check() == []
    names = ["batch_1/hubspot/contacts.jsonl", "batch_2/hubspot/contacts.jsonl.gz"]
    assert list(sync(warehouse, (settings, source))) == names
    source.options["until"] = "batch_1"
    assert sync(warehouse, (settings, source)) == {}


def test_a_broken_file_is_a_failed_slice_and_lands_once_it_is_repaired(
    warehouse: Warehouse, s3: S3Server
) -> None:
    configured = lists(s3, glob="*.gz")
    whole = gzip.compress(b"id,v\n1,x\n" * 1000)
    s3.put("lists/a.csv.gz", whole[:-9])
    assert causes(warehouse, configured) == [SourceRefusedError]
    failed = "select slice from ops.sync_runs where status = 'failed'"
    assert fetch(warehouse, failed) == [("a.csv.gz",)]
    assert fetch(warehouse, "select count(*) from raw_lists.things") == [(0,)]
    s3.put("lists/a.csv.gz", gzip.compress(b"id,v\n1,x\n"))
    assert sync(warehouse, configured)["a.csv.gz"].inserted == 1


def test_a_file_that_changes_while_it_is_read_lands_nothing(
    warehouse: Warehouse, s3: S3Server
) -> None:
    s3.put("lists/a.csv", "id,v\n1,x\n")

    def change() -> None:
        s3.on_download = lambda: None
        s3.put("lists/a.csv", "id,v\n1,y\n")

    s3.on_download = change
    assert causes(warehouse, lists(s3)) == [SourceUnavailableError]
    assert fetch(warehouse, "select count(*) from raw_lists.things") == [(0,)]
    sync(warehouse, lists(s3))
    assert fetch(warehouse, THINGS) == [("1", "y")]


def test_a_bucket_that_does_not_exist_is_named(warehouse: Warehouse, s3: S3Server) -> None:
    configured = lists(s3, path="s3://exprots/lists")
    (problem,) = connector(*configured).check()
    assert problem.startswith("s3://exprots/lists: there is no such bucket.")
    assert causes(warehouse, configured) == [SourceRefusedError]


def test_an_empty_folder_of_a_bucket_is_no_failure(warehouse: Warehouse, s3: S3Server) -> None:
    configured = lists(s3)
    (problem,) = connector(*configured).check()
    assert problem == "No file for stream things: looked for s3://exports/lists/*.csv."
    assert sync(warehouse, configured) == {}


@pytest.mark.parametrize(
    ("path", "status", "error", "says"),
    [
        ("/exports", 403, SourceRefusedError, "access is refused (answer 403)"),
        ("/exports/lists/a.csv", 403, SourceRefusedError, "lists/a.csv: access is refused"),
        ("/exports", 400, SourceRefusedError, "the region in client_kwargs"),
        ("/exports", 503, SourceUnavailableError, "in trouble or asks for a break (answer 503)"),
        ("/exports/lists/a.csv", 500, SourceUnavailableError, "lists/a.csv: the server is in tro"),
    ],
)
def test_what_the_server_refuses_and_where_it_fails_are_told_apart(
    warehouse: Warehouse,
    s3: S3Server,
    path: str,
    status: int,
    error: type,
    says: str,
) -> None:
    s3.put("lists/a.csv", "id,v\n1,x\n")
    s3.failures[path] = status
    settings, source = lists(s3)
    source.options["storage"]["config_kwargs"] = {"retries": {"max_attempts": 0}}
    (problem,) = connector(settings, source).check()
    assert says in problem
    assert causes(warehouse, (settings, source)) == [error]
    s3.failures.clear()
    assert sync(warehouse, (settings, source))["a.csv"].inserted == 1


def test_wrong_credentials_are_named_without_being_repeated(
    warehouse: Warehouse, s3: S3Server
) -> None:
    s3.put("lists/a.csv", "id,v\n1,x\n")
    settings, source = lists(s3)
    source.options["storage"] |= {"key": "AKIAWRONGWRONGWRONG1", "secret": SECRET}
    with s3.demanding_credentials():
        (problem,) = connector(settings, source).check()
        assert causes(warehouse, (settings, source)) == [SourceRefusedError]
    assert "s3://exports/lists: access is refused (answer 403 InvalidAccessKeyId)." in problem
    assert "AKIAWRONG" not in problem


def test_without_credentials_the_message_says_what_to_set(
    warehouse: Warehouse, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put("lists/a.csv", "id,v\n1,x\n")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    settings, source = lists(s3)
    source.options["storage"]["use_ssl"] = False  # a file system of its own, without credentials
    (problem,) = connector(settings, source).check()
    assert re.search(r"there are no credentials.*AWS_ACCESS_KEY_ID", problem)
    assert causes(warehouse, (settings, source)) == [SourceRefusedError]
    s3.client.put_object_acl(Bucket=s3.bucket, Key="lists/a.csv", ACL="public-read")
    source.options["storage"]["anon"] = True
    assert list(sync(warehouse, (settings, source))) == ["a.csv"]
    source.options["storage"] = {"endpoint_url": s3.url, "key": KEY, "secret": SECRET}
    assert sync(warehouse, (settings, source)) == {}
    assert SECRET not in repr(connector(settings, source))


def test_a_server_that_is_not_there_is_unavailable(
    warehouse: Warehouse, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    settings, source = lists(s3)
    source.options["storage"]["endpoint_url"] = "http://127.0.0.1:9"
    assert causes(warehouse, (settings, source)) == [SourceUnavailableError]


@pytest.mark.parametrize(
    ("storage", "says"),
    [({"nonsense": 1}, "not accepted as they are"), ({"endpoint_url": "x"}, "not accepted as")],
)
def test_storage_options_that_do_not_exist_are_refused(
    warehouse: Warehouse, s3: S3Server, storage: dict[str, Any], says: str
) -> None:
    settings, source = lists(s3)
    source.options["storage"] = storage
    (problem,) = connector(settings, source).check()
    assert says in problem
    assert causes(warehouse, (settings, source)) == [ConfigurationError]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("gopher://bucket/x", "Known are a folder, file://, s3://, https://, http://"),
        ("s3://", "must be s3://, a bucket and a path"),
        ("s3://key:secret@bucket/x", "without user, password"),
        ("https://host/dir?token=1", "query or fragment"),
    ],
)
def test_a_url_that_cannot_be_a_folder_is_refused(s3: S3Server, path: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        connector(*lists(s3, path=path))
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "token" not in str(caught.value)
