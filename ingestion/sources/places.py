"""Places: where files are. A folder here; storage elsewhere is in `remote`."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from crmhouse.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    Facts = Mapping[str, Any]

_NUMBERS = re.compile(r"(\d+)")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_WILDCARD = re.compile(r"[*?\[]")


class File(NamedTuple):
    """A file that was found.

    Attributes:
        name: its path below the place, with slashes.
        facts: what the place says of it, such as size and time; None where it was not asked yet.
    """

    name: str
    facts: Facts | None = None


class Place(Protocol):
    """A folder of files, wherever it is.

    Attributes:
        is_here: whether the files are on this machine.
    """

    is_here: ClassVar[bool]

    @property
    def where(self) -> str:
        """Return the folder as messages call it."""

    @property
    def can_list(self) -> bool:
        """Say whether the place knows which files there are; else they must be named."""

    def missing(self) -> str | None:
        """Say what is wrong with the folder itself, where that can be told."""

    def find(self, globs: Collection[str]) -> list[File]:
        """Return the files that match, in natural order."""

    def facts(self, name: str) -> dict[str, Any]:
        """Return what tells one version of a file from another, without reading it."""

    def decides(self, facts: Facts) -> bool:
        """Say whether files with different facts are to be taken for different."""

    def content(self, name: str) -> AbstractContextManager[Callable[[], Path]]:
        """Give a way to the file's content on this machine; fetched when it is first asked for."""


@dataclass(frozen=True)
class Folder:
    """A folder of this machine."""

    root: Path
    can_list: bool = True
    is_here: ClassVar[bool] = True

    @property
    def where(self) -> str:
        """Return the folder's path."""
        return str(self.root)

    def missing(self) -> str | None:
        """Say that there is no such folder."""
        if self.root.is_dir():
            return None
        return f"The folder {self.root} does not exist. Set the option path to the files."

    def find(self, globs: Collection[str]) -> list[File]:
        """Return the files that match, in natural order."""
        # A link that leads nowhere is no folder: reading it fails aloud, instead of being left out.
        return in_natural_order(
            path.relative_to(self.root).as_posix()
            for glob in globs
            for path in self.root.glob(glob)
            if not path.is_dir()
        )

    def facts(self, name: str) -> dict[str, Any]:
        """Return size and time of a file."""
        status = (self.root / name).stat()
        return {"size": status.st_size, "modified_ns": status.st_mtime_ns}

    def decides(self, facts: Facts) -> bool:  # noqa: ARG002  # the signature of a place
        """Leave it to the content, which is at hand: copying a folder changes all times."""
        return False

    @contextmanager
    def content(self, name: str) -> Iterator[Callable[[], Path]]:
        """Give the path of the file."""
        yield lambda: self.root / name


def place_of(path: str, storage: Mapping[str, Any], base: Path) -> Place:
    """Return the place that an option `path` means.

    Args:
        path: a folder, or a URL.
        storage: options of the file system behind the URL.
        base: where relative paths start.

    Raises:
        ConfigurationError: there is no access to such URLs, or `storage` is not for this one.
    """
    if _URL.match(path) and not path.lower().startswith("file:"):
        # s3fs and all below it take half a second to import: nobody else should wait for them.
        from ingestion.sources.remote import Storage  # noqa: PLC0415

        return Storage.at(path, storage)
    if storage:
        raise ConfigurationError(
            "The option storage is for files behind a URL; leave it out for a folder."
        )
    if path.lower().startswith("file:"):
        path = unquote(urlsplit(path).path)
    return Folder((base / Path(path).expanduser()).resolve())


def in_natural_order(names: Iterable[str]) -> list[File]:
    """Return the files of these names, each once, sorted so that batch_10 comes after batch_2."""
    return [File(name) for name in sorted(set(names), key=natural_key)]


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return what names are sorted by: numbers in them by their value."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _NUMBERS.split(name)]


def is_wildcard(glob: str) -> bool:
    """Say whether a glob is more than the name of one file."""
    return bool(_WILDCARD.search(glob))


def literal_start(glob: str) -> str:
    """Return what every name that matches the glob begins with."""
    return _WILDCARD.split("/".join(PurePosixPath(glob).parts), maxsplit=1)[0]
