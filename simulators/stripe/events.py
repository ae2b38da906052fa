"""Events: what has changed, as the objects were then. They are kept for 30 days."""

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


@dataclass
class Events:
    """Makes events of the changes that later batches bring.

    Attributes:
        store: where they are kept, as records of `events`.
        version: of the API, that objects are shown in.
        expired_until: events up to this second are gone.
    """

    store: Store
    version: str
    expired_until: int = 0
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
    def oldest(self) -> int:
        """Return the first second whose events are still there."""
        return max(int(time.time()) - HORIZON_SECONDS, self.expired_until + 1)


def _has_ended(record: Stored) -> bool:
    return record.body.get("status") == "canceled"


def _previous(before: Body, after: Body) -> dict[str, Any]:
    names = dict.fromkeys([*before, *after])
    return {name: before.get(name) for name in names if before.get(name) != after.get(name)}
