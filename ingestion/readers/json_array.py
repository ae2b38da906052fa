"""JSON: an array of records, taken apart without holding more than one of them."""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crmhouse.errors import SourceRefusedError
from ingestion.readers.encodings import as_utf8
from ingestion.readers.json_lines import batches_of
from ingestion.readers.reading import AS_USUAL, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray

    from ingestion.batches import Batch
    from ingestion.streams import Stream

_BLOCK = 1 << 20
_QUOTE, _BACKSLASH = b'"\\'

# By the value of a byte: whether it gives JSON its structure, and by how much it nests.
_IS_MARK = np.zeros(256, np.bool_)
_IS_MARK[list(b"[]{},:")] = True
_STEP = np.zeros(256, np.int64)
_STEP[list(b"[{")] = 1
_STEP[list(b"]}")] = -1


def read_json(
    file: BinaryIO, stream: Stream, batch_rows: int, how: Reading = AS_USUAL
) -> Iterator[Batch]:
    """Read the records of one array, in UTF-8; `how` says where it is, if it is not the whole file.

    Numbers keep every digit. An element that is not a JSON object becomes a reject, as a line of
    JSON Lines does.

    Raises:
        SourceRefusedError: there is no such array, or it is cut off or broken.
    """
    elements = _elements(as_utf8(file, how.encoding, stream.name), how.records, stream)
    yield from batches_of(elements, stream, batch_rows, "element")


class _Token(NamedTuple):
    """A mark that is not deep inside.

    Attributes:
        before: what stands between the last such mark and this one.
        mark: one of `[]{},:`; empty at the end of the file.
        depth: how many brackets are open after it.
    """

    before: bytes
    mark: bytes
    depth: int


class _Marks:
    """Finds the marks of JSON block by block, whole blocks at a time.

    Attributes:
        depth: how many brackets are open.
        in_text: 1 inside of a text, else 0.
        escaped: whether the next byte stands behind a backslash.
    """

    def __init__(self) -> None:
        self.depth, self.in_text, self.escaped = 0, 0, False

    def find(self, block: bytes, deepest: int) -> Iterator[tuple[int, int]]:
        """Yield place and depth of the marks with less than `deepest` brackets around them."""
        data = np.frombuffer(block, np.uint8)
        quotes = data == _QUOTE
        self._unquote(data, quotes)
        # Of a sum modulo 256 the last bit still says whether the number of quotes is odd.
        in_text = (np.cumsum(quotes, dtype=np.uint8) + np.uint8(self.in_text)) & 1
        self.in_text = int(in_text[-1])
        places = np.flatnonzero(_IS_MARK[data] & (in_text == 0))
        if not places.size:
            return
        steps = _STEP[data[places]]
        after = self.depth + np.cumsum(steps)
        self.depth = int(after[-1])
        # A bracket has around it what is open without it; a comma, what is open but the innermost.
        around = np.minimum(after - steps, after) - (steps == 0)
        near = around < deepest
        yield from zip(places[near].tolist(), after[near].tolist(), strict=True)

    def _unquote(self, data: NDArray[np.uint8], quotes: NDArray[np.bool_]) -> None:
        """Drop the quotes that stand behind an odd number of backslashes."""
        slashes = np.flatnonzero(data == _BACKSLASH)
        if self.escaped and data[0] != _BACKSLASH:
            quotes[0] = False
        is_first = np.diff(slashes, prepend=-2) != 1
        starts = slashes[np.maximum.accumulate(np.where(is_first, np.arange(slashes.size), 0))]
        if self.escaped:
            starts[starts == 0] = -1
        escaped = slashes[(slashes - starts) % 2 == 0] + 1
        self.escaped = bool(escaped.size) and int(escaped[-1]) == data.size
        quotes[escaped[: escaped.size - self.escaped]] = False


def _tokens(file: BinaryIO, deepest: int) -> Iterator[_Token]:
    marks = _Marks()
    before: list[bytes] = []
    is_first = True
    while block := file.read(_BLOCK):
        if is_first:
            block, is_first = block.removeprefix(codecs.BOM_UTF8) or b" ", False
        start = 0
        for place, depth in marks.find(block, deepest):
            before.append(block[start:place])
            yield _Token(b"".join(before), block[place : place + 1], depth)
            before, start = [], place + 1
        before.append(block[start:])
    yield _Token(b"".join(before), b"", marks.depth)


def _elements(file: BinaryIO, path: tuple[str, ...], stream: Stream) -> Iterator[bytes]:
    """Yield the text of each element of the array that the path leads to."""
    tokens = _tokens(file, len(path) + 1)
    _go_to(tokens, path, stream)
    is_first = True
    for token in tokens:
        ends = token.mark == b"]"
        is_blank = not token.before.strip()
        if token.mark not in {b",", b"]"} or (is_blank and not (ends and is_first)):
            raise _broken(stream)
        if not is_blank:
            yield token.before
        is_first = False
        if ends:
            break
    for token in tokens:  # what is around the array must be whole too
        if token.depth < 0 or (not path and (token.mark or token.before.strip())):
            raise _broken(stream)
        if not token.mark and token.depth:
            raise _broken(stream)


def _go_to(tokens: Iterator[_Token], path: tuple[str, ...], stream: Stream) -> None:
    """Read up to and including the bracket that opens the array."""
    names: list[str] = []
    for token in tokens:
        if not names and not path and token.mark and (token.mark != b"[" or token.before.strip()):
            break
        if token.mark == b":":
            names[token.depth - 1 :] = [_name(token.before)]
        if token.mark == b"[" and token.depth == len(path) + 1 and tuple(names) == path:
            return
        if not token.mark and (token.depth or not path):
            raise _broken(stream)
    where = f"no array at {'.'.join(path)}" if path else "something else than an array of records"
    raise SourceRefusedError(
        f"{stream.name}: the JSON file holds {where}. Nothing of it was landed. Say in `records` "
        "which names lead to the array; where each line is a record of its own, set `format` to "
        "jsonl."
    )


def _name(text: bytes) -> str:
    try:
        return str(json.loads(text))
    except (ValueError, RecursionError):
        return ""


def _broken(stream: Stream) -> SourceRefusedError:
    return SourceRefusedError(
        f"{stream.name}: the JSON file is cut off, or its brackets and commas do not match. "
        "Nothing of it was landed; write the file again."
    )
