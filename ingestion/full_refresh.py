"""Full refresh: all records of a stream as one slice, however many its source has them in."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from crmhouse.errors import RunFailedError
from ingestion.slices import Slice

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Mapping

    from ingestion.batches import Batch
    from ingestion.sources.connector import Connector
    from ingestion.streams import Stream

FULL_REFRESH = "full refresh"


def whole(reader: Connector, stream: Stream, landed: Collection[str]) -> Generator[Slice]:
    """Yield the one slice that holds all records of a stream.

    Args:
        reader: of the source.
        stream: one of the reader's.
        landed: names of the slices that have landed. Those that the source has no more are read
            again, should they come back.
    """
    with closing(reader.everything(stream)) as slices:
        first = next(slices, None)
        if first is not None and first.holds == "all":
            yield first
            return
    yield _joined(reader, stream, landed)


def _joined(reader: Connector, stream: Stream, landed: Collection[str]) -> Slice:
    read_now: dict[str, Mapping[str, Any]] = {}
    gone: set[str] = set()

    def read() -> Iterator[Batch]:
        read_now.clear()
        for number, part in enumerate(reader.everything(stream)):
            for batch in _counted(part):
                yield replace(batch, part=number)
            read_now[part.name] = part.checkpoint()
        gone.update(set(landed) - read_now.keys())

    return Slice(FULL_REFRESH, read, dict, holds="all", also=lambda: read_now, overtakes=gone)


def _counted(part: Slice) -> Iterator[Batch]:
    """Read a slice, and refuse it when it has not as many records as its source has said."""
    records = 0
    for batch in part.read():
        records += batch.rows + len(batch.rejects)
        yield batch
    if part.reported is not None and records != part.reported:
        raise RunFailedError(
            f"{part.name}: the source reported {part.reported} records, {records} arrived. Nothing "
            "was landed: run the refresh again."
        )
