"""Readers: files of one format into batches, a bounded number of records at a time."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from ingestion.readers.delimited import read_csv
from ingestion.readers.json_lines import read_json_lines
from ingestion.readers.parquet import read_parquet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

    from ingestion.batches import Batch
    from ingestion.streams import Stream

READERS: Mapping[str, Callable[[BinaryIO, Stream, int], Iterator[Batch]]] = MappingProxyType(
    {
        ".csv": read_csv,
        ".jsonl": read_json_lines,
        ".ndjson": read_json_lines,
        ".parquet": read_parquet,
    }
)
"""By the ending of a file's name: reads an open file of a stream, so many records at a time."""
