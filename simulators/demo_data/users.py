"""Salesforce: the users who own accounts, opportunities and leads; some have left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.demo_data.chance import between, stream
from simulators.demo_data.clock import salesforce_time
from simulators.demo_data.people import plain
from simulators.demo_data.salesforce import invent_owners
from simulators.demo_data.words import CULTURES

if TYPE_CHECKING:
    from datetime import datetime

    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.records import Row


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who sells. What one who has left owns stays theirs.

    Attributes:
        left_at: When the user was made inactive, if ever.
    """

    source_id: str
    name: str
    email: str
    created_at: datetime
    left_at: datetime | None

    def is_active(self, at: datetime) -> bool:
        """Whether the user is active at the instant."""
        return self.left_at is None or self.left_at >= at


def invent_users(seed: int, timeline: Timeline) -> list[User]:
    """One user for every owner; one leaves before the first delivery, one after it."""
    rng = stream(seed, "salesforce users")
    owners = invent_owners(seed)
    middle = timeline.begins + (timeline.end_batch_1 - timeline.begins) / 2
    before, after = rng.sample(owners, 2)
    leaves = {
        before: between(rng, middle, timeline.end_batch_1),
        after: between(rng, timeline.end_batch_1, timeline.end_batch_2),
    }
    users = []
    for number, owner in enumerate(owners, start=1):
        culture = rng.choice(CULTURES)
        first = rng.choice(culture.first)
        last = f"{rng.choice(culture.stems)}{rng.choice(culture.endings)}"
        users.append(
            User(
                source_id=owner,
                name=f"{first} {last}",
                email=f"{plain(first)}.{plain(last)}.{number}@seller.example",
                created_at=timeline.begins,
                left_at=leaves.get(owner),
            )
        )
    return users


def user_row(user: User, at: datetime) -> tuple[datetime, Row]:
    """The user as `User.csv` shows it at the instant, with its version."""
    is_active = user.is_active(at)
    changed_at = user.created_at if is_active or user.left_at is None else user.left_at
    return changed_at, {
        "Id": user.source_id,
        "Username": user.email,
        "Name": user.name,
        "Email": user.email,
        "IsActive": "true" if is_active else "false",
        "CreatedDate": salesforce_time(user.created_at),
        "SystemModstamp": salesforce_time(changed_at),
    }
