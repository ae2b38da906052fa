from __future__ import annotations

import codecs
import io
import re
from typing import TYPE_CHECKING, Any

import pytest
from file_sources import files, sync, write
from landing_records import UNVERSIONED, fetch, read_records

from crmhouse.errors import ConfigurationError, SourceRefusedError, SyncFailedError
from ingestion.readers import READERS
from ingestion.readers.reading import Reading
from ingestion.sources import connector

if TYPE_CHECKING:
    from pathlib import Path

    from crmhouse.warehouse import Warehouse

TEXT = 'id,a\n1,Zoë €\r\n2,"日本\n"\n'
RECORDS = [{"id": "1", "a": "Zoë €"}, {"id": "2", "a": "日本\n"}]


def read(ending: str, content: bytes, **how: Any) -> list[dict[str, Any]]:
    records, rejects = read_records(
        READERS[ending](io.BytesIO(content), UNVERSIONED, 1000, Reading(**how))
    )
    assert rejects == []
    return records


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("declared", [None, "cp1252"])
def test_a_byte_order_mark_tells_the_encoding(encoding: str, declared: str | None) -> None:
    content = ("\ufeff" + TEXT).encode(encoding)
    assert read(".csv", content, encoding=declared) == RECORDS
    lines = '\ufeff{"id": "ë日"}\r\n{"id": 2}'.encode(encoding)
    assert read(".jsonl", lines, encoding=declared) == [{"id": "ë日"}, {"id": 2}]
    array = '\ufeff[{"id": "ë日"}, {"id": 2}]'.encode(encoding)
    assert read(".json", array, encoding=declared) == [{"id": "ë日"}, {"id": 2}]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("cp1252", "“Zoë” €"), ("latin-1", "Zoë"), ("shift_jis", "日本"), ("utf-16-le", "日"),
     ("UTF8", "日"), ("utf-8-sig", "日")],
)  # fmt: skip
def test_a_declared_encoding_is_read(encoding: str, text: str) -> None:
    lines = "".join(f"{number},{text}\n" for number in range(60_000))
    records = read(".csv", f"id,a\n{lines}".encode(encoding), encoding=encoding)
    assert len(records) == 60_000
    assert {record["a"] for record in records} == {text}


def test_a_mark_of_utf_8_wins_over_the_declared_encoding() -> None:
    assert read(".csv", codecs.BOM_UTF8 + TEXT.encode(), encoding="cp1252") == RECORDS


@pytest.mark.parametrize(
    ("encoding", "content", "byte"),
    [
        ("cp1252", b"id,a\n1,\x81\n", 7),
        ("cp1252", b"id,a\n" + b"1,x\n" * 200_000 + b"2,\x81\n", 800_007),
        ("ascii", b"id\n\xe9\n", 3),
        ("utf-16", "\ufeffid\n1\n".encode("utf-16-le") + b"\x00\xdc", 12),
        ("utf-16", "\ufeffid\n1\n".encode("utf-16-le") + b"1", 12),
        ("shift_jis", b"id\n" + b"x" * 300_000 + b"\x93\n", 300_003),
    ],
)
def test_a_byte_that_is_not_of_the_encoding_is_named_and_nothing_replaced(
    encoding: str, content: bytes, byte: int
) -> None:
    says = rf"byte {byte} of the file is not {re.escape(encoding)}"
    with pytest.raises(SourceRefusedError, match=says):
        read(".csv", content, encoding=encoding)


def test_a_file_that_is_not_of_its_encoding_lands_nothing_until_it_is(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    configured = files(tmp_path, encoding="cp1252", delimiter=";")
    write(tmp_path, "a.csv", b"id;v\n1;x\n2;\x81\n")
    with pytest.raises(SyncFailedError, match="byte 11 of the file is not cp1252"):
        sync(warehouse, configured)
    write(tmp_path, "a.csv", "id;v\n1;12,50 €\n".encode("cp1252"))
    sync(warehouse, configured)
    assert fetch(warehouse, "select v from raw_lists.things") == [("12,50 €",)]


@pytest.mark.parametrize("encoding", ["nothing", "hex", "rot13", "undefined", ""])
def test_an_encoding_that_does_not_exist_is_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(ConfigurationError, match=r"streams\.things\.encoding: .*no such encoding"):
        connector(*files(tmp_path, encoding=encoding))


@pytest.mark.parametrize(("delimiter", "byte"), [(";", b";"), ("tab", b"\t"), ("|", b"|")])
def test_a_csv_may_have_another_delimiter(
    warehouse: Warehouse, tmp_path: Path, delimiter: str, byte: bytes
) -> None:
    write(tmp_path, "a.csv", b'id;"v"\n1;"a;,"\n2;,\n3\n4;5;6\n'.replace(b";", byte))
    settings, source = files(tmp_path, delimiter=delimiter)
    run = sync(warehouse, (settings.model_copy(update={"max_quarantine_share": 1}), source))
    assert (run["a.csv"].inserted, run["a.csv"].quarantined) == (2, 2)
    values = fetch(warehouse, "select v from raw_lists.things order by id")
    assert values == [(f"a{byte.decode()},",), (",",)]


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n", "é", "tabs"])
def test_a_delimiter_that_cannot_be_one_is_refused(tmp_path: Path, delimiter: str) -> None:
    with pytest.raises(ConfigurationError, match=r"delimiter: .*one ASCII character"):
        connector(*files(tmp_path, delimiter=delimiter))
