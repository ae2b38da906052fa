"""Salesforce: tasks and events with leads and contacts, some about an opportunity."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from simulators.demo_data.chance import after_days, between, happens, pick, stream
from simulators.demo_data.clock import salesforce_time
from simulators.demo_data.leads import Lead
from simulators.demo_data.records import grouped
from simulators.demo_data.salesforce import salesforce_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from random import Random

    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.opportunities import Opportunity
    from simulators.demo_data.records import Row
    from simulators.demo_data.salesforce import Contact

_TASKS = ("Call back", "Send an offer", "Send a contract", "Ask for feedback")
_MEETINGS = ("Demonstration", "First meeting", "Negotiation", "Review")
_A_WEEK = timedelta(days=7)


@dataclass(slots=True, kw_only=True)
class Activity:
    """Something to be done with somebody.

    Attributes:
        what_id: The opportunity or account that it is about; blank with a lead.
        planned_at: The day of a task, the beginning of an event.
        done_at: When a task was closed, if ever.
        moved_at: When an event was put off by a week, if ever.
        removed_at: When it was deleted, if ever.
    """

    source_id: str
    who_id: str
    what_id: str
    subject: str
    owner_id: str
    created_at: datetime
    planned_at: datetime
    done_at: datetime | None = None
    moved_at: datetime | None = None
    removed_at: datetime | None = None

    def is_done(self, at: datetime) -> bool:
        """Whether it is visibly closed at the instant."""
        return self.done_at is not None and self.done_at < at

    def is_removed(self, at: datetime) -> bool:
        """Whether the removal is visible at the instant."""
        return self.removed_at is not None and self.removed_at < at

    def begins_at(self, at: datetime) -> datetime:
        """When it is to begin, as it is known at the instant."""
        moved = self.moved_at is not None and self.moved_at < at
        return self.planned_at + _A_WEEK if moved else self.planned_at

    def changed_at(self, at: datetime) -> datetime:
        """The last change that is visible at the instant."""
        changes = (self.created_at, self.done_at, self.moved_at, self.removed_at)
        return max(change for change in changes if change is not None and change < at)


@dataclass(frozen=True, slots=True)
class _People:
    """Those whom activities are with: nobody who is deleted, merged or converted."""

    people: list[Lead | Contact]
    opportunities_of: dict[str, list[Opportunity]]
    timeline: Timeline

    def activities(
        self, rng: Random, prefix: str, subjects: Sequence[str], share: float
    ) -> Iterator[Activity]:
        for person in pick(rng, self.people, share):
            created_at = between(rng, person.created_at, self.timeline.end_batch_2)
            yield Activity(
                source_id=salesforce_id(rng, prefix),
                who_id=person.source_id,
                what_id=self._about(rng, person, created_at),
                subject=rng.choice(subjects),
                owner_id=person.owner_id,
                created_at=created_at,
                planned_at=created_at + timedelta(days=rng.randrange(1, 20)),
            )

    def remove_some(self, rng: Random, activities: Sequence[Activity]) -> None:
        for activity in pick(rng, activities, 0.03):
            earliest = max(activity.created_at, self.timeline.end_batch_1)
            activity.removed_at = between(rng, earliest, self.timeline.end_batch_2)

    def _about(self, rng: Random, person: Lead | Contact, at: datetime) -> str:
        if isinstance(person, Lead) or not person.account_id:
            return ""
        there = [
            opportunity.source_id
            for opportunity in self.opportunities_of.get(person.account_id, ())
            if opportunity.visits[0].entered_at < at and not opportunity.deleted_at
        ]
        return rng.choice(there) if there and happens(rng, 0.6) else person.account_id


def _people(
    leads: Sequence[Lead],
    contacts: Sequence[Contact],
    opportunities: Sequence[Opportunity],
    timeline: Timeline,
) -> _People:
    found = grouped(opportunities, lambda opportunity: opportunity.account.source_id)
    staying: list[Lead | Contact] = [lead for lead in leads if lead.contact is None]
    staying += contacts
    return _People([person for person in staying if person.removed_at is None], found, timeline)


def invent_activities(
    seed: int,
    leads: Sequence[Lead],
    contacts: Sequence[Contact],
    opportunities: Sequence[Opportunity],
    timeline: Timeline,
) -> tuple[list[Activity], list[Activity]]:
    """Tasks, many of them closed, and events, some put off; a few of both deleted."""
    people = _people(leads, contacts, opportunities, timeline)
    rng = stream(seed, "salesforce tasks")
    tasks = list(people.activities(rng, "00T", _TASKS, 0.4))
    for task in tasks:
        if happens(rng, 0.7):
            task.done_at = after_days(rng, task.created_at, 15)
    people.remove_some(rng, tasks)
    rng = stream(seed, "salesforce events")
    events = list(people.activities(rng, "00U", _MEETINGS, 0.2))
    for event in pick(rng, events, 0.1):
        earliest = max(event.created_at, timeline.end_batch_1)
        event.moved_at = between(rng, earliest, timeline.end_batch_2)
    people.remove_some(rng, events)
    return tasks, events


def task_row(task: Activity, at: datetime) -> tuple[datetime, Row] | None:
    """The task as `Task.csv` shows it at the instant, with its version; None: not yet."""
    if task.created_at >= at:
        return None
    done = task.is_done(at)
    return task.changed_at(at), {
        **_common(task, at),
        "Status": "Completed" if done else "Not Started",
        "ActivityDate": task.planned_at.date().isoformat(),
        "IsClosed": "true" if done else "false",
    }


def event_row(event: Activity, at: datetime) -> tuple[datetime, Row] | None:
    """The event as `Event.csv` shows it at the instant, with its version; None: not yet."""
    if event.created_at >= at:
        return None
    begins_at = event.begins_at(at)
    return event.changed_at(at), {
        **_common(event, at),
        "StartDateTime": salesforce_time(begins_at),
        "EndDateTime": salesforce_time(begins_at + timedelta(hours=1)),
    }


def _common(activity: Activity, at: datetime) -> Row:
    return {
        "Id": activity.source_id,
        "WhoId": activity.who_id,
        "WhatId": activity.what_id,
        "Subject": activity.subject,
        "OwnerId": activity.owner_id,
        "CreatedDate": salesforce_time(activity.created_at),
        "SystemModstamp": salesforce_time(activity.changed_at(at)),
        "IsDeleted": "true" if activity.is_removed(at) else "false",
    }
