"""What is landed of a type of objects: the first load, changes, archived and vanished records.

Checkpoints of a stream, by slice:

    load         how far the list of the first load has been read, and whether it was to its end
    changes      the newest change that has landed, in milliseconds since 1970
    merged       ids that were merged into others: those to be marked, and those that are
    archived     when the list of archived records was read last
    deletions    when all ids were read last
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ingestion.slices import Slice
from ingestion.sources.hubspot.records import Reading
from ingestion.sources.hubspot.shared import Changes
from ingestion.sources.hubspot.windows import Window
from ingestion.sources.schedule import is_due, read_now

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from ingestion.batches import Batch
    from ingestion.sources.hubspot.crm import Record
    from ingestion.sources.hubspot.records import Records

    Landed = Mapping[str, Mapping[str, Any]]

LOAD, CHANGES, MERGED = "load", "changes", "merged"
ARCHIVED, DELETIONS = "archived", "deletions"
_MARGIN_MILLISECONDS = 1000  # what is changed at this moment is left to the next sync


@dataclass
class ObjectSlices:
    """Offers the slices of one type of objects.

    Attributes:
        records: of the type.
        landed: the checkpoints; kept up to date while slices land, but for those that come `also`.
    """

    records: Records
    landed: Landed
    began: int = field(default_factory=lambda: now() - _MARGIN_MILLISECONDS)

    def new(self) -> Generator[Slice]:
        """Yield what has to be landed, in order."""
        is_loaded = self.landed.get(LOAD, {}).get("done") or CHANGES in self.landed
        if not is_loaded and (LOAD in self.landed or self.records.lists_faster):
            yield from self._load()
        else:
            yield from self._changes()
        options = self.records.options
        if is_due(self.landed.get(ARCHIVED), options.archived_every_hours):
            yield self._archived()
        if is_loaded and is_due(self.landed.get(DELETIONS), options.sweep_every_hours):
            yield self._deletions()

    def everything(self) -> Slice:
        """Return the slice of all records, archived ones included."""
        reading = Reading()

        def read() -> Iterator[Batch]:
            def texts() -> Iterator[bytes]:
                reading.after, reading.newest = None, 0
                yield from self.records.listed(reading)
                yield from self.records.listed(Reading(), archived=True)

            return self.records.batches(texts())

        def also() -> Landed:
            return {
                LOAD: {"done": True}, ARCHIVED: read_now(), DELETIONS: read_now(),
                MERGED: {"pending": {}, "done": sorted(reading.merged)},
            }  # fmt: skip

        return Slice(
            CHANGES, read, lambda: {"cursor": min(reading.newest, self.began)},
            holds="all", types=self.records.types, also=also,
        )  # fmt: skip

    def window(self, start: datetime, end: datetime) -> Generator[Slice]:
        """Yield slices with the records that changed in this time."""
        low, high = (round(when.timestamp() * 1000) for when in (start, end))
        for found in self.records.searches.within(Window(low, high)):
            records = self.records.found(found)
            if records:
                yield self._slice(_name(found.window), records, {"landed": True})

    def _load(self) -> Generator[Slice]:
        """Yield the slices of the first load; the last one says where changes are read from."""
        while not (before := self.landed.get(LOAD, {})).get("done"):
            began = before.get("began", self.began)
            yield self._load_slice(Reading(), before, began)

    def _load_slice(self, reading: Reading, before: Mapping[str, Any], began: int) -> Slice:
        def read() -> Iterator[Batch]:
            reading.after, reading.newest = before.get("after"), before.get("newest", 0)
            most = self.records.options.slice_rows
            return self.records.batches(self.records.listed(reading, most=most))

        def checkpoint() -> Mapping[str, Any]:
            return {
                "after": reading.after, "newest": reading.newest, "began": began,
                "done": reading.after is None,
            }  # fmt: skip

        def also() -> Landed:
            if reading.after is not None:
                return {}
            cursor = {"cursor": min(reading.newest, began)}
            return {CHANGES: cursor, DELETIONS: read_now()}

        return Slice(LOAD, read, checkpoint, is_first=True, types=self.records.types, also=also)

    def _changes(self) -> Generator[Slice]:
        cursor = self.landed.get(CHANGES, {}).get("cursor", 0)
        pending = dict(self.landed.get(MERGED, {}).get("pending", {}))
        done = set(self.landed.get(MERGED, {}).get("done", ()))
        low = max(0, cursor - round(self.records.options.lookback * 1000))
        seen: set[str] = set()
        # What is deleted while the windows of a first load land, the next sweep finds.
        first = {} if CHANGES in self.landed else {DELETIONS: read_now()}
        if low < self.began:
            for found in self.records.searches.within(Window(low, self.began)):
                records = self.records.found(found)
                self._share(found.window, low, records)
                if not records:
                    continue
                reading = Reading(newest=cursor)
                for one in records:
                    reading.note(one)
                cursor = reading.newest
                seen |= reading.merged.keys()
                pending |= {k: v for k, v in reading.merged.items() if k not in done}
                also: Landed = {MERGED: {"pending": dict(pending), "done": sorted(done)}}
                yield self._slice(
                    CHANGES, records, {"cursor": cursor}, {**first, **(also if pending else {})}
                )
        if pending:
            yield self._merged(pending, sorted(seen | pending.keys()))

    def _share(self, window: Window, low: int, records: list[Record]) -> None:
        """Tell the associations what has changed, if it is all in one window."""
        if window == Window(low, self.began):
            newest = max((one.changed for one in records), default=0)
            found = Changes(low, [one.id for one in records], newest)
            self.records.shared.changes[self.records.stream.object] = found

    def _merged(self, pending: Mapping[str, str], done: list[str]) -> Slice:
        """Return the slice that marks merged records as archived: they are in no list any more.

        The version is that of the record that they were merged into, which is newer.
        """
        texts = [
            msgspec.json.encode(
                {"id": id_, "archived": True, "updatedAt": when, "archivedAt": when}
            )
            for id_, when in pending.items()
        ]
        return Slice(
            MERGED, lambda: self.records.batches(texts), lambda: {"pending": {}, "done": done},
            reported=len(texts),
        )  # fmt: skip

    def _archived(self) -> Slice:
        return Slice(
            ARCHIVED,
            lambda: self.records.batches(self.records.listed(Reading(), archived=True)),
            read_now,
            types=self.records.types,
        )

    def _deletions(self) -> Slice:
        return Slice(
            DELETIONS, lambda: self.records.batches(self.records.ids()), read_now, holds="keys"
        )

    def _slice(
        self,
        name: str,
        records: list[Record],
        checkpoint: Mapping[str, Any],
        also: Landed | None = None,
    ) -> Slice:
        texts = [one.text for one in records]
        return Slice(
            name, lambda: self.records.batches(texts), lambda: checkpoint, reported=len(texts),
            types=self.records.types, also=lambda: also or {},
        )  # fmt: skip


def now() -> int:
    """Return the time in milliseconds since 1970."""
    return round(time.time() * 1000)


def _name(window: Window) -> str:
    """Name the slice of a window, the same whenever it is cut like this."""
    low, high = (
        datetime.fromtimestamp(one / 1000, UTC).isoformat(timespec="milliseconds")
        for one in (window.low, window.high)
    )
    ids = f", ids {window.ids[0]} to {window.ids[1]}" if window.ids else ""
    return f"{low} to {high}{ids}".replace("+00:00", "Z")
