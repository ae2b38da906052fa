"""CSV: every field is read as text, so that nothing is guessed and nothing is lost."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.csv as arrow_csv

from crmhouse.errors import SourceRefusedError
from ingestion.batches import Batch, Reject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from ingestion.streams import Stream

_BYTES_PER_ROW = 256
_SMALLEST_BLOCK = 1 << 20
_LARGEST_BLOCK = 64 << 20


def read_csv(file: BinaryIO, stream: Stream, batch_rows: int) -> Iterator[Batch]:
    """Read comma-separated records below a header line, in UTF-8 (with or without a mark).

    An empty field is NULL; a quoted empty field (`""`) is the empty string. A line with too many
    or too few fields, and a record that is not UTF-8, becomes a reject.

    Raises:
        SourceRefusedError: the file has no usable header, or a quote is never closed.
    """
    ragged: list[Reject] = []

    def keep_ragged(row: arrow_csv.InvalidRow) -> str:
        detail = f"the line has {row.actual_columns} fields, the header {row.expected_columns}"
        ragged.append(Reject(None, "ragged_row", detail, row.text))
        return "skip"

    header, rest = _header(file, stream)
    if not header:
        return
    block = min(max(batch_rows * _BYTES_PER_ROW, _SMALLEST_BLOCK), _LARGEST_BLOCK)
    try:
        reader = arrow_csv.open_csv(
            rest,
            read_options=arrow_csv.ReadOptions(
                column_names=header, block_size=block, use_threads=False
            ),
            parse_options=arrow_csv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=keep_ragged
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.binary()),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
            ),
        )
        for block_of_rows in reader:
            for start in range(0, block_of_rows.num_rows, batch_rows):
                yield _batch(block_of_rows.slice(start, batch_rows), ragged)
                ragged.clear()
    except pa.ArrowInvalid as error:
        if "Empty CSV" not in str(error):
            raise SourceRefusedError(
                f"{stream.name}: the CSV file cannot be read: {_without_values(error)}. "
                "Nothing of it was landed; a quote that is never closed is the usual cause."
            ) from None
    if ragged:
        yield Batch({}, 0, str, tuple(ragged))


def _header(file: BinaryIO, stream: Stream) -> tuple[list[str], BinaryIO]:
    """Read the names; return them with a file that begins after them."""
    line = b""
    while not line.strip():
        line = file.readline()
        if not line:
            return [], file
    while line.count(b'"') % 2 and (more := file.readline()):
        line += more
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SourceRefusedError(f"{stream.name}: the header of the CSV is not UTF-8.") from None
    names = next(csv.reader([text.rstrip("\r\n")]))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceRefusedError(
            f"{stream.name}: the header names {', '.join(twice)} twice. Give each column one name."
        )
    return names, file


def _batch(rows: pa.RecordBatch, rejects: list[Reject]) -> Batch:
    """Turn bytes into text; a record that is not UTF-8 is rejected."""
    try:
        fields = {name: rows.column(name).cast(pa.string()) for name in rows.schema.names}
    except pa.ArrowInvalid:
        bad = _not_text(rows)
        rejects = [*rejects, *(_not_utf8(rows, position) for position in bad)]
        good = [position for position in range(rows.num_rows) if position not in set(bad)]
        rows = rows.take(pa.array(good, pa.int64()))
        fields = {name: rows.column(name).cast(pa.string()) for name in rows.schema.names}
    return Batch(fields, rows.num_rows, lambda position: _payload(rows, position), tuple(rejects))


def _not_text(rows: pa.RecordBatch) -> list[int]:
    bad: set[int] = set()
    for column in rows.columns:
        for position, value in enumerate(column.to_pylist()):
            try:
                _ = value is None or value.decode()
            except UnicodeDecodeError:
                bad.add(position)
    return sorted(bad)


def _not_utf8(rows: pa.RecordBatch, position: int) -> Reject:
    detail = "the record is not valid UTF-8; save the file in that encoding"
    return Reject(None, "invalid_encoding", detail, _payload(rows, position))


def _payload(rows: pa.RecordBatch, position: int) -> str:
    record = {
        name: None
        if (value := rows.column(name)[position].as_py()) is None
        else value.decode(errors="backslashreplace")
        for name in rows.schema.names
    }
    return msgspec.json.encode(record).decode()


def _without_values(error: pa.ArrowInvalid) -> str:
    """Keep the first sentence of Arrow's message: what follows may quote the data."""
    return str(error).split(":", maxsplit=2)[0]
