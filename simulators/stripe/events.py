"""Events: what has changed, as the objects were then. They are kept for 30 days.

Later batches make events of now. A folder may bring events of its own in `events.jsonl`: they are
of its past, as all its records are, and are kept until 30 days after the newest of them was made.
They are served beside the others; a source that follows the feed from now on does not see them.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulators.stripe.lists import SYSTEM
from simulators.stripe.resources import RESOURCES, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulators.store import Body, Store, Stored

HORIZON_SECONDS = 30 * 24 * 3600
_SECOND = 1000


@dataclass
class Events:
    """Makes events of the changes that later batches bring.

    Attributes:
        store: where they are kept, as records of `events`.
        version: of the API, that objects are shown in.
        began: the second from which on events are made here; older ones are a folder's own.
        expired_until: events up to this second are gone.
    """

    store: Store
    version: str
    expired_until: int = 0
    began: int = field(default_factory=lambda: int(time.time()))
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def changed(self, object_: str, before: Stored | None, after: Stored) -> None:
        """Make the event of a change, if there is one."""
        resource = RESOURCES.get(object_)
        if resource is None or not resource.tells or (before and before.body == after.body):
            return
        ended = after.deleted or (
            object_ == "subscriptions" and _has_ended(after) and not (before and _has_ended(before))
        )
        verb = "created" if before is None else "deleted" if ended else "updated"
        body = {**before.body, **after.body} if before and after.deleted else after.body
        data: Body = {"object": shown(resource, body)}
        if before and verb == "updated":
            data["previous_attributes"] = _previous(before.body, after.body)
        self.add(f"{resource.prefix}.{verb}", data)

    def add(self, kind: str, data: Body) -> str:
        """Add an event of now; return its id."""
        id_ = f"evt_1{next(self._numbers):023d}"
        event = {
            "id": id_,
            "object": "event",
            "api_version": self.version,
            "created": int(time.time()),
            "data": data,
            "livemode": bool(data["object"].get("livemode", False)),
            "pending_webhooks": 0,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        self.store.put(SYSTEM, "events", [event])
        return id_

    def expire(self) -> None:
        """Let all that has happened be longer ago than events are kept."""
        self.expired_until = int(time.time())

    @property
    def kept(self) -> tuple[str, list[int]]:
        """Return the condition, and its values, of the events that are still there."""
        made = max(self.began, int(time.time()) - HORIZON_SECONDS)
        newest = self.store.select(
            SYSTEM, "events", "created < ?", [self.began * _SECOND],
            order="created desc", limit=1,
        )  # fmt: skip
        own = newest[0].created // _SECOND - HORIZON_SECONDS if newest else self.began
        values = [self.expired_until, made, own, self.began]
        where = "created > ? and (created >= ? or (created >= ? and created < ?))"
        return where, [value * _SECOND for value in values]


def _has_ended(record: Stored) -> bool:
    return record.body.get("status") == "canceled"


def _previous(before: Body, after: Body) -> dict[str, Any]:
    names = dict.fromkeys([*before, *after])
    return {name: before.get(name) for name in names if before.get(name) != after.get(name)}
