"""Encodings: text of any encoding, turned into UTF-8 while it is read."""

from __future__ import annotations

import codecs
from functools import partial
from typing import TYPE_CHECKING, Protocol

from crmhouse.errors import SourceRefusedError
from ingestion.readers.forward import forward

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import BinaryIO

_BLOCK = 1 << 18
# That of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8"),
)
_LONGEST_MARK = 4


class Readable(Protocol):
    """What is read from its first byte to its last one."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most that many bytes; none at the end."""
        ...


def is_encoding(name: str) -> bool:
    """Say whether Python knows an encoding of text by this name."""
    try:
        return "id,1\n".encode(name).decode(name) == "id,1\n"
    except (LookupError, UnicodeError):
        return False


def as_utf8(file: BinaryIO, encoding: str | None, place: str) -> BinaryIO:
    """Return the file as UTF-8; a file that is UTF-8 is returned itself, unchecked.

    Args:
        file: an open file, at its start.
        encoding: the declared encoding; None for UTF-8. A byte order mark has the last word.
        place: what is read, for messages.

    Raises:
        SourceRefusedError: while it is read, at the first byte that is not of that encoding.
    """
    start = file.read(_LONGEST_MARK)
    file.seek(0)
    marked = next((name for mark, name in _MARKS if start.startswith(mark)), None)
    name = codecs.lookup(marked or encoding or "utf-8").name
    if name in {"utf-8", "utf-8-sig"}:
        return file
    return forward(partial(_transcoded, file, name, place))


def _transcoded(file: BinaryIO, encoding: str, place: str) -> Generator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    file.seek(0)
    done = 0
    while True:
        block = file.read(_BLOCK)
        done += len(block)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            # What it was given may begin with bytes that the last block has left over.
            raise SourceRefusedError(
                f"{place}: byte {done - len(error.object) + error.start} of the file is not "
                f"{encoding}. Nothing of it was landed; set `encoding` to what the file is in."
            ) from None
        if text:
            yield text.encode()
        if not block:
            return


class OnlyUtf8:
    """A file that raises UnicodeDecodeError as soon as it is not UTF-8."""

    closed = False

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._is_cut = False

    def read(self, size: int = -1) -> bytes:
        """Read as the file does."""
        block = self._file.read(size)
        if self._is_cut or not block.isascii():
            self._decoder.decode(block, final=not block)
            self._is_cut = bool(self._decoder.getstate()[0])
        return block
