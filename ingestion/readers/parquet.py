"""Parquet: columns with their types, one row group after the other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.parquet as arrow_parquet

from crmhouse.errors import SourceRefusedError
from ingestion.batches import Batch, Reject
from ingestion.readers.reading import AS_USUAL, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from ingestion.batches import Values
    from ingestion.streams import Stream

_READ_SIZE = 1 << 20
# What Arrow raises for a value that Python has no room for, such as a time of the year 10000.
_NO_ROOM = (ValueError, ArithmeticError, pa.ArrowException)

_encoder = msgspec.json.Encoder(enc_hook=str, decimal_format="number")


def read_parquet(
    file: BinaryIO,
    stream: Stream,
    batch_rows: int,
    how: Reading = AS_USUAL,  # noqa: ARG001  # the signature of a reader
) -> Iterator[Batch]:
    """Read the columns with their types; nested ones become JSON.

    Raises:
        SourceRefusedError: this is not a Parquet file, or it is cut off.
    """
    try:
        # Else Arrow takes a row group into memory as a whole, which may be all of the file.
        parquet = arrow_parquet.ParquetFile(file, pre_buffer=False, buffer_size=_READ_SIZE)
        for rows in parquet.iter_batches(batch_size=batch_rows):
            yield _batch(rows)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceRefusedError(
            f"{stream.name}: this is not a complete Parquet file ({type(error).__name__}). "
            "Nothing of it was landed; write the file again."
        ) from None


def rows_of_parquet(path: Path) -> int | None:
    """Return how many rows the file says it has; None where it is broken, as reading will say."""
    try:
        rows: int = arrow_parquet.read_metadata(path).num_rows
    except (pa.ArrowInvalid, OSError):
        return None
    return rows


def _batch(rows: pa.RecordBatch) -> Batch:
    """Take the columns as they are; a record with a nested value beyond Python is rejected."""
    rejects: list[Reject] = []
    try:
        fields = _fields(rows)
    except _NO_ROOM:
        good = [position for position in range(rows.num_rows) if _is_readable(rows, position)]
        rejects = [
            Reject(
                None, "value_does_not_fit", "a nested value is out of range", _payload(rows, bad)
            )
            for bad in sorted({*range(rows.num_rows)} - {*good})
        ]
        rows = rows.take(pa.array(good, pa.int64()))
        fields = _fields(rows)
    return Batch(
        fields,
        rows.num_rows,
        lambda position: _payload(rows, position),
        tuple(rejects),
        whole=True,
    )


def _fields(rows: pa.RecordBatch) -> dict[str, Values]:
    return {
        name: column.to_pylist() if pa.types.is_nested(column.type) else column
        for name, column in zip(rows.schema.names, rows.columns, strict=True)
    }


def _is_readable(rows: pa.RecordBatch, position: int) -> bool:
    try:
        _fields(rows.slice(position, 1))
    except _NO_ROOM:
        return False
    return True


def _payload(rows: pa.RecordBatch, position: int) -> str:
    record = {
        name: _readable(column, position)
        for name, column in zip(rows.schema.names, rows.columns, strict=True)
    }
    return _encoder.encode(record).decode()


def _readable(column: pa.Array, position: int) -> object:
    """Return a value that JSON has a form for, or else what people can read.

    The latter is no JSON, nor is then the whole: nobody takes it for the value itself.
    """
    try:
        value = column[position].as_py()
        if isinstance(value, float) and not math.isfinite(value):
            return msgspec.Raw(str(value).encode())
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return msgspec.Raw(repr(value).encode())
    except _NO_ROOM:
        return msgspec.Raw(column.slice(position, 1).to_string(skip_new_lines=True).encode())
