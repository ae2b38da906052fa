"""Associations of a pair of types, with their labels: a row for each label of each.

Changing an association changes neither of its records, so all are read on a schedule, whether or
not anything else has changed. In between, those of changed records are.

Checkpoints of a stream, by slice:

    all          when all associations were read last
    changes      the newest change of a record whose associations have landed, in milliseconds
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from crmhouse.errors import SourceUnavailableError
from ingestion.readers.json_lines import batches_of
from ingestion.slices import Slice
from ingestion.sources.hubspot.crm import Steps, chunks, record
from ingestion.sources.hubspot.objects import CHANGES, now
from ingestion.sources.hubspot.records import Reading
from ingestion.sources.hubspot.shared import Shared
from ingestion.sources.hubspot.streams import cursor_of
from ingestion.sources.hubspot.windows import Searches, Window
from ingestion.sources.schedule import is_due, read_now

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Iterator, Mapping

    from ingestion.batches import Batch
    from ingestion.sources.hubspot.crm import Crm
    from ingestion.sources.hubspot.options import HubSpotOptions
    from ingestion.streams import Stream

ALL = "all"
_INPUTS = 1000
_NONE = "crm.associations.NO_ASSOCIATIONS_FOUND"
_GONE = "OBJECT_NOT_FOUND"


class _Next(msgspec.Struct):
    after: str


class _Paging(msgspec.Struct):
    next: _Next | None = None


class _From(msgspec.Struct):
    id: str | int


class _Kind(msgspec.Struct, rename="camel"):
    category: str
    type_id: int
    label: str | None = None


class _To(msgspec.Struct, rename="camel"):
    to_object_id: str | int
    association_types: list[_Kind]


class _Result(msgspec.Struct, rename={"from_": "from"}):
    from_: _From
    to: list[_To]
    paging: _Paging | None = None


class _Error(msgspec.Struct, rename="camel"):
    category: str = ""
    sub_category: Any = None


class _Answer(msgspec.Struct):
    results: list[_Result]
    errors: list[_Error] = msgspec.field(default_factory=list)


class _Edge(msgspec.Struct, rename="camel"):
    from_id: str
    to_id: str
    category: str
    type_id: int
    label: str | None


@dataclass(frozen=True)
class EdgeSlices:
    """Offers the slices of the associations of one pair of types.

    Attributes:
        crm: is asked.
        stream: its object names the pair.
        options: as configured.
        batch_rows: records in memory at once.
        shared: what the streams of the records have learnt in this sync.
        began: what has changed later is left to the next sync, in milliseconds since 1970.
    """

    crm: Crm
    stream: Stream
    options: HubSpotOptions
    batch_rows: int
    shared: Shared = field(default_factory=Shared)
    began: int = field(default_factory=now)

    @property
    def _one(self) -> str:
        return self.stream.object.split("/")[0]

    def new(self, landed: Mapping[str, Mapping[str, Any]]) -> Generator[Slice]:
        """Yield what has to be landed: all associations, or those of changed records."""
        if is_due(landed.get(ALL), self.options.associations_every_hours):
            yield self.everything()
        else:
            yield from self._changes(landed.get(CHANGES, {}).get("cursor", 0))

    def everything(self) -> Slice:
        """Return the slice of all associations: those that it does not have were taken away."""
        listing = self.shared.listings.get(self._one)
        reading = Reading(newest=listing.newest if listing else 0)
        began = listing.began if listing else self.began

        def read() -> Iterator[Batch]:
            if listing:
                return self._batches(self._of(map(str, listing.ids)))
            reading.newest = 0
            return self._batches(self._of(self._ids(reading)))

        return Slice(
            ALL,
            read,
            read_now,
            holds="all",
            also=lambda: {CHANGES: {"cursor": min(reading.newest, began)}},
        )

    def _changes(self, cursor: int) -> Generator[Slice]:
        low = max(0, cursor - round(self.options.lookback * 1000))
        known = self.shared.changes.get(self._one)
        if known and known.low == low:
            yield from self._of_changed(known.ids, max(cursor, known.newest))
            return
        searches = Searches(self.crm, self._one, [cursor_of(self._one)], self.options.window_rows)
        for found in searches.within(Window(low, self.began)) if low < self.began else ():
            records = searches.everything(found)
            cursor = max([cursor, *(one.changed for one in records.values())])
            yield from self._of_changed(records, cursor)

    def _of_changed(self, ids: Collection[str], cursor: int) -> Generator[Slice]:
        """Yield the slice of the associations of changed records, if there are any."""
        if not ids:
            return
        edges = [*self._of(ids)]
        yield Slice(
            CHANGES, lambda: self._batches(edges), lambda: {"cursor": cursor}, reported=len(edges)
        )

    def _batches(self, texts: Iterable[bytes]) -> Iterator[Batch]:
        return batches_of(texts, self.stream, self.batch_rows, "association")

    def _ids(self, reading: Reading) -> Iterator[str]:
        """Yield the ids of all records that are not archived."""
        after: str | None = None
        steps = Steps(self._one)
        while True:
            page = self.crm.page(self._one, [cursor_of(self._one)], after=after)
            for raw in page.results:
                one = record(self._one, raw)
                reading.note(one)
                yield one.id
            if (after := steps.next(after, page.after)) is None:
                return

    def _of(self, ids: Iterable[str]) -> Iterator[bytes]:
        """Yield the associations of these records; those with many of them in several steps."""
        for some in chunks(ids, _INPUTS):
            inputs = [{"id": id_} for id_ in dict.fromkeys(some)]
            while inputs:
                answer = self._read(inputs)
                inputs = []
                for result in answer.results:
                    id_ = str(result.from_.id)
                    yield from _edges(id_, result.to)
                    if result.paging and result.paging.next:
                        inputs.append({"id": id_, "after": result.paging.next.after})

    def _read(self, inputs: list[dict[str, str]]) -> _Answer:
        answer = self.crm.api.json(
            "POST", f"crm/v4/associations/{self.stream.object}/batch/read", _Answer,
            json={"inputs": inputs},
        )  # fmt: skip
        bad = [
            error
            for error in answer.errors
            if error.sub_category != _NONE and error.category != _GONE
        ]
        if bad:
            raise SourceUnavailableError(
                f"{self.stream.name}: HubSpot could not read the associations of {len(bad)} of "
                f"{len(inputs)} records ({bad[0].category}). Nothing was landed; sync again."
            )
        return answer


def _edges(id_: str, ends: list[_To]) -> Iterator[bytes]:
    for end in ends:
        for kind in end.association_types:
            edge = _Edge(id_, str(end.to_object_id), kind.category, kind.type_id, kind.label)
            yield msgspec.json.encode(edge)
