"""HubSpot: calls, e-mails, meetings, notes and tasks with contacts, some about a deal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from simulators.demo_data.chance import after_days, between, happens, pick, stream, weighted
from simulators.demo_data.clock import hubspot_time
from simulators.demo_data.hubspot_companies import hubspot_row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.hubspot import HubspotContact
    from simulators.demo_data.hubspot_companies import HubspotOwner
    from simulators.demo_data.hubspot_deals import Deal
    from simulators.demo_data.records import Row

KINDS = {"calls": 3, "emails": 5, "meetings": 2, "notes": 3, "tasks": 3}
_FIRST_ID = 33_500_000
_SUBJECTS = ("Invitation", "Joint offer", "Newsletter", "Open questions", "Thanks")


@dataclass(slots=True, kw_only=True)
class Engagement:
    """Something that happened with a contact; only a task is done later than it is written down.

    Attributes:
        minutes: How long it took, where that is known.
        done_at: When a task was completed, if ever.
        removed_at: When it was archived, if ever.
    """

    source_id: str
    kind: str
    contact: HubspotContact
    deal: Deal | None
    owner: HubspotOwner
    subject: str
    minutes: int
    created_at: datetime
    done_at: datetime | None = None
    removed_at: datetime | None = None

    def is_done(self, at: datetime) -> bool:
        """Whether it is visibly completed at the instant."""
        return self.done_at is not None and self.done_at < at

    def is_removed(self, at: datetime) -> bool:
        """Whether the removal is visible at the instant."""
        return self.removed_at is not None and self.removed_at < at

    def changed_at(self, at: datetime) -> datetime:
        """The last change that is visible at the instant."""
        changes = (self.created_at, self.done_at, self.removed_at)
        return max(change for change in changes if change is not None and change < at)


def invent_engagements(
    seed: int,
    contacts: Sequence[HubspotContact],
    deals: Sequence[Deal],
    owners: Sequence[HubspotOwner],
    timeline: Timeline,
) -> list[Engagement]:
    """About one for every contact that stays; in the second batch a few are archived."""
    rng = stream(seed, "hubspot engagements")
    deals_of: dict[str, list[Deal]] = {}
    for deal in deals:
        if deal.removed_at is None:
            for contact in deal.contacts:
                deals_of.setdefault(contact.source_id, []).append(deal)
    staying = [contact for contact in contacts if contact.removed_at is None]
    engagements: list[Engagement] = []
    next_id = _FIRST_ID
    for contact in pick(rng, staying, 0.6, at_least=20):
        for _ in range(weighted(rng, {1: 55, 2: 30, 4: 15})):
            next_id += rng.randrange(1, 20)
            created_at = between(rng, contact.created_at, timeline.end_batch_2)
            there = [d for d in deals_of.get(contact.source_id, ()) if d.created_at < created_at]
            kind = weighted(rng, KINDS)
            done_at = after_days(rng, created_at, 20)
            engagements.append(
                Engagement(
                    source_id=str(next_id),
                    kind=kind,
                    contact=contact,
                    deal=rng.choice(there) if there else None,
                    owner=rng.choice(owners),
                    subject=rng.choice(_SUBJECTS),
                    minutes=rng.randrange(2, 60),
                    created_at=created_at,
                    done_at=done_at if kind == "tasks" and happens(rng, 0.7) else None,
                )
            )
    alone = [engagement for engagement in engagements if engagement.deal is None]
    for engagement in pick(rng, alone, 0.03):
        earliest = max(engagement.created_at, timeline.end_batch_1)
        engagement.removed_at = between(rng, earliest, timeline.end_batch_2)
    return engagements


def engagement_row(engagement: Engagement, at: datetime) -> tuple[datetime, Row] | None:
    """The engagement as HubSpot's API shows it at the instant; None: not yet."""
    if engagement.created_at >= at:
        return None
    changed_at = engagement.changed_at(at)
    return changed_at, hubspot_row(
        engagement.source_id,
        engagement.created_at,
        changed_at,
        engagement.removed_at if engagement.is_removed(at) else None,
        {
            "hs_timestamp": hubspot_time(engagement.created_at),
            "hubspot_owner_id": engagement.owner.source_id,
            **_PROPERTIES[engagement.kind](engagement, at),
        },
    )


def _call(call: Engagement, _: datetime) -> Row:
    return {
        "hs_call_title": call.subject,
        "hs_call_direction": "OUTBOUND",
        "hs_call_duration": str(call.minutes * 60_000),
        "hs_call_status": "COMPLETED",
    }


def _email(email: Engagement, _: datetime) -> Row:
    return {
        "hs_email_subject": email.subject,
        "hs_email_direction": "INCOMING_EMAIL" if email.minutes % 3 == 0 else "EMAIL",
        "hs_email_status": "SENT",
    }


def _meeting(meeting: Engagement, _: datetime) -> Row:
    ends_at = meeting.created_at + timedelta(minutes=meeting.minutes)
    return {
        "hs_meeting_title": meeting.subject,
        "hs_meeting_start_time": hubspot_time(meeting.created_at),
        "hs_meeting_end_time": hubspot_time(ends_at),
        "hs_meeting_outcome": "COMPLETED",
    }


def _note(note: Engagement, _: datetime) -> Row:
    return {"hs_note_body": f"<p>{note.subject}</p>"}


def _task(task: Engagement, at: datetime) -> Row:
    return {
        "hs_task_subject": task.subject,
        "hs_task_type": "TODO",
        "hs_task_status": "COMPLETED" if task.is_done(at) else "NOT_STARTED",
    }


_PROPERTIES: Mapping[str, Callable[[Engagement, datetime], Row]] = {
    "calls": _call, "emails": _email, "meetings": _meeting, "notes": _note, "tasks": _task,
}  # fmt: skip
