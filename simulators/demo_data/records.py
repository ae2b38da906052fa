"""The traces that a person leaves in one system: a record, sometimes a second one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from simulators.demo_data.chance import after_days, between, happens
from simulators.demo_data.mess import Written, write_person

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from random import Random

    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.people import Person

# One row as the system gives it out: column or field name to value.
Row = dict[str, object]

_DUPLICATES = 0.07
_DAYS_UNTIL_RECORDED = 25


@dataclass(slots=True, kw_only=True)
class PersonRecord:
    """A record about a person in some system; each system adds its own fields.

    Attributes:
        edited_at: When fields of no importance to the truth changed, if ever.
        removed_at: When it was deleted, merged away or archived, if ever.
    """

    source_id: str
    person: Person
    created_at: datetime
    written: Written
    duplicate: bool
    edited_at: datetime | None = None
    removed_at: datetime | None = None

    @property
    def tags(self) -> tuple[str, ...]:
        """What is wrong with the record, for the truth."""
        return (*self.written.tags, "duplicate") if self.duplicate else self.written.tags

    def is_edited(self, at: datetime) -> bool:
        """Whether the edit is visible at the instant."""
        return self.edited_at is not None and self.edited_at < at

    def is_removed(self, at: datetime) -> bool:
        """Whether the removal is visible at the instant."""
        return self.removed_at is not None and self.removed_at < at

    def changed_at(self, at: datetime) -> datetime:
        """The last change that is visible at the instant."""
        changes = (self.created_at, self.edited_at, self.removed_at)
        return max(change for change in changes if change is not None and change < at)


RecordT = TypeVar("RecordT", bound=PersonRecord)
ItemT = TypeVar("ItemT")
KeyT = TypeVar("KeyT")


@dataclass(frozen=True, slots=True)
class Appearance:
    """One occasion on which a system writes a person down."""

    person: Person
    created_at: datetime
    written: Written
    duplicate: bool


def share_by_kind(*, business: float, private: float) -> Callable[[Person], float]:
    """The chance that a system knows a person, by whether the person works for an organisation."""
    return lambda person: business if person.organisation else private


def appearances(
    rng: Random, people: Sequence[Person], timeline: Timeline, share: Callable[[Person], float]
) -> Iterator[Appearance]:
    """Every occasion before the end of the data, person by person, originals before duplicates."""
    for person in people:
        if not happens(rng, share(person)):
            continue
        created_at = after_days(rng, person.first_seen, _DAYS_UNTIL_RECORDED)
        if created_at < timeline.end_batch_2:
            yield Appearance(person, created_at, write_person(rng, person), duplicate=False)
        again_at = after_days(rng, created_at, 4 * _DAYS_UNTIL_RECORDED)
        if happens(rng, _DUPLICATES) and again_at < timeline.end_batch_2:
            yield Appearance(person, again_at, write_person(rng, person), duplicate=True)


def time_in_batch_2(rng: Random, record: PersonRecord, timeline: Timeline) -> datetime:
    """An instant at which only the second delivery can show a change of the record."""
    earliest = max(record.created_at, timeline.end_batch_1)
    return between(rng, earliest, timeline.end_batch_2)


def by_person(records: Sequence[RecordT]) -> dict[int, list[RecordT]]:
    """The records of each person, keyed by the person's number."""
    return grouped(records, lambda record: record.person.number)


def grouped(items: Iterable[ItemT], key: Callable[[ItemT], KeyT]) -> dict[KeyT, list[ItemT]]:
    """The items of each key, in their order."""
    found: dict[KeyT, list[ItemT]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found
