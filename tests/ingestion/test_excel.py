from __future__ import annotations

import io
import re
import zipfile
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import openpyxl
import pytest
from file_sources import files, sync, write
from landing_records import UNVERSIONED, fetch, read_records

from crmhouse.errors import SourceRefusedError, SyncFailedError
from ingestion.readers.excel import read_excel
from ingestion.readers.reading import Reading

if TYPE_CHECKING:
    from pathlib import Path

    from crmhouse.warehouse import Warehouse
    from ingestion.batches import Reject

NOON = datetime(2026, 1, 2, 12, 0, 0, 500_000)  # noqa: DTZ001  # as Excel has it


SHEET = "xl/worksheets/sheet1.xml"


def workbook(*rows: list[Any], sheet: str = "Sheet", at: int = 0) -> bytes:
    """A workbook with a sheet of these rows, after so many other sheets."""
    book = openpyxl.Workbook()
    for number in range(at):
        book.create_sheet(f"other {number}", 0).append(["nothing"])
    book.worksheets[at].title = sheet
    for row in rows:
        book.worksheets[at].append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def edited(content: bytes, part: str, old: bytes, new: bytes) -> bytes:
    """The workbook with another text in one of its parts."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(file, "w") as after:
        for name in before.namelist():
            text = before.read(name)
            assert name != part or old in text
            after.writestr(name, text.replace(old, new) if name == part else text)
    return file.getvalue()


def read(
    content: bytes, batch_rows: int = 100, **how: Any
) -> tuple[list[dict[str, Any]], list[Reject]]:
    return read_records(read_excel(io.BytesIO(content), UNVERSIONED, batch_rows, Reading(**how)))


@pytest.mark.parametrize("batch_rows", [1, 100])
def test_cells_keep_their_types_and_numbers_are_exact(batch_rows: int) -> None:
    content = workbook(
        ["id", "price", "ok", "text", "time", "span", 2026],
        [1, 0.1, True, " x ", time(3, 4, 5), timedelta(hours=26, minutes=1), -0.0],
        [2, 19.99, False, "007", None, None, 1e20],
        [3, 4, None, None, None, None, 123456789012345.6],
    )
    records, rejects = read(content, batch_rows)
    names = ["id", "price", "ok", "text", "time", "span", "2026"]
    assert [list(record.values()) for record in records] == [
        [1, Decimal("0.1"), True, " x ", "03:04:05", "26:01:00", 0],
        [2, Decimal("19.99"), False, "007", None, None, 10**20],
        [3, 4, None, None, None, None, Decimal("123456789012345.6")],
    ]
    assert list(records[0]) == names
    assert not any(isinstance(v, float) for record in records for v in record.values())
    assert rejects == []


def test_dates_and_times_are_typed_columns() -> None:
    content = workbook(
        ["id", "day", "moment", "mixed"],
        [1, date(2026, 1, 2), NOON, date(2026, 1, 2)],
        [2, None, datetime(2026, 1, 3), "later"],  # noqa: DTZ001
    )
    batch = next(read_excel(io.BytesIO(content), UNVERSIONED, 10))
    types = {name: getattr(values, "type", None) for name, values in batch.fields.items()}
    assert [str(kind) for kind in types.values()] == [
        "None",
        "date32[day]",
        "timestamp[us]",
        "None",
    ]
    records, _ = read(content)
    assert [record["moment"] for record in records] == [NOON, datetime(2026, 1, 3)]  # noqa: DTZ001
    assert [record["mixed"] for record in records] == ["2026-01-02", "later"]


def test_empty_rows_and_columns_without_a_name_are_dropped() -> None:
    content = workbook(
        ["id", None, "v", " "], [1, None, "x"], [None, None, None], [2], [None, ""], []
    )
    assert read(content) == ([{"id": 1, "v": "x"}, {"id": 2, "v": None}], [])
    assert read(workbook()) == ([], [])
    assert read(workbook(["id"])) == ([], [])
    assert read(workbook(["id"], [1]), header_row=9) == ([], [])


def test_the_sheet_and_the_row_of_the_names_may_be_given() -> None:
    content = workbook(
        ["Report of 2026"], [], [None, "id", "v"], [None, 7, "x"], sheet="Käufe", at=2
    )
    assert read(content, sheet="Käufe", header_row=3)[0] == [{"id": 7, "v": "x"}]
    with pytest.raises(SourceRefusedError, match="no sheet 'Sales'; it has 'other 1', 'other 0'"):
        read(content, sheet="Sales")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([["id", "a", "a"], [1, 2, 3]], "names a twice"),
        ([["id", "a", None], [1, 2, 3]], "row 2 of the sheet has a value in column C"),
        ([[None], ["id"], [1]], "row 2 of the sheet has a value in column A"),
    ],
)
def test_a_column_needs_a_name_of_its_own(rows: list[list[Any]], says: str) -> None:
    with pytest.raises(SourceRefusedError, match=says):
        read(workbook(*rows))


def test_a_record_with_an_error_in_a_cell_is_rejected() -> None:
    content = workbook(
        [None, "id", "v"],
        [None, 1, "x"],
        [None, 2, "#N/A"],
        [None, "#REF!"],
        [None, 3, "t='e'"],
        [None, "#DIV/0!", "#NAME?"],
    )
    records, rejects = read(content)
    assert [record["id"] for record in records] == [1, 3]
    assert [(reject.reason, reject.detail.partition(":")[0]) for reject in rejects] == [
        ("excel_error", "v"),
        ("excel_error", "id"),
        ("excel_error", "id, v"),
    ]
    assert rejects[0].payload == '{"id":2,"v":null}'


def test_an_error_is_found_where_cells_and_rows_do_not_say_where_they_are() -> None:
    content = workbook(["id", "v", "w"], [1, "#N/A", "x"], [2, "y", "#REF!"], [3, "y", "z"])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        xml = archive.read(SHEET)
    bare = re.sub(rb'<(row|c) r="[A-Z0-9]+"', rb"<\1", xml)
    assert bare.count(b' r="') == 0
    records, rejects = read(edited(content, SHEET, xml, bare))
    assert [record["id"] for record in records] == [3]
    assert [reject.detail.partition(":")[0] for reject in rejects] == ["v", "w"]


@pytest.mark.parametrize("cut", [0, 1, 100, 2000, -1, -30])
def test_an_excel_file_that_is_cut_off_is_refused(cut: int) -> None:
    content = workbook(["id"], *([number] for number in range(100)))
    with pytest.raises(SourceRefusedError, match="not a complete Excel file"):
        read(content[:cut])


@pytest.mark.parametrize("content", [b"id,v\n1,2\n", b"PK\x03\x04 nonsense"])
def test_another_file_is_no_excel_file(content: bytes) -> None:
    with pytest.raises(SourceRefusedError, match="not a complete Excel file"):
        read(content)


def test_an_excel_file_lands_typed_and_a_refused_one_lands_once_it_is_repaired(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    configured = files(tmp_path, glob="*.xlsx", columns={"id": "bigint"})
    rows = [
        ["id", "Amount", "Closed on", "Seen"],
        [1, 1234.56, date(2026, 1, 2), NOON],
        [2, 10, None, datetime(2026, 1, 3)],  # noqa: DTZ001
    ]
    write(tmp_path, "a.xlsx", workbook(*rows, [3, None, None, None, "?"]))
    with pytest.raises(SyncFailedError, match="row 4 of the sheet has a value in column E"):
        sync(warehouse, configured)
    write(tmp_path, "a.xlsx", workbook(*rows))
    assert sync(warehouse, configured)["a.xlsx"].inserted == 2
    assert fetch(
        warehouse, "select id, amount, closed_on, seen from raw_lists.things order by 1"
    ) == [
        (1, Decimal("1234.56"), date(2026, 1, 2), NOON.replace(tzinfo=UTC)),
        (2, Decimal(10), None, datetime(2026, 1, 3, tzinfo=UTC)),
    ]
    assert sync(warehouse, configured) == {}
