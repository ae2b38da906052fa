from __future__ import annotations

import io
import time
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from landing_records import VERSIONED, parquet, read_records

from crmhouse.errors import SourceRefusedError
from ingestion.readers import READERS
from ingestion.readers.json_lines import batch_of

if TYPE_CHECKING:
    from ingestion.batches import Reject
    from ingestion.streams import Stream


def read(
    ending: str, content: bytes, batch_rows: int = 100, stream: Stream = VERSIONED
) -> tuple[list[dict[str, Any]], list[Reject]]:
    """Read everything into records."""
    return read_records(READERS[ending](io.BytesIO(content), stream, batch_rows))


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


MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("content", [b"", b"\n\n", b"id,a\n", b"id,a", MARK])
def test_csv_without_records_is_empty(content: bytes) -> None:
    assert read(".csv", content) == ([], [])


def test_a_line_that_holds_nothing_but_a_mark_does_not_end_the_csv() -> None:
    assert read(".csv", MARK + b"\nid\n1\n") == ([{"id": "1"}], [])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"id,id\n1,2\n", "names id twice"),
        (b"id,a\r1,x\r", "must end in LF or CRLF"),
        (b'id,na"me\n1,x\n', "a quote in a name"),
        (b'id,"name\n1,x\n', "a quote in a name"),
        (b"\xff\n1\n", "not UTF-8"),
        (b"x" * (1 << 20), "longer than 1 MB"),
    ],
)
def test_csv_without_a_usable_header_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(SourceRefusedError, match=says):
        read(".csv", content)


def test_a_csv_record_may_be_longer_than_a_block_and_no_other_is_read_twice() -> None:
    long = b"z" * (3 << 20)
    lines = b"1,x\n9\n" * 200_000
    records, rejects = read(".csv", b"id,a\n" + lines + b"2,%b\n3,y\n4,\xff\n9\n" % long)
    assert [len(record["a"]) for record in records] == [1] * 200_000 + [len(long), 1]
    assert [reject.reason for reject in rejects[-2:]] == ["ragged_row", "invalid_encoding"]
    assert len(rejects) == 200_002


class Slow(io.BytesIO):
    """A file on a slow disk: a read ahead is still under way when its reader has given up."""

    def read(self, size: int | None = -1) -> bytes:
        time.sleep(0.01)
        return super().read(size)


def test_a_csv_that_is_started_again_lacks_nothing_that_was_read_ahead() -> None:
    lines = [b"0,%b" % (b"7" * (5 << 20)), *(b"%d,%b" % (n, b"7" * 70_000) for n in range(1, 200))]
    file = Slow(b"id,a\n" + b"\n".join(lines))
    records, rejects = read_records(READERS[".csv"](file, VERSIONED, 1000))
    assert [record["id"] for record in records] == [str(number) for number in range(200)]
    assert rejects == []


@pytest.mark.parametrize("field", [b'2,"y', b'"2,y', b'2,y,"z'])
@pytest.mark.parametrize("rest", [b"\n3,y\n", b"\n3,y\n" * 500_000])
def test_a_quote_that_is_never_closed_does_not_swallow_the_rest_of_the_csv(
    field: bytes, rest: bytes
) -> None:
    with pytest.raises(SourceRefusedError, match="never closed"):
        read(".csv", b"id,a\n1,x\n" + field + rest)


def test_a_quote_that_is_not_closed_in_the_last_line_of_a_csv_is_refused() -> None:
    with pytest.raises(SourceRefusedError, match="never closed"):
        read(".csv", b'id,a\n1,x\n2,"y\n')


def test_a_ragged_csv_line_of_several_lines_at_the_end_is_one_reject() -> None:
    for line in (b'2,"y\nz",3\n', b'2,"y\n""z""",3', b'"2\n"\n'):
        records, rejects = read(".csv", b"id,a\n1,x\n" + line)
        assert (len(records), [reject.reason for reject in rejects]) == (1, ["ragged_row"])


@pytest.mark.parametrize("end", [b'2,"y\nz"\n', b'2,"\n"\n', b'2,"y\nz"', b'2,"z\n3"\n3\n'])
def test_a_quoted_line_end_at_the_end_of_a_csv_is_nothing_odd(end: bytes) -> None:
    records, _ = read(".csv", b"id,a\n" + end)
    assert len(records) == 1


def test_a_ragged_csv_line_of_another_encoding_does_not_fail_the_file() -> None:
    records, rejects = read(".csv", "id,a\n1,é\n".encode() + b"2\xe9\n3,\xe9\n4,z\n")
    assert records == [{"id": "1", "a": "é"}, {"id": "4", "a": "z"}]
    assert [(reject.reason, "\\xe9" in reject.payload) for reject in rejects] == [
        ("ragged_row", True),
        ("invalid_encoding", True),
    ]


def test_ragged_csv_lines_do_not_pile_up_without_bound() -> None:
    with pytest.raises(SourceRefusedError, match="line after line"):
        read(".csv", b"id,a\n" + b"1\n" * 300_000)


def test_a_stream_may_take_a_quoted_empty_field_for_null() -> None:
    stream = replace(VERSIONED, empty_is_null=True)
    assert read(".csv", b'id,a\n"1",""\n', stream=stream)[0] == [{"id": "1", "a": None}]


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


@pytest.mark.parametrize(
    ("second", "fields"),
    [
        ('{"id": 2, "p": {"a": "x", "b": null}}', {"p.a": ["1", "x"], "p.b": ["2", None]}),
        ('{"p": {"b": "y", "a": "x"}, "id": 2}', {"p.a": ["1", "x"], "p.b": ["2", "y"]}),
        ('{"id": 2, "p": {"a": "x"}}', {"p.a": ["1", "x"], "p.b": ["2", None]}),
        ('{"id": 2, "p": null}', {"p.a": ["1", None], "p.b": ["2", None], "p": [None, None]}),
        ('{"id": 2}', {"p.a": ["1", None], "p.b": ["2", None]}),
    ],
    ids=["alike", "in another order", "one less inside", "not nested", "one less"],
)
def test_records_are_flattened_alike_whether_or_not_they_have_the_same_fields(
    second: str, fields: dict[str, Any]
) -> None:
    lines = [b'{"id": 1, "p": {"a": "1", "b": "2"}}', second.encode()]
    batch = batch_of(lines, {"p": "p_"})
    found = {name: list(values) for name, values in batch.fields.items()}
    assert found == {"id": [1, 2], **fields}
    assert [batch.payload(position) for position in (0, 1)] == [line.decode() for line in lines]


def test_a_batch_of_json_lines_is_bounded_by_its_bytes() -> None:
    line = b'{"id": "%b"}\n' % (b"z" * (30 << 20))
    batches = READERS[".jsonl"](io.BytesIO(line * 5), VERSIONED, 1000)
    assert [batch.rows for batch in batches] == [2, 2, 1]


def test_a_nested_parquet_value_that_python_has_no_room_for_rejects_its_record_only() -> None:
    times = pa.array([[253402300800], [0]], pa.list_(pa.timestamp("s")))
    records, rejects = read(".parquet", parquet({"id": [1, 2], "times": times}))
    assert records == [{"id": 2, "times": [datetime(1970, 1, 1)]}]  # noqa: DTZ001  # as it is
    assert [reject.reason for reject in rejects] == ["value_does_not_fit"]
    assert "10000-01-01" in rejects[0].payload


def test_parquet_keeps_its_types() -> None:
    content = parquet({"id": [1, 2], "n": pa.array([Decimal("1.10"), None]), "tags": [["a"], None]})
    records, _ = read(".parquet", content, batch_rows=1)
    assert records == [
        {"id": 1, "n": Decimal("1.10"), "tags": ["a"]},
        {"id": 2, "n": None, "tags": None},
    ]
    with pytest.raises(SourceRefusedError, match="not a complete Parquet file"):
        read(".parquet", content[:-20])
