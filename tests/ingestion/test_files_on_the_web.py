from __future__ import annotations

import gzip
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from file_servers import WebServer, web_server
from file_sources import export, files, sync, write
from landing_records import fetch

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


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


def lists(
    web: WebServer, glob: str | list[str], storage: dict[str, Any] | None = None
) -> tuple[Settings, SourceConfig]:
    """Configure the stream `things` of files on the web server."""
    settings, source = files(Path(), glob=glob)
    options = {**source.options, "path": f"{web.url}/dir/", "storage": storage or {}}
    return settings, source.model_copy(update={"options": options})


def failure(
    warehouse: Warehouse, configured: tuple[Settings, SourceConfig]
) -> tuple[type[Exception], str]:
    with pytest.raises(SyncFailedError) as caught:
        sync(warehouse, configured)
    (cause,) = caught.value.causes
    return type(cause), str(cause)


def test_named_files_land_in_the_order_of_their_names_and_again_when_they_change(
    warehouse: Warehouse, web: WebServer
) -> None:
    web.files = {
        "dir/a%20%23%25.csv": b"id,v\n1,old\n",
        "dir/sub/b.csv.gz": gzip.compress(b"id,v\n1,new\n"),
    }
    configured = lists(web, ["a #%.csv", "sub/b.csv.gz"])
    assert connector(*configured).check() == []
    assert web.downloads() == []
    assert list(sync(warehouse, configured)) == ["a #%.csv", "sub/b.csv.gz"]
    assert sorted(web.downloads()) == sorted(web.files)
    assert fetch(warehouse, THINGS) == [("1", "new")]
    assert sync(warehouse, configured) == {}
    assert web.downloads() == []
    web.files["dir/sub/b.csv.gz"] = gzip.compress(b"id,v\n1,newer\n")
    assert list(sync(warehouse, configured)) == ["sub/b.csv.gz"]
    assert fetch(warehouse, THINGS) == [("1", "newer")]


@pytest.mark.parametrize("tells", [set(), {"Content-Length"}])
def test_where_the_server_says_nothing_of_the_version_the_content_decides(
    warehouse: Warehouse, web: WebServer, tells: set[str]
) -> None:
    web.files, web.tells = {"dir/a.csv": b"id,v\n1,x\n"}, tells
    configured = lists(web, "a.csv")
    assert list(sync(warehouse, configured)) == ["a.csv"]
    assert len(web.downloads()) == (1 if tells else 3)  # twice for want of a size, unread
    assert sync(warehouse, configured) == {}
    web.files["dir/a.csv"] = b"id,v\n1,y\n"
    assert list(sync(warehouse, configured)) == ["a.csv"]
    assert fetch(warehouse, THINGS) == [("1", "y")]


def test_the_time_alone_tells_a_version(warehouse: Warehouse, web: WebServer) -> None:
    web.files, web.tells = {"dir/a.csv": b"id,v\n1,x\n"}, {"Last-Modified", "Content-Length"}
    assert list(sync(warehouse, lists(web, "a.csv"))) == ["a.csv"]
    web.downloads()
    assert sync(warehouse, lists(web, "a.csv")) == {}
    assert web.downloads() == []


def test_a_file_that_changes_while_it_is_read_lands_nothing(
    warehouse: Warehouse, web: WebServer
) -> None:
    web.files = {"dir/a.csv": b"id,v\n1,x\n"}
    web.on_download = lambda: web.files.update({"dir/a.csv": b"id,v\n1,y\n"})
    error, text = failure(warehouse, lists(web, "a.csv"))
    assert (error, "/dir/a.csv changed while it was read" in text) == (SourceUnavailableError, True)
    assert fetch(warehouse, "select count(*) from raw_lists.things") == [(0,)]
    sync(warehouse, lists(web, "a.csv"))
    assert fetch(warehouse, THINGS) == [("1", "y")]


def test_a_download_that_breaks_off_lands_nothing_and_leaves_no_copy(
    warehouse: Warehouse, web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    web.files, web.cut = {"dir/a.csv": b"id,v\n" + b"1,x\n" * 1000}, {"dir/a.csv"}
    error, text = failure(warehouse, lists(web, "a.csv"))
    assert (error, "broke off" in text) == (SourceUnavailableError, True)
    web.cut = set()
    assert sync(warehouse, lists(web, "a.csv"))["a.csv"].extracted == 1000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (404, SourceRefusedError, "is not there"),
        (410, SourceRefusedError, "is not there"),
        (401, SourceRefusedError, "access is refused (answer 401)"),
        (403, SourceRefusedError, "access is refused (answer 403)"),
        (400, SourceRefusedError, "refused the request (answer 400)"),
        (429, SourceUnavailableError, "asks for a break (answer 429)"),
        (500, SourceUnavailableError, "in trouble"),
        (503, SourceUnavailableError, "in trouble"),
    ],
)
def test_the_answer_of_the_server_decides_whether_to_try_again(
    warehouse: Warehouse, web: WebServer, status: int, error: type, says: str
) -> None:
    web.files, web.failures = {"dir/a.csv": b"id,v\n1,x\n"}, {"dir/a.csv": status}
    (problem,) = connector(*lists(web, "a.csv")).check()
    assert problem.startswith(f"{web.url}/dir/a.csv")
    assert says in problem
    assert failure(warehouse, lists(web, "a.csv")) == (error, problem)


def test_a_server_that_is_not_there_is_unavailable(warehouse: Warehouse) -> None:
    error, text = failure(warehouse, lists(WebServer("http://127.0.0.1:9"), "a.csv"))
    assert error is SourceUnavailableError
    assert text.startswith("http://127.0.0.1:9/dir/a.csv: the server cannot be reached")


def test_headers_of_the_request_may_be_given_and_are_not_repeated(
    warehouse: Warehouse, web: WebServer
) -> None:
    web.files, web.wanted = {"dir/a.csv": b"id,v\n1,x\n"}, {"Authorization": "Bearer abc"}
    storage = {"headers": {"Authorization": "Bearer abc"}}
    assert list(sync(warehouse, lists(web, "a.csv", storage))) == ["a.csv"]
    wrong = lists(web, "a.csv", {"headers": {"Authorization": "Bearer xyz"}})
    error, text = failure(warehouse, wrong)
    assert (error, "xyz" in text, "xyz" in repr(connector(*wrong))) == (
        SourceRefusedError, False, False,
    )  # fmt: skip


@pytest.mark.parametrize("glob", ["*.csv", "a?.csv", ["a.csv", "[ab].csv"], "**/a.csv"])
def test_a_web_server_takes_no_wildcards(web: WebServer, glob: str | list[str]) -> None:
    with pytest.raises(ConfigurationError, match=r"lists, stream things: a web server does not"):
        connector(*lists(web, glob))
    settings, source = export(Path(), "stripe")
    source.options["path"] = web.url
    with pytest.raises(ConfigurationError, match="does not list its files"):
        connector(settings, source)


def test_a_folder_may_be_given_as_a_url(warehouse: Warehouse, tmp_path: Path) -> None:
    write(tmp_path, "my lists/a.csv", "id,v\n1,x\n")
    settings, source = files(tmp_path)
    source.options["path"] = (tmp_path / "my lists").as_uri()
    assert list(sync(warehouse, (settings, source))) == ["a.csv"]
    source.options["path"] = str(tmp_path / "my lists")
    assert sync(warehouse, (settings, source)) == {}
    source.options["storage"] = {"anon": True}
    with pytest.raises(ConfigurationError, match="storage is for files behind a URL"):
        connector(settings, source)
