"""Salesforce: campaigns and their members, who are leads or contacts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from simulators.demo_data.chance import after_days, between, happens, pick, stream
from simulators.demo_data.clock import salesforce_time
from simulators.demo_data.leads import Lead
from simulators.demo_data.salesforce import salesforce_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from random import Random

    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.records import Row
    from simulators.demo_data.salesforce import Contact

_CAMPAIGNS = 10
_KINDS = ("Advertisement", "Conference", "Email", "Webinar")
_PLANNED_AHEAD = timedelta(days=10)
_BUDGET_STEP = Decimal(250)


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """Something that is done to be bought from; what it has cost is known when it is over."""

    source_id: str
    name: str
    kind: str
    created_at: datetime
    starts_at: datetime
    ends_at: datetime
    budget: Decimal
    cost: Decimal

    def changed_at(self, at: datetime) -> datetime:
        """The last change that is visible at the instant."""
        changes = (self.created_at, self.starts_at, self.ends_at)
        return max(change for change in changes if change < at)

    def status_at(self, at: datetime) -> str:
        """The status at the instant."""
        if self.ends_at < at:
            return "Completed"
        return "In Progress" if self.starts_at < at else "Planned"


@dataclass(slots=True, kw_only=True)
class CampaignMember:
    """Somebody whom a campaign is for; a lead that is converted stays one, as contact, too."""

    source_id: str
    campaign: Campaign
    person: Lead | Contact
    created_at: datetime
    responded_at: datetime | None
    removed_at: datetime | None = None

    def has_responded(self, at: datetime) -> bool:
        """Whether the response is visible at the instant."""
        return self.responded_at is not None and self.responded_at < at

    def is_removed(self, at: datetime) -> bool:
        """Whether the removal is visible at the instant."""
        return self.removed_at is not None and self.removed_at < at

    @property
    def lead(self) -> Lead | None:
        """The lead; None for one who was a contact from the beginning."""
        return self.person if isinstance(self.person, Lead) else None

    def changed_at(self, at: datetime) -> datetime:
        """The last change that is visible at the instant."""
        converted = self.lead.contact if self.lead else None
        changes = (
            self.created_at, self.responded_at, self.removed_at,
            converted.created_at if converted else None,
        )  # fmt: skip
        return max(change for change in changes if change is not None and change < at)


def invent_campaigns(seed: int, timeline: Timeline) -> list[Campaign]:
    """One after the other over the whole time; the last ones go on after its end."""
    rng = stream(seed, "salesforce campaigns")
    step = (timeline.end_batch_2 - timeline.begins) / _CAMPAIGNS
    campaigns = []
    for number in range(_CAMPAIGNS):
        begins = timeline.begins + number * step
        created_at = between(rng, begins, begins + step / 4)
        starts_at = min(created_at + _PLANNED_AHEAD, created_at + step / 4)
        budget = rng.randrange(8, 60) * _BUDGET_STEP
        kind = rng.choice(_KINDS)
        campaigns.append(
            Campaign(
                source_id=salesforce_id(rng, "701"),
                name=f"{kind} {number + 1:02d}",
                kind=kind,
                created_at=created_at,
                starts_at=starts_at.replace(microsecond=0),
                ends_at=(starts_at + step).replace(microsecond=0),
                budget=budget,
                cost=budget * rng.randrange(70, 125) / 100,
            )
        )
    return campaigns


def invent_members(
    seed: int,
    campaigns: Sequence[Campaign],
    leads: Sequence[Lead],
    contacts: Sequence[Contact],
    timeline: Timeline,
) -> list[CampaignMember]:
    """Some of those whom a campaign found there, or who came while it went on."""
    rng = stream(seed, "salesforce campaign members")
    everybody: list[Lead | Contact] = [*leads, *contacts]
    people = [person for person in everybody if person.removed_at is None]
    members = [
        member
        for campaign in campaigns
        for person in pick(rng, list(_within_reach(people, campaign)), 0.07)
        if (member := _member(rng, campaign, person)).created_at < timeline.end_batch_2
    ]
    for member in pick(rng, members, 0.02):
        earliest = max(member.created_at, timeline.end_batch_1)
        member.removed_at = between(rng, earliest, timeline.end_batch_2)
    return members


def _within_reach(people: Sequence[Lead | Contact], campaign: Campaign) -> Iterator[Lead | Contact]:
    for person in people:
        if person.created_at < campaign.ends_at and _leaves_at(person, campaign.starts_at):
            yield person


def _leaves_at(person: Lead | Contact, after: datetime) -> bool:
    """Whether it is still a lead, or a contact for good, after the instant."""
    converted = person.contact if isinstance(person, Lead) else None
    return converted is None or converted.created_at > after


def _member(rng: Random, campaign: Campaign, person: Lead | Contact) -> CampaignMember:
    converted = person.contact if isinstance(person, Lead) else None
    latest = min(campaign.ends_at, converted.created_at) if converted else campaign.ends_at
    created_at = between(rng, max(campaign.starts_at, person.created_at), latest)
    return CampaignMember(
        source_id=salesforce_id(rng, "00v"),
        campaign=campaign,
        person=person,
        created_at=created_at,
        responded_at=after_days(rng, created_at, 30) if happens(rng, 0.3) else None,
    )


def campaign_row(campaign: Campaign, at: datetime) -> tuple[datetime, Row] | None:
    """The campaign as `Campaign.csv` shows it at the instant, with its version; None: not yet."""
    if campaign.created_at >= at:
        return None
    changed_at, status = campaign.changed_at(at), campaign.status_at(at)
    return changed_at, {
        "Id": campaign.source_id,
        "Name": campaign.name,
        "Type": campaign.kind,
        "Status": status,
        "StartDate": campaign.starts_at.date().isoformat(),
        "EndDate": campaign.ends_at.date().isoformat(),
        "IsActive": "true" if status == "In Progress" else "false",
        "BudgetedCost": f"{campaign.budget:.2f}",
        "ActualCost": f"{campaign.cost:.2f}" if status == "Completed" else "",
        "CreatedDate": salesforce_time(campaign.created_at),
        "SystemModstamp": salesforce_time(changed_at),
        "IsDeleted": "false",
    }


def member_row(member: CampaignMember, at: datetime) -> tuple[datetime, Row] | None:
    """The member as `CampaignMember.csv` shows it at the instant; None: not yet."""
    if member.created_at >= at:
        return None
    lead, changed_at = member.lead, member.changed_at(at)
    contact = member.person if lead is None else lead.contact if lead.is_converted(at) else None
    responded = member.has_responded(at)
    return changed_at, {
        "Id": member.source_id,
        "CampaignId": member.campaign.source_id,
        "LeadId": lead.source_id if lead else "",
        "ContactId": contact.source_id if contact else "",
        "Status": "Responded" if responded else "Sent",
        "HasResponded": "true" if responded else "false",
        "CreatedDate": salesforce_time(member.created_at),
        "SystemModstamp": salesforce_time(changed_at),
        "IsDeleted": "true" if member.is_removed(at) else "false",
    }
