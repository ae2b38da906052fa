"""Bytes that can only be made one after the other, as a file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import BinaryIO

_BUFFER = 1 << 18


class _Forward(io.RawIOBase):
    """Makes the bytes anew from the first one on where a reader goes back."""

    def __init__(self, make: Callable[[], Generator[bytes]]) -> None:
        self._make = make
        self._start()

    def _start(self) -> None:
        self._blocks, self._rest, self._position = self._make(), memoryview(b""), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typed too wide there
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        self._position += size
        return size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            while self.read(_BUFFER):
                pass
        target = offset if whence == io.SEEK_SET else self._position + offset
        if target < self._position:
            self._blocks.close()
            self._start()
        while self._position < target and self.read(min(_BUFFER, target - self._position)):
            pass
        return self._position

    def close(self) -> None:
        self._blocks.close()
        super().close()


def forward(make: Callable[[], Generator[bytes]]) -> BinaryIO:
    """Make a file of blocks that are made one after the other, such as decompressed ones.

    Seeking works, but going back costs making everything before that place again.

    Args:
        make: starts to make the blocks, from the first one on. What it raises, the reader gets.
    """
    return io.BufferedReader(_Forward(make), _BUFFER)
