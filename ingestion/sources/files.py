"""Files: each one once, again when it has changed; of this machine or behind a URL.

What was landed is remembered per file: size and time, and its hash or what its server calls it (the
ETag). Of records that are equally new, or that have no version at all, the one read last is the
current one; so where a file has changed, the files that sort after it are read again too, in order.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from crmhouse.errors import (
    ConfigurationError,
    CrmhouseError,
    SourceRefusedError,
    SourceUnavailableError,
)
from ingestion.readers import KNOWN, Endings, read_file
from ingestion.readers.parquet import rows_of_parquet
from ingestion.readers.reading import AS_USUAL, Reading
from ingestion.slices import Slice
from ingestion.sources.connector import ByOneProcess, always
from ingestion.sources.file_options import FilesOptions, FileStreamOptions, declare
from ingestion.sources.places import is_wildcard, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from ingestion.batches import Batch
    from ingestion.sources.connector import Claim, Given
    from ingestion.sources.places import File, Place
    from ingestion.streams import Stream

    Content = Callable[[], Path]

__all__ = ["FileStream", "FileStreamOptions", "FilesConnector", "FilesOptions", "build"]

logger = logging.getLogger(__name__)

_READ_SIZE = 1 << 20
_HASH = "sha256"
# What tells versions of a file apart, the surest first.
_TELLING = ("etag", "modified_ns", "modified")


@dataclass(frozen=True)
class FileStream:
    """A stream and the files that hold its records, in the order in which they are read.

    Attributes:
        stream: the declaration.
        find: returns the files that exist at the moment.
        where: the place that is searched, for messages.
        form: the format of the files, a key of `READERS`; what their names say where empty.
        how: what the configuration says of reading them.
        is_optional: whether there may be no file at all.
    """

    stream: Stream
    find: Callable[[], list[File]]
    where: str
    form: str = ""
    how: Reading = AS_USUAL
    is_optional: bool = False

    def can_read(self, file: File) -> bool:
        """Say whether there is a reader for the file."""
        return bool(self.form) or Endings.of(file.name).is_readable


@dataclass(frozen=True)
class FilesConnector(ByOneProcess):
    """Reads streams from files below one folder.

    Attributes:
        system: the kind of system the files come from.
        place: the folder; the slices are named by the files' paths below it.
        files: the streams.
        batch_rows: records in memory at once.
    """

    system: str
    place: Place
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
        if missing := self.place.missing():
            return [missing]
        problems: dict[str, None] = {}
        for entry in self.files:
            try:
                problems.update(dict.fromkeys(self._problems(entry)))
            except CrmhouseError as error:
                problems[str(error)] = None
        return list(problems)

    def _problems(self, entry: FileStream) -> Iterator[str]:
        found = entry.find()
        if not found and not entry.is_optional:
            yield f"No file for stream {entry.stream.name}: looked for {entry.where}."
        if not self.place.is_here:
            # Where there is a listing, one file shows whether files may be read at all.
            for file in found[:1] if self.place.can_list else found:
                self.place.facts(file.name)
        yield from (self._unknown(file) for file in found if not entry.can_read(file))

    def _unknown(self, file: File) -> str:
        return f"{self.place.where}/{file.name} has no known format; {KNOWN}. Or set `format`."

    def slices(
        self,
        stream: Stream,
        landed: Mapping[str, Mapping[str, Any]],
        claim: Claim = always,  # noqa: ARG002
    ) -> Generator[Slice]:
        """Yield a slice for each file that has not been landed as it is now.

        Args:
            stream: one of this connector's.
            landed: the checkpoints of the stream, by slice.
            claim: not needed: no other process lands files of the stream.

        Raises:
            SourceRefusedError: the folder is gone, a file has an unknown format, or access is
                refused.
            SourceUnavailableError: the network or a server failed.
        """
        if missing := self.place.missing():
            raise SourceRefusedError(missing)
        entry = next(entry for entry in self.files if entry.stream is stream)
        current: set[str] = set()
        again = False
        found = entry.find()
        if not found and not entry.is_optional:
            logger.warning("No file for stream %s: looked for %s.", stream.name, entry.where)
        for file in found:
            if not entry.can_read(file):
                raise SourceRefusedError(self._unknown(file))
            with self.place.content(file.name) as content:
                known = landed.get(file.name)
                if not again and known and self._is_unchanged(file, content, known):
                    current.add(file.name)
                    continue
                # All that was landed after this file has the last word: a sync that is cut short
                # must leave it to be read again by the next one, even where it cannot be found
                # just now.
                overtakes = () if again else landed.keys() - current - {file.name}
                again = True
                yield self._slice(entry, file.name, content, overtakes)

    def everything(self, stream: Stream) -> Generator[Slice]:
        """Yield a slice for each file that there is, in order."""
        yield from self.slices(stream, {})

    def window(
        self,
        stream: Stream,
        start: datetime,  # noqa: ARG002  # the signature of Connector
        end: datetime,  # noqa: ARG002
    ) -> Generator[Slice]:
        """Refuse to read by time: files are read as a whole.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(self.no_window(stream))

    def no_window(self, stream: Stream) -> str:
        """Say why a stream cannot be read by a window of time."""
        return (
            f"Stream {stream.name} is read from files, which have no windows of time. Sync with "
            "--full-refresh to read all files again."
        )

    def _slice(
        self, entry: FileStream, name: str, content: Content, overtakes: Collection[str]
    ) -> Slice:
        @cache  # as it was before it was read for the first time
        def state() -> Mapping[str, Any]:
            facts = self.place.facts(name)
            return facts if self.place.decides(facts) else {**facts, _HASH: _hash(content())}

        def read() -> Iterator[Batch]:
            state()
            yield from read_file(
                content(), name, entry.stream, self.batch_rows, entry.form, entry.how
            )

        def checkpoint() -> Mapping[str, Any]:
            before = {fact: value for fact, value in state().items() if fact != _HASH}
            if self.place.facts(name) != before:
                raise SourceUnavailableError(
                    f"{self.place.where}/{name} changed while it was read. Nothing of it was "
                    "landed: sync again."
                )
            return state()

        is_plain = Endings.of(name)[1:] == (".parquet", "") and entry.form in {"", ".parquet"}
        reported = rows_of_parquet(content()) if is_plain and self.place.is_here else None
        return Slice(name, read, checkpoint, reported, rereads=True, overtakes=overtakes)

    def _is_unchanged(self, file: File, content: Content, landed: Mapping[str, Any]) -> bool:
        """Compare what is known of a file, and its content only where that says too little."""
        facts = self.place.facts(file.name) if file.facts is None else file.facts
        sizes = {facts.get("size"), landed.get("size")} - {None}
        if len(sizes) > 1:
            return False
        tells = next((fact for fact in _TELLING if fact in facts and fact in landed), None)
        if tells and facts[tells] == landed[tells]:
            return True
        return not self.place.decides(facts) and _hash(content()) == landed.get(_HASH)


def build(options: Mapping[str, Any], given: Given) -> FilesConnector:
    """Make the connector of a source of the kind `files`.

    Args:
        options: the configured options, checked against `FilesOptions`.
        given: what it gets beside them.

    Raises:
        ConfigurationError: the path, a glob or a column type cannot be used as it is.
    """
    checked = FilesOptions.model_validate(options)
    place = place_of(checked.path, checked.storage, given.base)
    if not place.can_list:
        _require_names(given.name, checked)
    return FilesConnector(
        system="files",
        place=place,
        files=tuple(
            FileStream(
                declare(given.name, stream_name, stream),
                partial(place.find, stream.glob),
                ", ".join(f"{place.where}/{glob}" for glob in stream.glob),
                stream.ending,
                stream.reading,
            )
            for stream_name, stream in checked.streams.items()
        ),
        batch_rows=given.batch_rows,
    )


def _require_names(source: str, options: FilesOptions) -> None:
    for name, stream in options.streams.items():
        if any(is_wildcard(glob) for glob in stream.glob):
            raise ConfigurationError(
                f"Source {source}, stream {name}: a web server does not list its files, so the "
                "glob must be the name of a file, or a list of names, without *, ? and [."
            )


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_READ_SIZE):
            digest.update(chunk)
    return digest.hexdigest()
