from __future__ import annotations

import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from file_sources import files, sync, write
from hypothesis import given, settings
from hypothesis import strategies as st
from landing_records import UNVERSIONED, fetch, read_records

from crmhouse.errors import SourceRefusedError, SyncFailedError
from ingestion.readers.json_array import read_json
from ingestion.readers.reading import Reading

if TYPE_CHECKING:
    from pathlib import Path

    from crmhouse.warehouse import Warehouse
    from ingestion.batches import Reject

MARK = b"\xef\xbb\xbf"


class Dripping(io.BytesIO):
    """A file that gives up a few bytes at a time."""

    def __init__(self, content: bytes, step: int) -> None:
        super().__init__(content)
        self.step = step

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(self.step, size) if size and size > 0 else self.step)


def read(content: bytes, records: str = "", step: int = 1 << 20) -> tuple[list[Any], list[Reject]]:
    how = Reading(records=tuple(records.split(".")) if records else ())
    return read_records(read_json(Dripping(content, step), UNVERSIONED, 100, how))


def test_numbers_keep_every_digit() -> None:
    records, rejects = read(MARK + b' [ {"id": 12345678901234567890123, "n": 0.10} ,{"id": 2}]\n')
    assert records == [
        {"id": 12345678901234567890123, "n": Decimal("0.10")},
        {"id": 2, "n": None},
    ]
    assert rejects == []


def test_elements_that_are_no_records_are_rejected_as_in_json_lines() -> None:
    records, rejects = read(b'[{"id": 1}, 7, "a,]", [1, 2], null, {"id": tru}, {"id": "\xff"}]')
    assert records == [{"id": 1}]
    assert [reject.reason for reject in rejects] == ["not_a_record"] * 4 + ["invalid_json"] * 2
    assert rejects[0].detail == "the element is not a JSON object"
    assert rejects[1].payload.strip() == '"a,]"'


@pytest.mark.parametrize("content", [b"[]", b" [\n] ", MARK + b"[]"])
def test_an_empty_array_has_no_records(content: bytes) -> None:
    assert read(content) == ([], [])


WHOLE = b'[{"id": "1", "a": "]\\"}"}, {"id": "2", "a": [1, {"b": []}]}]'


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_an_array_that_is_cut_off_anywhere_is_refused(length: int) -> None:
    with pytest.raises(SourceRefusedError, match="cut off"):
        read(WHOLE[:length], step=7)


@pytest.mark.parametrize(
    "content",
    [b"[,]", b"[{},]", b"[{},,{}]", b"[{}]]", b"[{}}", b"[{}] {}", b"[{}]x", b"[:]", b"[{}],"],
)
def test_an_array_whose_brackets_and_commas_do_not_match_is_refused(content: bytes) -> None:
    with pytest.raises(SourceRefusedError, match="cut off, or its brackets"):
        read(content)


@pytest.mark.parametrize("content", [b'{"id": 1}', b'{"id": 1}\n{"id": 2}', b"x[1]", b"{}"])
def test_a_file_that_is_no_array_says_what_to_set(content: bytes) -> None:
    with pytest.raises(SourceRefusedError, match=r"something else than an array.*`records`"):
        read(content)


INSIDE = (
    b'{"next": null, "items": {"items": [9]}, "skip": [{"items": [8]}], "a\\"b": 1, '
    b'"result": {"n": 1, "items": [{"id": 1, "items": [7]}, {"id": 2}], "m": [[]]}, "z": "]"}'
)


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_the_array_may_be_inside_of_an_object(step: int) -> None:
    records, rejects = read(INSIDE, "result.items", step)
    assert [record["id"] for record in records] == [1, 2]
    assert rejects == []


def test_an_array_that_is_not_where_it_should_be_is_refused() -> None:
    for path in ("result", "result.m.x", "items.id", "next", "nothing"):
        with pytest.raises(SourceRefusedError, match=f"no array at {path}"):
            read(INSIDE, path)
    for length in range(1, len(INSIDE)):
        with pytest.raises(SourceRefusedError):
            read(INSIDE[:length], "result.items")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\,:[]{}é\n'),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('k"\\]'), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.dictionaries(st.text('ab"\\,]'), VALUES, min_size=1, max_size=3), max_size=5),
    st.integers(1, 40),
    st.booleans(),
)
def test_any_array_comes_apart_into_its_elements(
    records: list[dict[str, Any]], step: int, is_ascii: bool
) -> None:
    content = json.dumps(records, ensure_ascii=is_ascii).encode()
    found, rejects = read(content, step=step)
    names = {name for record in records for name in record}
    assert found == [{name: record.get(name) for name in names} for record in records]
    assert rejects == []


def test_a_huge_element_and_endless_nesting_do_no_harm() -> None:
    deep = b'{"id": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"
    huge = b'{"id": "%b"}' % (b"\\n" * (50 << 20))
    records, rejects = read(b"[" + deep + b", " + huge + b', {"id": 3}]')
    assert [record["id"] for record in records] == ["\n" * (50 << 20), 3]
    assert [reject.reason for reject in rejects] == ["invalid_json"]


def test_a_json_file_lands_and_one_that_is_cut_off_lands_nothing_until_it_is_whole(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    configured = files(tmp_path, glob="*.json", records="data")
    whole = '{"data": [{"id": "1", "n": 0.1}, {"id": "2", "n": 12345678901234567890.5}]}'
    write(tmp_path, "a.json", whole[:-20])
    with pytest.raises(SyncFailedError, match="cut off"):
        sync(warehouse, configured)
    write(tmp_path, "a.json", whole)
    assert sync(warehouse, configured)["a.json"].inserted == 2
    assert fetch(warehouse, "select n::text from raw_lists.things order by id") == [
        ("0.1",), ("12345678901234567890.5",),
    ]  # fmt: skip
    assert sync(warehouse, configured) == {}
