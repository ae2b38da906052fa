"""Parquet: columns with their types, one row group after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.parquet as arrow_parquet

from crmhouse.errors import SourceRefusedError
from ingestion.batches import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from ingestion.streams import Stream


def read_parquet(file: BinaryIO, stream: Stream, batch_rows: int) -> Iterator[Batch]:
    """Read the columns with their types; nested ones become JSON.

    Raises:
        SourceRefusedError: this is not a Parquet file, or it is cut off.
    """
    try:
        parquet = arrow_parquet.ParquetFile(file)
        for rows in parquet.iter_batches(batch_size=batch_rows):
            yield _batch(rows)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceRefusedError(
            f"{stream.name}: this is not a complete Parquet file ({type(error).__name__}). "
            "Nothing of it was landed; write the file again."
        ) from None


def _batch(rows: pa.RecordBatch) -> Batch:
    def payload(position: int) -> str:
        record = rows.slice(position, 1).to_pylist()[0]
        return msgspec.json.encode(record, enc_hook=str).decode()

    fields = {
        name: column.to_pylist() if pa.types.is_nested(column.type) else column
        for name, column in zip(rows.schema.names, rows.columns, strict=True)
    }
    return Batch(fields, rows.num_rows, payload)
