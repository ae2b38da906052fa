"""How files are read where their content does not say it: what a stream's options declare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from ingestion.batches import Batch
    from ingestion.streams import Stream


@dataclass(frozen=True)
class Reading:
    """What the configuration says of a stream's files.

    Attributes:
        encoding: of CSV and JSON; None for UTF-8. A byte order mark has the last word.
        delimiter: between the fields of a CSV, one character.
        sheet: name of the sheet of an Excel file; the first one when None.
        header_row: the row of an Excel sheet that has the names, counted from 1.
        records: names that lead from the object in a JSON file to its array of records; empty
            where the file is that array.
    """

    encoding: str | None = None
    delimiter: str = ","
    sheet: str | None = None
    header_row: int = 1
    records: tuple[str, ...] = ()


AS_USUAL = Reading()


class Reader(Protocol):
    """Reads an open file of a stream, so many records at a time."""

    def __call__(
        self, file: BinaryIO, stream: Stream, batch_rows: int, how: Reading = AS_USUAL
    ) -> Iterator[Batch]:
        """Read the file from where it stands, its start."""
