"""Excel: one sheet of a workbook, with the types that its cells have."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
from python_calamine import CalamineError, CalamineWorkbook

from crmhouse.errors import SourceRefusedError
from ingestion.batches import Batch, Reject
from ingestion.readers.excel_errors import BROKEN, error_cells
from ingestion.readers.reading import AS_USUAL, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO

    from python_calamine import CalamineSheet

    from ingestion.batches import Values
    from ingestion.streams import Stream

    Row = Sequence[Any]
    Errors = Mapping[int, set[int]]

_EMPTY = ""  # what Calamine makes of an empty cell, and of one with an error
_LETTERS = 26

_encoder = msgspec.json.Encoder(decimal_format="number")


def read_excel(
    file: BinaryIO, stream: Stream, batch_rows: int, how: Reading = AS_USUAL
) -> Iterator[Batch]:
    """Read the rows below the row with the names.

    A whole number is an integer, any other the decimal number that Excel shows of it at full
    length; dates and times are those of UTC. Empty cells are NULL, empty rows are none. A row with
    an error in a cell becomes a reject. The sheet is in memory while it is read.

    Raises:
        SourceRefusedError: this is no Excel file, it has no such sheet, or a column with values
            has no name or the name of another one.
    """
    try:
        workbook = CalamineWorkbook.from_filelike(file)
        sheet = _sheet(workbook, stream, how)
        errors = error_cells(file, sheet.name)
    except (CalamineError, *BROKEN) as error:
        raise SourceRefusedError(
            f"{stream.name}: this is not a complete Excel file, or it is locked with a password "
            f"({type(error).__name__}). Nothing of it was landed; save it again as .xlsx."
        ) from None
    numbered = enumerate(sheet.iter_rows(), start=1)
    header = next((row for number, row in numbered if number == how.header_row), None)
    if header is None:
        return
    table = _Table(header, (sheet.start or (0, 0))[1], errors, stream.name)
    while rows := list(islice(((n, row) for n, row in numbered if table.has(n, row)), batch_rows)):
        yield table.batch(rows)


def _sheet(workbook: CalamineWorkbook, stream: Stream, how: Reading) -> CalamineSheet:
    if how.sheet is None:
        return workbook.get_sheet_by_index(0)
    if how.sheet not in workbook.sheet_names:
        raise SourceRefusedError(
            f"{stream.name}: the Excel file has no sheet {how.sheet!r}; it has "
            f"{', '.join(map(repr, workbook.sheet_names))}. Nothing of it was landed; set `sheet`."
        )
    return workbook.get_sheet_by_name(how.sheet)


class _Table:
    """The rows of a sheet below their names.

    Attributes:
        names: of the columns, by their position in a row.
    """

    def __init__(self, header: Row, first_column: int, errors: Errors, place: str) -> None:
        self._first, self._errors, self._place = first_column, errors, place
        self.names = {
            position: str(_value(cell)) for position, cell in enumerate(header) if str(cell).strip()
        }
        twice = sorted(name for name, times in Counter(self.names.values()).items() if times > 1)
        if twice:
            raise SourceRefusedError(
                f"{place}: the header names {', '.join(twice)} twice. Give each column one name."
            )

    def has(self, number: int, row: Row) -> bool:
        """Say whether the row is a record; refuse one with a value in a column without a name."""
        for position, cell in enumerate(row):
            if cell != _EMPTY and position not in self.names:
                raise SourceRefusedError(
                    f"{self._place}: row {number} of the sheet has a value in column "
                    f"{_letters(position + self._first)}, which has no name. Nothing of it was "
                    "landed; name the column, or set `header_row` to the row that has the names."
                )
        return number in self._errors or any(cell != _EMPTY for cell in row)

    def batch(self, rows: Sequence[tuple[int, Row]]) -> Batch:
        """Make a batch; a record with an error in a cell is rejected."""
        good = [row for number, row in rows if not self._bad(number)]
        rejects = tuple(
            self._reject(row, bad) for number, row in rows if (bad := self._bad(number))
        )
        fields = {name: _column([row[at] for row in good]) for at, name in self.names.items()}
        return Batch(
            fields, len(good), lambda position: self._payload(good[position]), rejects, whole=True
        )

    def _bad(self, number: int) -> list[str]:
        cells = self._errors.get(number, set())
        return [name for at, name in self.names.items() if at + self._first in cells]

    def _reject(self, row: Row, bad: list[str]) -> Reject:
        detail = f"{', '.join(bad)}: the cell holds an error of Excel; repair its formula"
        return Reject(None, "excel_error", detail, self._payload(row))

    def _payload(self, row: Row) -> str:
        record = {name: _value(row[at]) for at, name in self.names.items()}
        return _encoder.encode(record).decode()


def _column(cells: Sequence[Any]) -> Values:
    """Give dates and times the type that says so; all else is as JSON has it."""
    filled = [cell for cell in cells if cell != _EMPTY]
    if filled and all(isinstance(cell, date) for cell in filled):
        # A time at midnight comes as a date.
        is_timed = any(isinstance(cell, datetime) for cell in filled)
        values = [None if cell == _EMPTY else cell for cell in cells]
        if not is_timed:
            return pa.array(values, pa.date32())
        moments = [None if cell is None else _moment(cell) for cell in values]
        return pa.array(moments, pa.timestamp("us"))
    return [_value(cell) for cell in cells]


def _moment(cell: date) -> datetime:
    return cell if isinstance(cell, datetime) else datetime.combine(cell, time())


def _value(cell: object) -> object:
    """Return a cell as JSON has it."""
    match cell:
        case "":
            return None
        case float():
            number = Decimal(repr(cell))
            return int(number) if number == number.to_integral_value() else number
        case date() | time():
            return cell.isoformat()
        case timedelta():
            hours, seconds = divmod(round(cell.total_seconds()), 3600)
            return f"{hours}:{seconds // 60:02}:{seconds % 60:02}"
        case _:
            return cell


def _letters(column: int) -> str:
    """Return the name of a column in Excel, counted from 0."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, _LETTERS)
        letters = chr(ord("A") + rest) + letters
    return letters
