from __future__ import annotations

import io
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as arrow_parquet
import pytest
from landing_records import VERSIONED

from crmhouse.errors import SourceRefusedError
from ingestion.readers import READERS

if TYPE_CHECKING:
    from ingestion.batches import Reject


def read(
    ending: str, content: bytes, batch_rows: int = 100
) -> tuple[list[dict[str, Any]], list[Reject]]:
    """Read everything into records."""
    records: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    for batch in READERS[ending](io.BytesIO(content), VERSIONED, batch_rows):
        columns = {
            name: values.to_pylist() if isinstance(values, pa.Array | pa.ChunkedArray) else values
            for name, values in batch.fields.items()
        }
        records += [{n: v[i] for n, v in columns.items()} for i in range(batch.rows)]
        rejects += batch.rejects
    return records, rejects


def test_csv_is_read_as_text_and_tells_empty_from_null() -> None:
    records, rejects = read(".csv", b'id,zip,note\n007,01234,""\n8,,"two\r\nlines, ""quoted"""\n')
    assert records == [
        {"id": "007", "zip": "01234", "note": ""},
        {"id": "8", "zip": None, "note": 'two\r\nlines, "quoted"'},
    ]
    assert rejects == []


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_csv_marks_and_line_ends_do_not_matter(mark: bytes, end: bytes) -> None:
    records, _ = read(".csv", mark + end.join([b"id,a", b"1,x", b"2,y"]))
    assert records == [{"id": "1", "a": "x"}, {"id": "2", "a": "y"}]


def test_csv_lines_of_the_wrong_width_and_encoding_are_rejected_one_by_one() -> None:
    records, rejects = read(".csv", b"id,a\n1,x\n2\n3,y,z\n4,\xff\n5,v\n")
    assert [record["id"] for record in records] == ["1", "5"]
    assert sorted(reject.reason for reject in rejects) == [
        "invalid_encoding", "ragged_row", "ragged_row",
    ]  # fmt: skip
    assert any("\\xff" in reject.payload for reject in rejects)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"id,a\n", b"id,a"])
def test_csv_without_records_is_empty(content: bytes) -> None:
    assert read(".csv", content) == ([], [])


def test_csv_with_a_column_named_twice_is_refused() -> None:
    with pytest.raises(SourceRefusedError, match="names id twice"):
        read(".csv", b"id,id\n1,2\n")


@pytest.mark.parametrize("batch_rows", [1, 7, 1000])
def test_csv_batches_hold_every_row_once(batch_rows: int) -> None:
    content = b"id\n" + b"".join(b"%d\n" % number for number in range(500))
    records, _ = read(".csv", content, batch_rows)
    assert [record["id"] for record in records] == [str(number) for number in range(500)]


def test_json_lines_keep_numbers_exactly_and_flatten_what_the_stream_says() -> None:
    records, _ = read(
        ".jsonl", b'\xef\xbb\xbf{"id": 12345678901234567890123, "n": 0.10}\n\n{"id": 2}\n'
    )
    assert records == [
        {"id": 12345678901234567890123, "n": Decimal("0.10")},
        {"id": 2, "n": None},
    ]


def test_json_lines_that_cannot_be_read_are_rejected_with_their_text() -> None:
    records, rejects = read(".jsonl", b'{"id": 1}\n{"id": \n[2]\n"x"\n{"id": "\xff"}\n{"id": 3}')
    assert [record["id"] for record in records] == [1, 3]
    assert [reject.reason for reject in rejects] == [
        "invalid_json", "not_a_record", "not_a_record", "invalid_json",
    ]  # fmt: skip


def test_parquet_keeps_its_types() -> None:
    table = pa.table({"id": [1, 2], "n": pa.array([Decimal("1.10"), None]), "tags": [["a"], None]})
    file = io.BytesIO()
    arrow_parquet.write_table(table, file)
    records, _ = read(".parquet", file.getvalue(), batch_rows=1)
    assert records == [
        {"id": 1, "n": Decimal("1.10"), "tags": ["a"]},
        {"id": 2, "n": None, "tags": None},
    ]
    with pytest.raises(SourceRefusedError, match="not a complete Parquet file"):
        read(".parquet", file.getvalue()[:-20])
