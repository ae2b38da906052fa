"""Compressed files, by the ending of their names; decompressed while they are read."""

from __future__ import annotations

import bz2
import gzip
import shutil
import tempfile
import zipfile
import zlib
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING

import pyarrow as pa

from crmhouse.errors import SourceRefusedError
from ingestion.readers.forward import forward

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import BinaryIO

    Opener = Callable[[Path], AbstractContextManager[BinaryIO]]

_BLOCK = 1 << 18
# What the libraries raise for content that is cut off, damaged, or of another kind. Of a zip also
# for one with a password (RuntimeError), or with a compression that Python does not have.
_BROKEN = (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile)


@contextmanager
def _open_zstd(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        yield pa.CompressedInputStream(file, "zstd")


@contextmanager
def _open_member(path: Path, *, member: str) -> Iterator[BinaryIO]:
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        yield file  # type: ignore[misc]  # it is one, apart from its declaration


COMPRESSIONS: Mapping[str, Opener | None] = MappingProxyType(
    {".gz": gzip.open, ".bz2": bz2.open, ".zst": _open_zstd, ".zip": None}  # type: ignore[dict-item]
)
"""By the ending of a file's name: opens it. A zip is opened at one of its members."""


@contextmanager
def decompressed(
    path: Path, ending: str, name: str, *, member: str = "", spill: bool = False
) -> Iterator[BinaryIO]:
    """Open a compressed file as what it holds.

    Args:
        path: where the content is.
        ending: one of `COMPRESSIONS`.
        name: the file's name, for messages.
        member: the member of a zip.
        spill: whether the reader jumps about: then it gets a decompressed copy.

    Raises:
        SourceRefusedError: now or while it is read: the file is cut off or damaged.
    """
    opener = COMPRESSIONS[ending] or partial(_open_member, member=member)
    with forward(partial(_blocks, opener, path, name)) as file:
        if not spill:
            yield file
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(file, copy, _BLOCK)
            copy.seek(0)
            yield copy


def _blocks(opener: Opener, path: Path, name: str) -> Generator[bytes]:
    try:
        if not path.stat().st_size:
            raise EOFError  # gzip takes an empty file for an empty content
        with opener(path) as file:
            while block := file.read(_BLOCK):
                yield block
    except _BROKEN as error:
        raise _broken(name, error) from None


def member_of(path: Path, name: str, endings: Collection[str]) -> str:
    """Return the one file in a zip that is to be read.

    Args:
        path: the zip.
        name: its name, for messages.
        endings: endings of names that can be read; empty where the format is known otherwise.

    Raises:
        SourceRefusedError: it is no zip, or holds another number of such files.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except _BROKEN as error:
        raise _broken(name, error) from None
    found = [
        member
        for member in names
        if not member.startswith("__MACOSX/")
        and (not endings or PurePosixPath(member).suffix.lower() in endings)
    ]
    if len(found) != 1:
        known = f" ({', '.join(sorted(endings))})" if endings else ""
        raise SourceRefusedError(
            f"{name}: the zip holds {len(found)} files that can be read{known}, of {len(names)} "
            "in all; it must hold exactly one. Nothing of it was landed; zip each file on its own."
        )
    return found[0]


def _broken(name: str, error: Exception) -> SourceRefusedError:
    locked = " or is locked with a password" if isinstance(error, RuntimeError) else ""
    return SourceRefusedError(
        f"{name}: the compressed file is cut off, damaged, or not what its ending says{locked} "
        f"({type(error).__name__}). Nothing of it was landed; write the file again."
    )
