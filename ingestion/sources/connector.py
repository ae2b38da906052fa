"""What the sync asks of a source, whatever its kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from crmhouse.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from crmhouse.warehouse import Warehouse
    from ingestion.slices import Slice
    from ingestion.streams import Stream


@dataclass(frozen=True)
class Given:
    """What the connector of a configured source gets beside its options.

    Attributes:
        name: the source's name.
        base: where relative paths start.
        batch_rows: records in memory at once.
        warehouse: opens the warehouse, for what a source has to keep there.
    """

    name: str
    base: Path
    batch_rows: int
    warehouse: Callable[[], AbstractContextManager[Warehouse]]


Claim: TypeAlias = "Callable[[str], bool]"
"""Claims a slice by its name; False where another process lands it, or has landed it."""


def always(name: str) -> bool:  # noqa: ARG001  # the signature of Claim
    """Claim a slice where there is no other process."""
    return True


class ByOneProcess:
    """A connector whose slices follow each other, so that one process reads a stream."""

    def plan(
        self,
        stream: Stream,  # noqa: ARG002  # the signature of Connector
        landed: Mapping[str, Mapping[str, Any]],  # noqa: ARG002
    ) -> Generator[Slice]:
        """Yield nothing: there is nothing to share out."""
        yield from ()

    def load_slices(
        self,
        stream: Stream,  # noqa: ARG002
        landed: Mapping[str, Mapping[str, Any]],  # noqa: ARG002
    ) -> list[str]:
        """Return nothing: there is no slice that another process could land."""
        return []

    def shared(
        self,
        stream: Stream,  # noqa: ARG002
        landed: Mapping[str, Mapping[str, Any]],  # noqa: ARG002
        claim: Claim,  # noqa: ARG002
        names: Collection[str] | None = None,  # noqa: ARG002
    ) -> Generator[Slice]:
        """Yield nothing, for the same reason."""
        yield from ()


class Connector(Protocol):
    """Reads the streams of one configured source."""

    @property
    def system(self) -> str:
        """Return the system whose records it delivers."""

    def only(self, streams: Collection[str]) -> Connector:
        """Return this connector, restricted to these streams."""

    def streams(self) -> tuple[Stream, ...]:
        """Return the streams, in the order in which they are synced."""

    def check(self) -> list[str]:
        """Say what keeps the source from being read; nothing when all is well."""

    def slices(
        self, stream: Stream, landed: Mapping[str, Mapping[str, Any]], claim: Claim = always
    ) -> Generator[Slice]:
        """Yield what has to be landed, one after the other.

        Args:
            stream: one of this connector's.
            landed: the checkpoints of the stream, by slice. Each slice is in it when the next one
                is asked for.
            claim: claims a slice that other processes may land, too.
        """

    def plan(self, stream: Stream, landed: Mapping[str, Mapping[str, Any]]) -> Generator[Slice]:
        """Yield what a first load begins with: its plan, or all of it where it is small."""

    def load_slices(self, stream: Stream, landed: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Name all slices of a first load under way which any process may land, or has landed."""

    def shared(
        self,
        stream: Stream,
        landed: Mapping[str, Mapping[str, Any]],
        claim: Claim,
        names: Collection[str] | None = None,
    ) -> Generator[Slice]:
        """Yield its slices that have not landed, or those that are named, until all have."""

    def everything(self, stream: Stream) -> Generator[Slice]:
        """Yield slices that hold all records of the stream, for a full refresh."""

    def window(self, stream: Stream, start: datetime, end: datetime) -> Generator[Slice]:
        """Yield slices with the records that changed in `start` <= time < `end`.

        Raises:
            ConfigurationError: the stream cannot be read by time; says what `no_window` says.
        """

    def no_window(self, stream: Stream) -> str | None:
        """Say why a stream cannot be read by a window of time; None where it can."""


def choose(reader: Connector, source: str, names: Collection[str] | None) -> list[Stream]:
    """Return the streams of a source that are named, all where none are, in the source's order.

    Raises:
        ConfigurationError: the source has no such stream; says which it has.
        SourceError: the source does not answer.
    """
    offered = reader.streams()
    if unknown := sorted(set(names or ()) - {stream.name for stream in offered}):
        raise ConfigurationError(
            f"Source {source} has no stream {', '.join(unknown)}. "
            f"It has: {', '.join(stream.name for stream in offered)}."
        )
    return [stream for stream in offered if names is None or stream.name in names]
