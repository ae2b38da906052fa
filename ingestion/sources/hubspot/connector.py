"""HubSpot over its API: objects, their associations, owners and pipelines."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from crmhouse.errors import ConfigurationError, SourceError, SourceRefusedError
from ingestion.http import IMPATIENT
from ingestion.readers.json_lines import batches_of
from ingestion.slices import Slice
from ingestion.sources.connector import ByOneProcess, always
from ingestion.sources.hubspot.account import Account
from ingestion.sources.hubspot.crm import Crm
from ingestion.sources.hubspot.edges import ALL, EdgeSlices
from ingestion.sources.hubspot.objects import ObjectSlices
from ingestion.sources.hubspot.options import HubSpotOptions
from ingestion.sources.hubspot.records import Records
from ingestion.sources.hubspot.shared import Shared
from ingestion.sources.hubspot.streams import OWNERS, PIPELINES, edge_stream, of_object
from ingestion.sources.schedule import read_now

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Mapping
    from datetime import datetime

    from ingestion.sources.connector import Claim, Given
    from ingestion.streams import Stream

_OF_ONE_STREAM = ("answered 400", "answered 403", "answered 404 ")  # another host has no category
_WITH_PIPELINES = ("deals", "tickets")


@dataclass(frozen=True)
class HubSpotConnector(ByOneProcess):
    """Reads one HubSpot account.

    Attributes:
        account: which one.
        options: as configured.
        batch_rows: records in memory at once.
        chosen: names of the streams that are synced; all of them when None.
    """

    account: Account
    options: HubSpotOptions
    batch_rows: int
    chosen: frozenset[str] | None = None
    _shared: Shared = field(default_factory=Shared, repr=False)

    system = "hubspot"

    @cached_property
    def _objects(self) -> tuple[str, ...]:
        if not self.options.custom_objects:
            return tuple(dict.fromkeys(self.options.objects))
        with self._crm() as crm:
            return tuple(dict.fromkeys([*self.options.objects, *crm.custom_objects()]))

    @cached_property
    def _streams(self) -> tuple[Stream, ...]:
        objects = self._objects
        pairs = [
            pair for pair in dict.fromkeys(self.options.associations)
            if {*pair.split("/")} <= {*objects}
        ]  # fmt: skip
        pipelines = (PIPELINES,) if {*_WITH_PIPELINES} & {*objects} else ()
        return (*map(of_object, objects), OWNERS, *pipelines, *map(edge_stream, pairs))

    def only(self, streams: Collection[str]) -> HubSpotConnector:
        """Return this connector, restricted to these streams."""
        return replace(self, chosen=frozenset(streams))

    def streams(self) -> tuple[Stream, ...]:
        """Return the streams: objects first, then what ties them together.

        Raises:
            SourceError: HubSpot does not tell its custom objects.
        """
        chosen = self.chosen
        return tuple(one for one in self._streams if chosen is None or one.name in chosen)

    def check(self) -> list[str]:
        """Say what keeps the account from being read; nothing when all is well."""
        found: list[str] = []
        hurried = replace(self, account=replace(self.account, patience=IMPATIENT))
        try:
            streams = hurried.streams()
            with hurried.account.api() as api:
                crm = Crm(api)
                for stream in streams:
                    try:
                        self._touch(crm, stream)
                    except SourceRefusedError as error:
                        found.append(str(error))
                        if not any(status in str(error) for status in _OF_ONE_STREAM):
                            break  # the others will not be answered, either
        except SourceError as error:
            found.append(str(error))
        return [*dict.fromkeys(found)]

    def _touch(self, crm: Crm, stream: Stream) -> None:
        """Ask for the least that the stream needs."""
        if stream.name == OWNERS.name:
            next(crm.owners(archived=False), None)
        elif stream.name == PIPELINES.name:
            for object_ in self._with_pipelines:
                crm.pipelines(object_)
        elif "/" in stream.object:
            crm.api.send("GET", f"crm/v4/associations/{stream.object}/labels")
        else:
            crm.property_names(stream.object)
            crm.page(stream.object, (), limit=1)

    def slices(
        self,
        stream: Stream,
        landed: Mapping[str, Mapping[str, Any]],
        claim: Claim = always,  # noqa: ARG002  # pages follow each other: one process reads them
    ) -> Generator[Slice]:
        """Yield what is to be landed, in order.

        Args:
            stream: one of this connector's.
            landed: the checkpoints of the stream, by slice; kept up to date while slices land.
            claim: not used.
        """
        if stream.snapshot:
            yield from self.everything(stream)
            return
        with self._crm() as crm:
            if "/" in stream.object:
                yield from self._edges(crm, stream).new(landed)
            else:
                yield from ObjectSlices(self._records(crm, stream), landed).new()

    def everything(self, stream: Stream) -> Generator[Slice]:
        """Yield one slice with all records of the stream."""
        with self._crm() as crm:
            if stream.snapshot:
                yield self._snapshot(crm, stream)
            elif "/" in stream.object:
                yield self._edges(crm, stream).everything()
            else:
                yield ObjectSlices(self._records(crm, stream), {}).everything()

    def window(self, stream: Stream, start: datetime, end: datetime) -> Generator[Slice]:
        """Yield slices with the records that changed in `start` <= time < `end`.

        Raises:
            ConfigurationError: owners, pipelines and associations have no time of change.
        """
        if reason := self.no_window(stream):
            raise ConfigurationError(reason)
        with self._crm() as crm:
            yield from ObjectSlices(self._records(crm, stream), {}).window(start, end)

    def no_window(self, stream: Stream) -> str | None:
        """Say why a stream cannot be read by a window of time; None where it can."""
        if stream.version is not None:
            return None
        return (
            f"Source {self.account.name}, stream {stream.name}: it cannot be read by a window "
            "of time, for HubSpot does not tell when it has changed."
        )

    @property
    def _with_pipelines(self) -> list[str]:
        return [object_ for object_ in _WITH_PIPELINES if object_ in self._objects]

    def _snapshot(self, crm: Crm, stream: Stream) -> Slice:
        def texts() -> Iterator[bytes]:
            if stream.name == OWNERS.name:
                yield from crm.owners(archived=False)
                yield from crm.owners(archived=True)
                return
            for object_ in self._with_pipelines:
                yield from crm.pipelines(object_)

        return Slice(
            ALL, lambda: batches_of(texts(), stream, self.batch_rows, "record"), read_now,
            holds="all",
        )  # fmt: skip

    def _records(self, crm: Crm, stream: Stream) -> Records:
        return Records(crm, stream, self.options, self.batch_rows, self._shared)

    def _edges(self, crm: Crm, stream: Stream) -> EdgeSlices:
        return EdgeSlices(crm, stream, self.options, self.batch_rows, self._shared)

    @contextmanager
    def _crm(self) -> Iterator[Crm]:
        with self.account.api() as api:
            yield Crm(api)


def build(options: Mapping[str, Any], given: Given) -> HubSpotConnector:
    """Make the connector of a source of the kind `hubspot`.

    Args:
        options: the configured options, checked against `HubSpotOptions`.
        given: what it gets beside them.
    """
    checked = HubSpotOptions.model_validate(options)
    return HubSpotConnector(Account(given.name, checked), checked, given.batch_rows)
