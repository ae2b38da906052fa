"""Files behind a URL: S3 and whatever speaks its language, and web servers."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, urlsplit

import aiohttp
import fsspec

from crmhouse.errors import ConfigurationError
from ingestion.sources.places import File, literal_start, natural_key
from ingestion.sources.remote_faults import errors_of_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    Facts = Mapping[str, Any]

_SECONDS_TO_CONNECT, _SECONDS_OF_SILENCE = 30, 60
_PROTOCOLS = ("s3", "https", "http")


@dataclass(frozen=True)
class Storage:
    """A folder behind a URL. Files are fetched as a whole into a temporary folder, then read.

    So a file is downloaded once, its reader may jump about in it, and a slow warehouse does not
    keep a connection waiting.

    Attributes:
        where: the URL.
        can_list: whether there are listings; a web server gives none.
    """

    where: str
    can_list: bool
    is_here: ClassVar[bool] = False
    _files: Any = field(repr=False)  # a file system of fsspec, which publishes no types

    @classmethod
    def at(cls, url: str, options: Facts) -> Storage:
        """Return the folder of a URL.

        Raises:
            ConfigurationError: the URL has an unknown protocol, or more than a folder; or the
                options are not those of its file system.
        """
        parts = urlsplit(url)
        protocol = parts.scheme.lower()
        if protocol not in _PROTOCOLS:
            raise ConfigurationError(
                f"The option path has the protocol {parts.scheme}://. Known are a folder, file://, "
                f"{', '.join(f'{name}://' for name in _PROTOCOLS)}."
            )
        if "@" in parts.netloc or parts.query or parts.fragment or not parts.hostname:
            raise ConfigurationError(
                f"The option path must be {protocol}://, a "
                f"{'bucket' if protocol == 's3' else 'host'} and a path, without user, password, "
                "query or fragment. Credentials belong into the environment or into storage."
            )
        where = f"{protocol}://{parts.netloc}{parts.path}".rstrip("/")
        settings = _settings(protocol, options)
        with errors_of_ours(where):
            return cls(where, protocol == "s3", fsspec.filesystem(protocol, **settings))

    def missing(self) -> str | None:
        """Say nothing: there are no folders, only files."""
        return None

    def find(self, globs: Collection[str]) -> list[File]:
        """Return the files that match, in natural order."""
        if not self.can_list:
            return [File(name) for name in globs]
        found: dict[str, File] = {}
        for glob in globs:
            pattern = PurePosixPath(glob).parts
            for name, info in self._listed(literal_start(glob)):
                if _matches(name.split("/"), pattern):
                    found[name] = File(name, _facts(info))
        return [found[name] for name in sorted(found, key=natural_key)]

    def _listed(self, start: str) -> Iterator[tuple[str, Facts]]:
        root = self.where.removeprefix("s3://")
        with errors_of_ours(self.where):
            # One listing of all that is below: a walk from folder to folder would leave out, and
            # not tell of, a folder that cannot be listed.
            infos = self._files.find(root, prefix=start, detail=True)
        for name, info in infos.items():
            if info["type"] == "file":
                yield name.removeprefix(f"{root}/"), info

    def facts(self, name: str) -> dict[str, Any]:
        """Return what the server says of a file: size, time and ETag, as far as it does."""
        url = self._url(name)
        with errors_of_ours(f"{self.where}/{name}"):
            return _facts(self._files.info(url))

    def decides(self, facts: Facts) -> bool:
        """Believe the server, where it says something of the version: reading costs a download."""
        return "etag" in facts or "modified" in facts

    @contextmanager
    def content(self, name: str) -> Iterator[Callable[[], Path]]:
        """Give the path of a copy, which is made when it is first asked for."""
        with ExitStack() as stack:

            @cache
            def copy() -> Path:
                path = Path(stack.enter_context(TemporaryDirectory(prefix="crmhouse_")), "copy")
                # s3fs would otherwise hold many parts of 50 MB in memory at once.
                more = {"max_concurrency": 1} if self.can_list else {}
                with errors_of_ours(f"{self.where}/{name}"):
                    self._files.get_file(self._url(name), str(path), **more)
                return path

            yield copy

    def _url(self, name: str) -> str:
        return f"{self.where}/{name if self.can_list else quote(name)}"


def _settings(protocol: str, options: Facts) -> dict[str, Any]:
    """Add to the options what they leave open."""
    # A listing that is kept would hide a file that has changed.
    if protocol == "s3":
        return {"use_listings_cache": False, **options}
    # Without these, aiohttp gives up after five minutes, however much has arrived, and unpacks
    # what a server declares as packed, so that a file would not be what its name says.
    client = {
        "timeout": aiohttp.ClientTimeout(
            total=None, sock_connect=_SECONDS_TO_CONNECT, sock_read=_SECONDS_OF_SILENCE
        ),
        "trust_env": True,
        "auto_decompress": False,
        **options.get("client_kwargs", {}),
    }
    headers = {"Accept-Encoding": "identity", **options.get("headers", {})}
    known = {"encoded": True, "use_listings_cache": False}
    return {**known, **options, "client_kwargs": client, "headers": headers}


def _facts(info: Facts) -> dict[str, Any]:
    modified = info.get("LastModified") or info.get("Last-Modified")
    if isinstance(modified, datetime):  # to the second: a listing may say more than the file
        modified = modified.astimezone(UTC).isoformat(timespec="seconds")
    facts = {"size": info.get("size"), "etag": info.get("ETag"), "modified": modified}
    return {name: value for name, value in facts.items() if value not in {None, ""}}


def _matches(name: list[str], pattern: tuple[str, ...]) -> bool:
    """Match part by part, as a folder of this machine does; `**` is any number of folders."""
    if not pattern:
        return not name
    if pattern[0] == "**":
        return any(_matches(name[start:], pattern[1:]) for start in range(len(name)))
    return bool(name) and fnmatchcase(name[0], pattern[0]) and _matches(name[1:], pattern[1:])
