"""The feed of events: which objects have changed, and which are gone.

An event shows an object as it was then, in the version of the API of then, and events come in no
order: so all that is taken from one is whose it is. The object itself is read again.

Events are asked for without saying of what, once for all streams of a sync.
"""

from __future__ import annotations

import tempfile
import time
import weakref
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from ingestion.sources.stripe.account import Found
from ingestion.sources.stripe.resources import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from ingestion.sources.stripe.account import Account, Mark
    from ingestion.sources.stripe.resources import Resource

PATH = "v1/events"
HORIZON_SECONDS = 30 * 24 * 3600
_MOST_REMEMBERED = 10_000


class _Kind(msgspec.Struct):
    type: str


class _Data(msgspec.Struct):
    object: dict[str, msgspec.Raw]


class _Event(msgspec.Struct):
    type: str
    data: _Data


@dataclass
class Changed:
    """An object that events tell of.

    Attributes:
        created: second of its creation; 0 where it is not known.
        is_new: whether one of them tells of its creation.
        last: the object as the newest of them shows it; None where they show others only.
    """

    created: int = 0
    is_new: bool = False
    last: bytes | None = None


@dataclass
class Events:
    """The events of a window.

    Attributes:
        until: the second up to which they are known.
        marks: of all of them, newest first.
        told: of those that tell of the resource, newest first.
        changed: the objects that the new ones tell of, by id.
    """

    until: int
    marks: list[Mark] = field(default_factory=list)
    told: list[Mark] = field(default_factory=list)
    changed: dict[str, Changed] = field(default_factory=dict)


class _Window:
    """The events of a window; those that tell of any resource in a file: there may be very many."""

    def __init__(self) -> None:
        self.until = 0
        self.marks: list[Mark] = []
        self._kept: list[tuple[Mark, int]] = []
        file = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the feed
        self._file = file
        weakref.finalize(self, file.close)

    def add(self, found: Found) -> None:
        self.marks.append(found.mark)
        if _is_wanted(msgspec.json.decode(found.text, type=_Kind).type):
            self._kept.append((found.mark, len(found.text)))
            self._file.write(found.text)

    def __iter__(self) -> Iterator[Found]:
        self._file.seek(0)
        for mark, size in self._kept:
            yield Found(mark, self._file.read(size))


@dataclass
class Feed:
    """The events of an account; what one stream of a sync has asked for, the others share."""

    _windows: dict[tuple[int, int | None], _Window] = field(default_factory=dict)
    _beginning: tuple[int, Mark | None] | None = None

    def beginning(self, account: Account) -> tuple[int, Mark | None]:
        """Return the second from which on the sync looks at events, and the newest one before."""
        if self._beginning is None:
            began = time.time()
            newest = account.newest(PATH, {})
            self._beginning = account.clock.second(began), newest
        return self._beginning

    def events(
        self,
        account: Account,
        resource: Resource,
        since: int,
        until: int | None,
        known: Collection[str],
    ) -> Events:
        """Return the events of a window.

        Args:
            account: whose.
            resource: what they are to tell of.
            since: first second.
            until: the second after the last one; None for all until now.
            known: ids of events that were dealt with.
        """
        window = self._windows.get((since, until)) or self._read(account, since, until)
        found = Events(window.until, window.marks)
        for mark, text in window:
            event = msgspec.json.decode(text, type=_Event)
            if not _is_of(event.type, resource):
                continue
            found.told.append(mark)
            if mark.id not in known:
                _note(found.changed, resource, event)
        return found

    def _read(self, account: Account, since: int, until: int | None) -> _Window:
        asked: dict[str, Any] = {"created[gte]": since}
        if until is not None:
            asked["created[lt]"] = until
        began, window = time.time(), _Window()
        for page in account.pages(PATH, asked):
            for one in page:
                window.add(one)
        window.until = account.clock.second(began) if until is None else until
        self._windows[since, until] = window
        return window


def kinds(resource: Resource) -> dict[str, Any]:
    """Return the query for the events of a resource."""
    if len(resource.events) == 1:
        return {"type": resource.events[0]}
    return {"types[]": list(resource.events)}


@cache
def _is_wanted(kind: str) -> bool:
    return any(_is_of(kind, resource) for resource in RESOURCES.values())


def _is_of(kind: str, resource: Resource) -> bool:
    return any(
        kind.startswith(one.removesuffix("*")) if one.endswith("*") else kind == one
        for one in resource.events
    )


def remembered(marks: Iterable[Mark], since: int) -> list[str]:
    """Return the ids of the events that the next sync will see again.

    Of very many only the newest: what is read once more does no harm.
    """
    newest = sorted(
        {mark for mark in marks if mark.created >= since}, key=lambda mark: mark.created
    )
    return [mark.id for mark in newest[-_MOST_REMEMBERED:]]


def _note(changed: dict[str, Changed], resource: Resource, event: _Event) -> None:
    shown = event.data.object
    if _text(shown.get("object")) == resource.object:
        id_ = _text(shown.get("id"))
        if id_ is None:  # an invoice that is only foreseen
            return
        one = changed.setdefault(id_, Changed())
        one.created = _number(shown.get("created")) or one.created
        one.is_new |= event.type.endswith(".created")
        one.last = one.last or msgspec.json.encode(shown)
        return
    for id_ in _references(shown.get(resource.object)):
        changed.setdefault(id_, Changed())


def _references(value: msgspec.Raw | None) -> Iterator[str]:
    """Return the id that a field holds, itself or as that of an expanded object."""
    found = msgspec.json.decode(value) if value is not None else None
    if isinstance(found, dict):
        found = found.get("id")
    if isinstance(found, str):
        yield found


def _text(value: msgspec.Raw | None) -> str | None:
    found = msgspec.json.decode(value) if value is not None else None
    return found if isinstance(found, str) else None


def _number(value: msgspec.Raw | None) -> int:
    found = msgspec.json.decode(value) if value is not None else None
    return found if isinstance(found, int) else 0
