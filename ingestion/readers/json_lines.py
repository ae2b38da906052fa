"""JSON Lines: one record per line, numbers kept exactly as they are written."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from ingestion.batches import Batch, Reject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from ingestion.streams import Stream

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BATCH_BYTES = 64 << 20

# A float would change 0.1 and every amount like it; integers of any size are exact already.
_decoder = msgspec.json.Decoder(float_hook=Decimal)


def read_json_lines(file: BinaryIO, stream: Stream, batch_rows: int) -> Iterator[Batch]:
    """Read records, one per line; blank lines are skipped.

    A line that is not a JSON object in UTF-8 becomes a reject, whatever surrounds it. A batch ends
    at `batch_rows` records or 64 MB of text, whichever comes first. Of a name that stands twice in
    one object the last value counts: msgspec does not tell, and a second decoder would.
    """
    chunk: list[bytes] = []
    size = 0
    for line in _lines(file):
        if not line.strip():
            continue
        if chunk and (len(chunk) == batch_rows or size + len(line) > _BATCH_BYTES):
            yield batch_of(chunk, stream.flatten)
            chunk, size = [], 0
        chunk.append(line)
        size += len(line)
    if chunk:
        yield batch_of(chunk, stream.flatten)


def batch_of(lines: list[bytes], flatten: Mapping[str, str]) -> Batch:
    """Make a batch of lines that hold one JSON object each."""
    records: list[dict[str, Any]] = []
    kept: list[bytes] = []
    rejects: list[Reject] = []
    for line in lines:
        try:
            record = _decoder.decode(line)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            rejects.append(_reject("invalid_json", "the line is not valid JSON in UTF-8", line))
            continue
        if not isinstance(record, dict):
            rejects.append(_reject("not_a_record", "the line is not a JSON object", line))
            continue
        records.append(flat(record, flatten) if flatten else record)
        kept.append(line)
    names = dict.fromkeys(name for record in records for name in record)
    fields = {name: [record.get(name) for record in records] for name in names}
    return Batch(fields, len(records), lambda position: _text(kept[position]), tuple(rejects))


def flat(record: dict[str, Any], flatten: Mapping[str, str]) -> dict[str, Any]:
    """Lift the fields of nested objects: `{"properties": {"email": 1}}` to `properties.email`."""
    for name in flatten:
        nested = record.get(name)
        if isinstance(nested, dict):
            del record[name]
            record.update((f"{name}.{key}", value) for key, value in nested.items())
    return record


def _lines(file: BinaryIO) -> Iterator[bytes]:
    for number, line in enumerate(file):
        yield line.removeprefix(_BYTE_ORDER_MARK) if number == 0 else line


def _reject(reason: str, detail: str, line: bytes) -> Reject:
    return Reject(None, reason, detail, _text(line))


def _text(line: bytes) -> str:
    return line.decode(errors="backslashreplace").rstrip("\r\n")
