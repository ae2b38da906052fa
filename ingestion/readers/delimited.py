"""CSV: every field is read as text, so that nothing is guessed and nothing is lost."""

from __future__ import annotations

import codecs
import csv
import io
import threading
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.csv as arrow_csv

from crmhouse.errors import SourceRefusedError
from ingestion.batches import Batch, Reject
from ingestion.readers.encodings import OnlyUtf8, as_utf8
from ingestion.readers.reading import AS_USUAL, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from ingestion.streams import Stream

_BYTES_PER_ROW = 256
_SMALLEST_BLOCK = 1 << 20
_LARGEST_BLOCK = 2 << 20
_LARGEST_RECORD = 256 << 20
_LARGEST_HEADER = 1 << 20
_RAGGED_BYTES = 64 << 20
_REJECT_BYTES = 256
_TAIL = 1 << 10


@dataclass(frozen=True)
class _Way:
    """A way to read a file. Arrow cannot go on after an error: another way starts the file again.

    Attributes:
        block: bytes that Arrow looks at together; no record may be longer.
        delimiter: one character.
        encoding: `latin1` takes any bytes. Arrow cannot skip a ragged line that is not UTF-8.
    """

    block: int
    delimiter: str
    encoding: str = "utf-8"

    def after(self, error: ValueError) -> _Way | None:
        """Return the way that gets past an error; None when there is none."""
        if isinstance(error, UnicodeDecodeError):
            return replace(self, encoding="latin1")
        if "straddling" in str(error) and self.block < _LARGEST_RECORD:
            return replace(self, block=min(self.block * 8, _LARGEST_RECORD))
        return None

    def original(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return records with the bytes that the file has."""
        if self.encoding == "utf-8":
            return rows
        columns = [
            pa.array([None if v is None else self.bytes_of(v.decode()) for v in column.to_pylist()])
            if any(not v.isascii() for v in column.to_pylist() if v)
            else column
            for column in rows.columns
        ]
        return pa.record_batch(columns, schema=rows.schema)

    def bytes_of(self, text: str) -> bytes:
        """Return the bytes of the file that were read as this text."""
        return text.encode(self.encoding)


class _Turn:
    """The file as one way reads it.

    Arrow reads ahead in a thread of its own, and goes on for a while after an error. What it then
    took from the file would be missing for the next way.
    """

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def read(self, size: int = -1) -> bytes:
        """Read as the file does, and nothing once the turn is over."""
        with self._lock:
            return b"" if self.closed else self._file.read(size)

    def close(self) -> None:
        """End the turn, after a read that is under way; the file itself stays open."""
        with self._lock:
            self.closed = True


@dataclass
class _Progress:
    """What has been handed out of a file; it is passed over when the file is started again.

    Attributes:
        rows: records of the right width.
        ragged: lines of another width.
        waiting: ragged lines that are not handed out yet.
        size: the bytes that these take.
        last: the last field of the last record.
        last_ragged: the last ragged line.
    """

    rows: int = 0
    ragged: int = 0
    waiting: list[Reject] = field(default_factory=list)
    size: int = 0
    last: bytes | None = None
    last_ragged: bytes = b""

    def hand_out_ragged(self) -> tuple[Reject, ...]:
        """Return the ragged lines that wait."""
        handed = tuple(self.waiting)
        self.ragged += len(handed)
        self.start_again()
        return handed

    def start_again(self) -> None:
        """Forget what was not handed out."""
        self.waiting, self.size = [], 0


def read_csv(
    file: BinaryIO, stream: Stream, batch_rows: int, how: Reading = AS_USUAL
) -> Iterator[Batch]:
    """Read comma-separated records below a header line, in UTF-8 (with or without a mark).

    Another delimiter and another encoding are what `how` says; a byte order mark of UTF-16 or
    UTF-32 says so too.

    An empty field is NULL. A quoted empty field (`""`) is the empty string, or NULL too where the
    stream says so. A line with too many or too few fields, and a record that is not UTF-8, becomes
    a reject.

    Raises:
        SourceRefusedError: the file has no usable header, a quote is never closed, a record is
            longer than 256 MB, too many lines in a row are of another width than the header, or
            a byte is not of the declared encoding.
    """
    file = as_utf8(file, how.encoding, stream.name)
    header = _header(file, stream, how.delimiter)
    if not header:
        return
    start, done = file.tell(), _Progress()
    block = min(max(batch_rows * _BYTES_PER_ROW, _SMALLEST_BLOCK), _LARGEST_BLOCK)
    way: _Way | None = _Way(block, how.delimiter)
    while way:
        file.seek(start)
        try:
            with closing(_Turn(file)) as turn:
                for rows in _parse(turn, stream, header, way, done):
                    for first in range(0, rows.num_rows, batch_rows):
                        yield _batch(rows.slice(first, batch_rows), done.hand_out_ragged())
            break
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            if "Empty CSV" in str(error):
                break
            if done.size > _RAGGED_BYTES:
                raise SourceRefusedError(
                    f"{stream.name}: line after line of the CSV file has another number of fields "
                    f"than its header, which has {len(header)}. Nothing of it was landed."
                ) from None
            way = way.after(error)
            done.start_again()
            if way is None:
                raise SourceRefusedError(
                    f"{stream.name}: the CSV file cannot be read: {_without_values(error)}, or a "
                    "record is longer than 256 MB. Nothing of it was landed; a quote that is never "
                    "closed is the usual cause."
                ) from None
    _refuse_open_quote(file, stream, done)
    if done.waiting:
        yield Batch({}, 0, str, done.hand_out_ragged())


def _parse(
    file: _Turn, stream: Stream, header: list[str], way: _Way, done: _Progress
) -> Iterator[pa.RecordBatch]:
    """Parse the file from where it stands, leaving out what is done already."""
    seen_ragged = 0
    to_skip = done.rows

    def keep_ragged(row: arrow_csv.InvalidRow) -> str:
        nonlocal seen_ragged
        seen_ragged += 1
        if seen_ragged > done.ragged + len(done.waiting):
            detail = f"the line has {row.actual_columns} fields, the header {row.expected_columns}"
            done.last_ragged = way.bytes_of(row.text)
            text = done.last_ragged.decode(errors="backslashreplace")
            done.waiting.append(Reject(None, "ragged_row", detail, text))
            done.size += len(text) + _REJECT_BYTES
        # Arrow gives up no record before it has one of the right width.
        return "skip" if done.size <= _RAGGED_BYTES else "error"

    reader = arrow_csv.open_csv(
        pa.PythonFile(OnlyUtf8(file) if way.encoding == "utf-8" else file, mode="r"),
        read_options=arrow_csv.ReadOptions(
            column_names=header, block_size=way.block, encoding=way.encoding, use_threads=False
        ),
        parse_options=arrow_csv.ParseOptions(
            delimiter=way.delimiter, newlines_in_values=True, invalid_row_handler=keep_ragged
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.binary()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=stream.empty_is_null,
            null_values=[""],
        ),
    )
    for rows in reader:
        skipped = min(to_skip, rows.num_rows)
        to_skip -= skipped
        if skipped < rows.num_rows:
            new = way.original(rows.slice(skipped))
            yield new
            done.rows += new.num_rows
            done.last = new.column(new.num_columns - 1)[-1].as_py()


def _header(file: BinaryIO, stream: Stream, delimiter: str) -> list[str]:
    """Read the names; the file then stands after them."""
    line = file.readline(_LARGEST_HEADER).removeprefix(codecs.BOM_UTF8)
    while line and not line.strip():
        line = file.readline(_LARGEST_HEADER)
    while line.count(b'"') % 2 and len(line) < _LARGEST_HEADER and (more := file.readline()):
        line += more
    if not line:
        return []
    if len(line) >= _LARGEST_HEADER:
        raise SourceRefusedError(f"{stream.name}: the header of the CSV is longer than 1 MB.")
    try:
        text = line.decode()
        names = next(csv.reader([text.rstrip("\r\n")], delimiter=delimiter, strict=True))
    except UnicodeDecodeError:
        raise SourceRefusedError(f"{stream.name}: the header of the CSV is not UTF-8.") from None
    except csv.Error:
        raise SourceRefusedError(
            f"{stream.name}: the header of the CSV cannot be read. Lines must end in LF or CRLF, "
            "and a quote in a name must be doubled inside of a quoted name."
        ) from None
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceRefusedError(
            f"{stream.name}: the header names {', '.join(twice)} twice. Give each column one name."
        )
    return names


def _refuse_open_quote(file: BinaryIO, stream: Stream, done: _Progress) -> None:
    """Raise when the last field reaches to the end of the file, for want of its closing quote.

    Arrow takes such a field as it is, with all the records that it has swallowed; the line is
    ragged then, unless the field is that of the last column.
    """
    file.seek(max(0, file.seek(0, io.SEEK_END) - 2 * _TAIL))
    end = file.read()
    ragged, last = done.last_ragged, done.last or b""
    is_open = (
        b"\n" in ragged and ragged.count(b'"') % 2 and _ends_with(end.rstrip(), ragged.rstrip())
    )
    if b"\n" in last and not end.rstrip().endswith(b'"'):
        is_open = is_open or _ends_with(end.replace(b'""', b'"'), b'"' + last)
    if is_open:
        raise SourceRefusedError(
            f"{stream.name}: a quote in the CSV file is never closed, so its end cannot be read. "
            "Nothing of it was landed."
        )


def _ends_with(end: bytes, text: bytes) -> bool:
    return end.endswith(text[-_TAIL:])


def _batch(rows: pa.RecordBatch, rejects: tuple[Reject, ...]) -> Batch:
    """Turn bytes into text; a record that is not UTF-8 is rejected."""
    try:
        fields = {name: rows.column(name).cast(pa.string()) for name in rows.schema.names}
    except pa.ArrowInvalid:
        bad = _not_text(rows)
        rejects = (*rejects, *(_not_utf8(rows, position) for position in bad))
        good = [position for position in range(rows.num_rows) if position not in set(bad)]
        rows = rows.take(pa.array(good, pa.int64()))
        fields = {name: rows.column(name).cast(pa.string()) for name in rows.schema.names}
    return Batch(
        fields, rows.num_rows, lambda position: _payload(rows, position), rejects, whole=True
    )


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


def _without_values(error: ValueError) -> str:
    """Keep the first sentence of Arrow's message: what follows may quote the data."""
    return str(error).split(":", maxsplit=2)[0]
