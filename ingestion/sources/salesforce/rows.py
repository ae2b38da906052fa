"""Records as batches: of the CSV of Bulk, and of the JSON of REST."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from ingestion.batches import Batch
from ingestion.readers.delimited import read_csv
from ingestion.readers.json_lines import decoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO

    from ingestion.sources.salesforce.answers import DeletedRecord
    from ingestion.streams import ColumnType, Stream


def of_csv(
    file: BinaryIO, stream: Stream, batch_rows: int, types: Mapping[str, ColumnType]
) -> Iterator[Batch]:
    """Read a page of a job's results from its start; what is empty is NULL."""
    file.seek(0)
    for batch in read_csv(file, stream, batch_rows):
        yield replace(batch, types=types)


def of_json(records: Sequence[msgspec.Raw], types: Mapping[str, ColumnType]) -> Batch:
    """Make a batch of the records of a page."""
    read: list[dict[str, Any]] = [decoder.decode(record) for record in records]
    return Batch(
        {name: [record.get(name) for record in read] for name in types},
        len(read),
        lambda position: bytes(records[position]).decode(errors="backslashreplace"),
        whole=True,
        types=types,
    )


def of_feed(records: Sequence[DeletedRecord], cursor: str) -> Batch:
    """Make a batch of deleted records, of which the feed tells no more than when they were."""
    return Batch(
        {
            "Id": [record.id for record in records],
            cursor: [record.deletedDate for record in records],
            "IsDeleted": [True] * len(records),
        },
        len(records),
        lambda position: msgspec.json.encode(records[position]).decode(),
    )
