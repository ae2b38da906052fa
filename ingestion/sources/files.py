"""Files: CSV, JSON Lines and Parquet, each file once, again when it has changed.

What was landed is remembered per file (size, time, hash). Of records that are equally new, or that
have no version at all, the one read last is the current one; so where a file has changed, the files
that sort after it are read again too, in order.
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from crmhouse.errors import ConfigurationError, SourceRefusedError, SourceUnavailableError
from ingestion.landing import Slice
from ingestion.readers import READERS
from ingestion.readers.parquet import rows_of_parquet
from ingestion.streams import Column, ColumnType, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping
    from datetime import datetime

    from ingestion.batches import Batch

logger = logging.getLogger(__name__)

_NUMBERS = re.compile(r"(\d+)")
_TYPE_NAMES = {kind.name.lower(): kind for kind in ColumnType}
_READ_SIZE = 1 << 20


class FileStreamOptions(BaseModel):
    """One stream of a `files` source."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    glob: str = Field(description="Files of the stream, relative to the source's path.")
    key: tuple[str, ...] = Field(min_length=1, description="Columns that identify a record.")
    columns: dict[str, str] = Field(
        default_factory=dict,
        description=f"Types of columns: {', '.join(sorted(_TYPE_NAMES))}. Undeclared columns of a "
        "CSV file are text.",
    )
    version: str | None = Field(
        default=None, description="Column with the time of a record's last change."
    )

    @field_validator("glob")
    @classmethod
    def _below_the_path(cls, glob: str) -> str:
        parts = PurePath(glob).parts
        if not parts or PurePath(glob).is_absolute() or ".." in parts:
            raise ValueError("it must be relative, not empty, and without ..")
        if any("**" in part and part != "**" for part in parts):
            raise ValueError("** must stand alone between two slashes")
        return glob


class FilesOptions(BaseModel):
    """Options of the kind `files`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path = Field(
        description="Folder of the files; a relative path starts at the configuration file's."
    )
    streams: dict[str, FileStreamOptions] = Field(
        min_length=1, description="The streams, by the name of their raw table."
    )


@dataclass(frozen=True)
class FileStream:
    """A stream and the files that hold its records, in the order in which they are read.

    Attributes:
        stream: the declaration.
        find: returns the files that exist at the moment.
        where: the place that is searched, for messages.
    """

    stream: Stream
    find: Callable[[], list[Path]]
    where: str


@dataclass(frozen=True)
class FilesConnector:
    """Reads streams from files below one folder.

    Attributes:
        system: the kind of system the files come from.
        root: the folder; the slices are named by the files' paths below it.
        files: the streams.
        batch_rows: records in memory at once.
    """

    system: str
    root: Path
    files: tuple[FileStream, ...]
    batch_rows: int

    def only(self, streams: Collection[str]) -> FilesConnector:
        """Return this connector, restricted to these streams."""
        return replace(self, files=tuple(e for e in self.files if e.stream.name in streams))

    def streams(self) -> tuple[Stream, ...]:
        """Return the streams, in the order in which they are synced."""
        return tuple(entry.stream for entry in self.files)

    def check(self) -> list[str]:
        """Say what keeps the files from being read; nothing when all is well."""
        if not self.root.is_dir():
            return [f"The folder {self.root} does not exist. Set the option path to the files."]
        problems = []
        for entry in self.files:
            found = entry.find()
            if not found:
                problems.append(
                    f"No file for stream {entry.stream.name}: looked for {entry.where}."
                )
            problems += [
                f"{file} has no known format; known are {', '.join(sorted(READERS))}."
                for file in found
                if file.suffix not in READERS
            ]
        return problems

    def slices(self, stream: Stream, landed: Mapping[str, Mapping[str, Any]]) -> Generator[Slice]:
        """Yield a slice for each file that has not been landed as it is now.

        Args:
            stream: one of this connector's.
            landed: the checkpoints of the stream, by slice.

        Raises:
            SourceRefusedError: the folder is gone, or a file has an unknown format.
        """
        if not self.root.is_dir():
            raise SourceRefusedError(
                f"The folder {self.root} does not exist. Set the option path to the files."
            )
        entry = next(entry for entry in self.files if entry.stream is stream)
        current: set[str] = set()
        again = False
        found = entry.find()
        if not found:
            logger.warning("No file for stream %s: looked for %s.", stream.name, entry.where)
        for path in found:
            name = path.relative_to(self.root).as_posix()
            if path.suffix not in READERS:
                raise SourceRefusedError(
                    f"{path} has no known format; known are {', '.join(sorted(READERS))}."
                )
            known = landed.get(name)
            if not again and known and _is_unchanged(path, known):
                current.add(name)
                continue
            # All that was landed after this file has the last word: a sync that is cut short must
            # leave it to be read again by the next one, even where it cannot be found just now.
            overtakes = () if again else landed.keys() - current - {name}
            again = True
            yield self._slice(stream, name, path, overtakes)

    def shared(
        self,
        stream: Stream,  # noqa: ARG002
        landed: Mapping[str, Mapping[str, Any]],  # noqa: ARG002
    ) -> Generator[Slice]:
        """Yield nothing: what a file says depends on the files before it."""
        yield from ()

    def everything(self, stream: Stream) -> Generator[Slice]:
        """Yield a slice for each file that there is, in order."""
        yield from self.slices(stream, {})

    def window(self, stream: Stream, start: datetime, end: datetime) -> Generator[Slice]:
        """Refuse to read by time: files are read as a whole.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(
            f"Stream {stream.name} is read from files, which have no windows of time: "
            f"{start:%Y-%m-%d} to {end:%Y-%m-%d} cannot be cut out. Sync with --full-refresh to "
            "read all files again."
        )

    def _slice(self, stream: Stream, name: str, path: Path, overtakes: Collection[str]) -> Slice:
        before = _fingerprint(path)

        def read() -> Iterator[Batch]:
            with path.open("rb") as file:
                yield from READERS[path.suffix](file, stream, self.batch_rows)

        def checkpoint() -> Mapping[str, Any]:
            if _stat(path) != {key: before[key] for key in ("size", "modified_ns")}:
                raise SourceUnavailableError(
                    f"{path} changed while it was read. Nothing of it was landed: sync again."
                )
            return before

        reported = rows_of_parquet(path) if path.suffix == ".parquet" else None
        return Slice(name, read, checkpoint, reported, overtakes)


def build(name: str, options: Mapping[str, Any], base: Path, batch_rows: int) -> FilesConnector:
    """Make the connector of a source of the kind `files`.

    Args:
        name: the source's name, for messages.
        options: the configured options, checked against `FilesOptions`.
        base: where relative paths start.
        batch_rows: records in memory at once.

    Raises:
        ConfigurationError: a column type is unknown or a stream cannot be declared as asked.
    """
    checked = FilesOptions.model_validate(options)
    root = (base / checked.path.expanduser()).resolve()
    return FilesConnector(
        system="files",
        root=root,
        files=tuple(
            FileStream(
                _declare(name, stream_name, stream),
                _matching(root, stream.glob),
                f"{root}/{stream.glob}",
            )
            for stream_name, stream in checked.streams.items()
        ),
        batch_rows=batch_rows,
    )


def in_natural_order(paths: Iterator[Path]) -> list[Path]:
    """Sort paths so that batch_10 comes after batch_2."""
    return sorted(
        paths,
        key=lambda path: [
            (int(part), "") if part.isdigit() else (-1, part)
            for part in _NUMBERS.split(path.as_posix())
        ],
    )


def _matching(root: Path, glob: str) -> Callable[[], list[Path]]:
    # A link that leads nowhere is no folder: reading it fails aloud, instead of being left out.
    return lambda: in_natural_order(path for path in root.glob(glob) if not path.is_dir())


def _declare(source: str, name: str, options: FileStreamOptions) -> Stream:
    types = dict(options.columns)
    for column in options.key:
        types.setdefault(column, "text")
    if options.version:
        types.setdefault(options.version, "timestamptz")
    unknown = sorted({kind for kind in types.values() if kind not in _TYPE_NAMES})
    if unknown:
        raise ConfigurationError(
            f"Source {source}, stream {name}: unknown column type {', '.join(unknown)}. "
            f"Known are {', '.join(sorted(_TYPE_NAMES))}."
        )
    declared = tuple(Column(field, _TYPE_NAMES[kind]) for field, kind in types.items())
    names = {column.field: column.name for column in declared}
    try:
        return Stream(
            name=name,
            object=name,
            key=tuple(names[field] for field in options.key),
            columns=declared,
            version=names[options.version] if options.version else None,
        )
    except ValueError as error:
        raise ConfigurationError(f"Source {source}: {error}.") from None


def _stat(path: Path) -> dict[str, int]:
    status = path.stat()
    return {"size": status.st_size, "modified_ns": status.st_mtime_ns}


def _fingerprint(path: Path) -> dict[str, Any]:
    """Return size, time and hash of a file."""
    status = _stat(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_READ_SIZE):
            digest.update(chunk)
    return {**status, "sha256": digest.hexdigest()}


def _is_unchanged(path: Path, landed: Mapping[str, Any]) -> bool:
    """Compare size and time, and the content only where these differ."""
    status = _stat(path)
    if status["size"] != landed.get("size"):
        return False
    if status["modified_ns"] == landed.get("modified_ns"):
        return True
    return bool(_fingerprint(path)["sha256"] == landed.get("sha256"))
