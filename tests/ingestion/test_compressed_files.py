from __future__ import annotations

import bz2
import gzip
import io
import zipfile
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from file_sources import files, sync, write
from landing_records import UNVERSIONED, VERSIONED, fetch, parquet, read_records

from crmhouse.errors import SourceRefusedError, SyncFailedError
from ingestion.readers import Endings, read_file
from ingestion.sources import connector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crmhouse.warehouse import Warehouse

CSV = b"id,a\n" + b"".join(b"%d,%d\n" % (n, n * 7919 % 10007) for n in range(50_000))


def zstd(content: bytes) -> bytes:
    """Two frames, as parallel compressors write them."""
    half = len(content) // 2
    parts = (content[:half], content[half:])
    return b"".join(pa.compress(part, codec="zstd", asbytes=True) for part in parts)


def zipped(**members: bytes) -> bytes:
    """A zip; `__` in a name stands for the dot."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("folder")
        for name, content in members.items():
            archive.writestr(f"folder/{name.replace('__', '.')}", content)
    return file.getvalue()


def zipped_csv(content: bytes) -> bytes:
    return zipped(list__csv=content, readme__txt=b"x")


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "list.csv.gz": gzip.compress,
    "list.csv.zst": zstd,
    "list.csv.bz2": bz2.compress,
    "LIST.ZIP": zipped_csv,
}
EACH = pytest.mark.parametrize("name", COMPRESSED)


@EACH
def test_a_compressed_file_is_what_it_holds(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, COMPRESSED[name](CSV))
    records, rejects = read_records(read_file(path, name, UNVERSIONED, 1000))
    assert records == [{"id": str(n), "a": str(n * 7919 % 10007)} for n in range(50_000)]
    assert rejects == []


@EACH
def test_going_back_in_a_compressed_file_loses_nothing(tmp_path: Path, name: str) -> None:
    long = b"z" * (3 << 20)
    content = b"id,a\n" + b"1,x\n9\n" * 100_000 + b'2,%b\n4,\xff\n3,"y\n"\n' % long
    path = write(tmp_path, name, COMPRESSED[name](content))
    records, rejects = read_records(read_file(path, name, UNVERSIONED, 1000))
    assert [len(record["a"]) for record in records] == [1] * 100_000 + [len(long), 2]
    assert len(rejects) == 100_001


@EACH
@pytest.mark.parametrize("share", [0, 0.0001, 0.3, 0.7, 0.999])
def test_a_compressed_file_that_is_cut_off_lands_nothing_until_it_is_whole(
    warehouse: Warehouse, tmp_path: Path, name: str, share: float
) -> None:
    whole = COMPRESSED[name](CSV)
    configured = files(tmp_path, glob="*.*")
    write(tmp_path, name, whole[: int(len(whole) * share)])
    with pytest.raises(SyncFailedError, match=f"{name}: the compressed file is cut off"):
        sync(warehouse, configured)
    assert fetch(warehouse, "select count(*) from raw_lists.things") == [(0,)]
    write(tmp_path, name, whole)
    assert sync(warehouse, configured)[name].inserted == 50_000


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.bz2", "a.csv.zst", "a.csv.zip"])
def test_a_file_that_is_not_what_its_ending_says_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, CSV)
    with pytest.raises(SourceRefusedError, match="not what its ending says"):
        read_records(read_file(path, name, UNVERSIONED, 1000))


@pytest.mark.parametrize("name", ["list.csv.gz", "list.csv.bz2", "LIST.ZIP"])
def test_a_damaged_byte_is_noticed(tmp_path: Path, name: str) -> None:
    content = bytearray(COMPRESSED[name](CSV))
    content[len(content) // 2] ^= 255
    path = write(tmp_path, name, bytes(content))
    with pytest.raises(SourceRefusedError, match="damaged"):
        read_records(read_file(path, name, UNVERSIONED, 1000))


def test_a_zip_must_hold_one_file_that_can_be_read(tmp_path: Path) -> None:
    both = zipped(a__csv=CSV, b__jsonl=b"{}", notes__txt=b"")
    path = write(tmp_path, "a.zip", both)
    with pytest.raises(SourceRefusedError, match=r"holds 2 files that can be read.* of 3 in all"):
        read_records(read_file(path, "a.zip", UNVERSIONED, 1000))
    write(tmp_path, "a.zip", zipped(notes__txt=b""))
    with pytest.raises(SourceRefusedError, match="holds 0 files"):
        read_records(read_file(path, "a.zip", UNVERSIONED, 1000))


@pytest.mark.parametrize(
    ("name", "form"), [("export.zip", ".csv"), ("export.csv.zip", ""), ("export.json.zip", ".csv")]
)
def test_the_format_of_a_zip_may_be_known_without_its_member(
    tmp_path: Path, name: str, form: str
) -> None:
    path = write(tmp_path, name, zipped(export__dat=b"id\n1\n"))
    assert read_records(read_file(path, name, UNVERSIONED, 10, form))[0] == [{"id": "1"}]


def test_a_zip_with_a_password_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped(a__csv=b"id\n1\n"))
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.rfind(header) + flags] |= 1
    path = write(tmp_path, "a.zip", bytes(content))
    with pytest.raises(SourceRefusedError, match="locked with a password"):
        read_records(read_file(path, "a.zip", UNVERSIONED, 10))


def test_a_compressed_parquet_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a.parquet.zst", zstd(parquet({"id": ["1", "2"]})))
    records, _ = read_records(read_file(path, "a.parquet.zst", VERSIONED, 10))
    assert records == [{"id": "1"}, {"id": "2"}]


@pytest.mark.parametrize(
    ("name", "endings"),
    [
        ("a/b.csv.gz", ("b", ".csv", ".gz")),
        ("b.old.JSONL", ("b.old", ".jsonl", "")),
        ("b.zip", ("b", "", ".zip")),
        ("b.txt.zst", ("b.txt", "", ".zst")),
        ("b", ("b", "", "")),
    ],
)
def test_the_endings_of_a_name_say_format_and_compression(
    name: str, endings: tuple[str, str, str]
) -> None:
    assert Endings.of(name) == endings


def test_an_option_overrides_the_ending_of_the_format(warehouse: Warehouse, tmp_path: Path) -> None:
    write(tmp_path, "a.txt.gz", gzip.compress(b'{"id": "1"}\n'))
    write(tmp_path, "b.csv", b'{"id": "2"}\n')
    configured = files(tmp_path, glob=["*.gz", "*.csv"], format="jsonl")
    assert connector(*configured).check() == []
    assert list(sync(warehouse, configured)) == ["a.txt.gz", "b.csv"]
    assert fetch(warehouse, "select id from raw_lists.things order by 1") == [("1",), ("2",)]
    problem, *_ = connector(*files(tmp_path, glob="*.txt.gz")).check()
    assert "a.txt.gz has no known format; known are .csv, .json," in problem
