"""The records of one type of objects: by list, by search, and by their ids."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from ingestion.readers.json_lines import batches_of
from ingestion.sources.hubspot.crm import (
    BATCH,
    BATCH_WITH_HISTORY,
    PAGE,
    SEARCH_PAGE,
    Steps,
    are_too_long,
    record,
)
from ingestion.sources.hubspot.shared import Shared
from ingestion.sources.hubspot.streams import cursor_of
from ingestion.sources.hubspot.windows import Searches
from ingestion.streams import ColumnType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ingestion.batches import Batch
    from ingestion.sources.hubspot.crm import Crm, Record
    from ingestion.sources.hubspot.options import HubSpotOptions
    from ingestion.sources.hubspot.windows import Found
    from ingestion.streams import Stream


@dataclass
class Reading:
    """How far a list has been read.

    Attributes:
        after: where the next page begins; None after the last one, and before the first.
        newest: the newest time of change, in milliseconds.
        merged: the ids that were merged into others, with the version of these.
    """

    after: str | None = None
    newest: int = 0
    merged: dict[str, str] = field(default_factory=dict)

    def note(self, one: Record) -> None:
        """Take notice of a record."""
        self.newest = max(self.newest, one.changed)
        if one.updated_at:
            self.merged.update(dict.fromkeys(one.merged, one.updated_at))


@dataclass(frozen=True)
class Records:
    """The records of a stream.

    Attributes:
        crm: is asked.
        stream: of a type of objects.
        options: as configured.
        batch_rows: records in memory at once.
        shared: what other streams need not ask for again.
    """

    crm: Crm
    stream: Stream
    options: HubSpotOptions
    batch_rows: int
    shared: Shared = field(default_factory=Shared)

    @cached_property
    def properties(self) -> list[str]:
        """Return the names of all properties."""
        return self.crm.property_names(self.stream.object)

    @property
    def history(self) -> Sequence[str]:
        """Return the properties that are read with their history."""
        return self.options.properties_with_history.get(self.stream.object, ())

    @property
    def types(self) -> Mapping[str, ColumnType]:
        """Return the types of the fields: what a property is, HubSpot's text says in staging."""
        return {f"properties.{name}": ColumnType.TEXT for name in self.properties}

    @cached_property
    def searches(self) -> Searches:
        """Return the searches; they have no history, and then only tell the ids."""
        shown = [cursor_of(self.stream.object)] if self.history else self.properties
        return Searches(self.crm, self.stream.object, shown, self.options.window_rows)

    @property
    def _is_in_two_steps(self) -> bool:
        """Say whether a list can only tell ids, and the properties have to be read after it."""
        return bool(self.history) or are_too_long(self.properties)

    @property
    def lists_faster(self) -> bool:
        """Say whether all records take less time by list than by search, as often as each may ask.

        A list gives fewer records at once, but may be asked more often, and never lags behind.
        """
        per_second = self.options.requests_per_10_seconds / 10
        by_id = 1 / (BATCH_WITH_HISTORY if self.history else BATCH) / per_second
        by_list = 1 / PAGE / per_second + by_id * self._is_in_two_steps
        by_search = 1 / SEARCH_PAGE / self.options.searches_per_second + by_id * bool(self.history)
        return by_list <= by_search

    def found(self, found: Found) -> list[Record]:
        """Return the records of a window, all of them."""
        ids = self.searches.everything(found)
        if not self.history:
            return [*ids.values()]
        raws = self.crm.read(self.stream.object, ids, self.properties, self.history)
        return [record(self.stream.object, raw) for raw in raws]

    def listed(
        self,
        reading: Reading,
        *,
        archived: bool = False,
        most: int | None = None,
        only_ids: bool = False,
    ) -> Iterator[bytes]:
        """Yield the records of the list, from where it was left.

        Args:
            reading: where that is; is kept up to date.
            archived: those that are archived, instead of those that are not.
            most: end with the page that reaches so many.
            only_ids: of the properties only the time of change.
        """
        object_, count = self.stream.object, 0
        steps = Steps(object_)
        few = [cursor_of(object_)]
        shown = few if only_ids or self._is_in_two_steps else self.properties
        while True:
            page = self.crm.page(object_, shown, after=reading.after, archived=archived)
            raws = page.results
            if self._is_in_two_steps and not only_ids:
                ids = [record(object_, raw).id for raw in raws]
                raws = [*self.crm.read(
                    object_, ids, self.properties, self.history, archived=archived
                )]  # fmt: skip
            ids = []
            for raw in raws:
                one = record(object_, raw)
                reading.note(one)
                ids.append(one.id)
                yield one.text
            count += len(page.results)
            if not archived:
                self.shared.listed(object_, (reading.after, page.after), ids, reading.newest)
            reading.after = steps.next(reading.after, page.after)
            if reading.after is None or (most and count >= most):
                return

    def ids(self) -> Iterator[bytes]:
        """Yield the ids of all records, archived ones included, each as a record of its own."""
        for archived in (False, True):
            for text in self.listed(Reading(), archived=archived, only_ids=True):
                yield bare_id(text)

    def batches(self, texts: Iterable[bytes]) -> Iterator[Batch]:
        """Make batches of records."""
        return batches_of(texts, self.stream, self.batch_rows, "record")


class _Id(msgspec.Struct):
    id: str


def bare_id(text: bytes) -> bytes:
    """Return a record that has nothing but the id of this one."""
    return msgspec.json.encode(msgspec.json.decode(text, type=_Id))
