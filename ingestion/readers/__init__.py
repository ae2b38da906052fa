"""Readers: files of one format into batches, a bounded number of records at a time."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from ingestion.readers.compression import COMPRESSIONS, decompressed, member_of
from ingestion.readers.delimited import read_csv
from ingestion.readers.excel import read_excel
from ingestion.readers.json_array import read_json
from ingestion.readers.json_lines import read_json_lines
from ingestion.readers.parquet import read_parquet
from ingestion.readers.reading import AS_USUAL, Reader, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from ingestion.batches import Batch
    from ingestion.streams import Stream

READERS: Mapping[str, Reader] = MappingProxyType(
    {
        ".csv": read_csv,
        ".json": read_json,
        ".jsonl": read_json_lines,
        ".ndjson": read_json_lines,
        ".parquet": read_parquet,
        ".xlsx": read_excel,
    }
)
"""By the ending of a file's name."""

KNOWN = (
    f"known are {', '.join(sorted(READERS))}, each also with {', '.join(sorted(COMPRESSIONS))} "
    "after it"
)
"""The endings of names, for messages."""

# These are not read from the first byte to the last one.
_JUMPING = frozenset({".parquet", ".xlsx"})


class Endings(NamedTuple):
    """What the name of a file says of its content.

    Attributes:
        stem: the name without them.
        format: a key of `READERS`; empty where it has none.
        compression: a key of `COMPRESSIONS`; empty where it has none.
    """

    stem: str
    format: str
    compression: str

    @classmethod
    def of(cls, name: str) -> Endings:
        """Take the endings off a name: `a/b.csv.gz` has `b`, `.csv` and `.gz`."""
        path = PurePosixPath(name)
        compression = path.suffix.lower()
        if compression in COMPRESSIONS:
            path = path.with_suffix("")
        else:
            compression = ""
        form = path.suffix.lower()
        return (
            cls(path.stem, form, compression)
            if form in READERS
            else cls(path.name, "", compression)
        )

    @property
    def is_readable(self) -> bool:
        """Say whether there is a reader; of a zip its member may say so."""
        return bool(self.format) or self.compression == ".zip"


def read_file(  # noqa: PLR0917  # as `Reader`, with a path
    path: Path,
    name: str,
    stream: Stream,
    batch_rows: int,
    form: str = "",
    how: Reading = AS_USUAL,
) -> Iterator[Batch]:
    """Read a file.

    Args:
        path: where its content is.
        name: its name, which says its format and its compression.
        stream: the stream it belongs to.
        batch_rows: records in memory at once.
        form: a key of `READERS` that overrides the format of the name.
        how: what the configuration says of such files.

    Raises:
        SourceRefusedError: it cannot be read as what it should be.
    """
    with _opened(path, name, form) as (file, found):
        yield from READERS[found](file, stream, batch_rows, how)


@contextmanager
def _opened(path: Path, name: str, form: str) -> Iterator[tuple[BinaryIO, str]]:
    """Open the content of a file, and say its format."""
    endings = Endings.of(name)
    form = form or endings.format
    if not endings.compression:
        with path.open("rb") as file:
            yield file, form
        return
    member = ""
    if endings.compression == ".zip":
        member = member_of(path, name, () if form else READERS)
        form = form or PurePosixPath(member).suffix.lower()
    with decompressed(
        path, endings.compression, name, member=member, spill=form in _JUMPING
    ) as file:
        yield file, form
