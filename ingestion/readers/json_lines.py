"""JSON Lines: one record per line, numbers kept exactly as they are written."""

from __future__ import annotations

import codecs
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from ingestion.batches import Batch, Reject
from ingestion.readers.encodings import as_utf8
from ingestion.readers.reading import AS_USUAL, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from ingestion.batches import Values
    from ingestion.streams import Stream

BATCH_BYTES = 64 << 20

# A float would change 0.1 and every amount like it; integers of any size are exact already.
decoder = msgspec.json.Decoder(float_hook=Decimal)


def read_json_lines(
    file: BinaryIO, stream: Stream, batch_rows: int, how: Reading = AS_USUAL
) -> Iterator[Batch]:
    """Read records, one per line; blank lines are skipped.

    A line that is not a JSON object in UTF-8 becomes a reject, whatever surrounds it. A batch ends
    at `batch_rows` records or 64 MB of text, whichever comes first. Of a name that stands twice in
    one object the last value counts: msgspec does not tell, and a second decoder would.
    """
    lines = _lines(as_utf8(file, how.encoding, stream.name))
    yield from batches_of((line for line in lines if line.strip()), stream, batch_rows)


def batches_of(
    texts: Iterable[bytes], stream: Stream, batch_rows: int, what: str = "line"
) -> Iterator[Batch]:
    """Make batches of texts that hold one JSON object each.

    Args:
        texts: one per record.
        stream: says what is flattened.
        batch_rows: records in a batch; it ends earlier at 64 MB of text.
        what: what a text is, for messages.
    """
    chunk: list[bytes] = []
    size = 0
    for text in texts:
        if chunk and (len(chunk) == batch_rows or size + len(text) > BATCH_BYTES):
            yield batch_of(chunk, stream.flatten, what)
            chunk, size = [], 0
        chunk.append(text)
        size += len(text)
    if chunk:
        yield batch_of(chunk, stream.flatten, what)


def batch_of(lines: list[bytes], flatten: Mapping[str, str], what: str = "line") -> Batch:
    """Make a batch of lines that hold one JSON object each."""
    records: list[dict[str, Any]] = []
    kept: list[bytes] = []
    rejects: list[Reject] = []
    for line in lines:
        try:
            record = decoder.decode(line)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            rejects.append(_reject("invalid_json", f"the {what} is not valid JSON in UTF-8", line))
            continue
        if not isinstance(record, dict):
            rejects.append(_reject("not_a_record", f"the {what} is not a JSON object", line))
            continue
        records.append(record)
        kept.append(line)
    fields = _fields(records, flatten)
    return Batch(fields, len(records), lambda position: _text(kept[position]), tuple(rejects))


def _fields(records: Sequence[dict[str, Any]], flatten: Mapping[str, str]) -> dict[str, Values]:
    """Return the values of each field, those of nested objects lifted as `flat` does it."""
    found = _turned(records)
    for name in flatten.keys() & (found or {}).keys():
        inner = _turned(found.pop(name)) if found else None
        if found is not None and inner is not None:
            found.update((f"{name}.{key}", values) for key, values in inner.items())
        else:
            found = None
    if found is None:  # field by field, for records that differ in what they have
        records = [flat(record, flatten) for record in records]
        names = dict.fromkeys(name for record in records for name in record)
        found = {name: [record.get(name) for record in records] for name in names}
    return found


def _turned(records: Sequence[Any]) -> dict[str, Values] | None:
    """Turn objects that have the same fields in the same order into columns; None for others."""
    if not records or not isinstance(records[0], dict):
        return None
    shape = tuple(records[0])
    if any(type(record) is not dict or tuple(record) != shape for record in records):
        return None
    return dict(zip(shape, zip(*map(dict.values, records), strict=True), strict=True))


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
        yield line.removeprefix(codecs.BOM_UTF8) if number == 0 else line


def _reject(reason: str, detail: str, line: bytes) -> Reject:
    return Reject(None, reason, detail, _text(line))


def _text(line: bytes) -> str:
    return line.decode(errors="backslashreplace").rstrip("\r\n")
