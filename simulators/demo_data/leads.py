"""Salesforce: leads. Some were converted into contacts that exist, the others have none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.demo_data.chance import between, happens, pick, stream
from simulators.demo_data.clock import salesforce_time
from simulators.demo_data.mess import write_company
from simulators.demo_data.records import (
    PersonRecord,
    appearances,
    by_person,
    grouped,
    share_by_kind,
    time_in_batch_2,
)
from simulators.demo_data.salesforce import LEAD_SOURCES, invent_owners, salesforce_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from random import Random

    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.opportunities import Opportunity
    from simulators.demo_data.people import Organisation, Person
    from simulators.demo_data.records import Row
    from simulators.demo_data.salesforce import Contact

_CONVERTED = "Closed - Converted"
_STATUSES = ("Open - Not Contacted", "Working - Contacted")
_NEXT_STATUSES = ("Working - Contacted", "Closed - Not Converted")
_NO_COMPANY = "[not provided]"  # what Salesforce itself fills in


@dataclass(slots=True, kw_only=True)
class Lead(PersonRecord):
    """A record about a person who may buy; an edit moves its status on.

    Attributes:
        contact: What it is converted into, at the instant at which that begins to exist.
        opportunity: What its conversion was tied to: an older one of the contact's account.
        merged_into: The lead that it was merged into when it was removed, if it was.
    """

    company: str
    lead_source: str
    owner_id: str
    status: str
    next_status: str
    contact: Contact | None = None
    opportunity: Opportunity | None = None
    merged_into: str = ""

    def is_converted(self, at: datetime) -> bool:
        """Whether the conversion is visible at the instant."""
        return self.contact is not None and self.contact.created_at < at

    def changed_at(self, at: datetime) -> datetime:
        """The last change that is visible at the instant."""
        converted_at = self.contact.created_at if self.contact else None
        changes = (self.created_at, self.edited_at, self.removed_at, converted_at)
        return max(change for change in changes if change is not None and change < at)

    def status_at(self, at: datetime) -> str:
        """The status at the instant."""
        if self.is_converted(at):
            return _CONVERTED
        return self.next_status if self.is_edited(at) else self.status


def invent_leads(
    seed: int,
    people: Sequence[Person],
    contacts: Sequence[Contact],
    opportunities: Sequence[Opportunity],
    timeline: Timeline,
) -> list[Lead]:
    """Leads before contacts, and leads of people without one; some of these twice."""
    rng = stream(seed, "salesforce leads")
    opportunities_of = grouped(opportunities, lambda opportunity: opportunity.account.source_id)
    eligible = [c for c in contacts if c.account_id and not c.duplicate and c.removed_at is None]
    converted = [
        _converted(rng, contact, opportunities_of.get(contact.account_id, ()))
        for contact in pick(rng, eligible, 0.25)
    ]
    known = {contact.person.number for contact in contacts}
    strangers = [person for person in people if person.number not in known]
    others = list(_others(rng, strangers, invent_owners(seed), timeline))
    for lead in pick(rng, others, 0.2):
        lead.edited_at = time_in_batch_2(rng, lead, timeline)
    for lead in pick(rng, others, 0.04):
        lead.removed_at = time_in_batch_2(rng, lead, timeline)
    _merge_some(rng, others, timeline)
    return converted + others


def _converted(rng: Random, contact: Contact, opportunities: Sequence[Opportunity]) -> Lead:
    person = contact.person
    older = [
        opportunity
        for opportunity in opportunities
        if opportunity.visits[0].entered_at < contact.created_at and not opportunity.deleted_at
    ]
    return Lead(
        source_id=salesforce_id(rng, "00Q"),
        person=person,
        created_at=between(rng, person.first_seen, contact.created_at),
        written=contact.written,
        duplicate=False,
        company=_company(rng, person.organisation),
        lead_source=contact.lead_source,
        owner_id=contact.owner_id,
        status=_STATUSES[1],
        next_status="",
        contact=contact,
        opportunity=rng.choice(older) if older and happens(rng, 0.7) else None,
    )


def _others(
    rng: Random, people: Sequence[Person], owners: Sequence[str], timeline: Timeline
) -> Iterator[Lead]:
    share = share_by_kind(business=0.35, private=0.12)
    for seen in appearances(rng, people, timeline, share):
        yield Lead(
            source_id=salesforce_id(rng, "00Q"),
            person=seen.person,
            created_at=seen.created_at,
            written=seen.written,
            duplicate=seen.duplicate,
            company=_company(rng, seen.person.organisation),
            lead_source=rng.choice(LEAD_SOURCES),
            owner_id=rng.choice(owners),
            status=rng.choice(_STATUSES),
            next_status=rng.choice(_NEXT_STATUSES),
        )


def _company(rng: Random, organisation: Organisation | None) -> str:
    return write_company(rng, organisation) if organisation else _NO_COMPANY


def _merge_some(rng: Random, leads: Sequence[Lead], timeline: Timeline) -> None:
    """Merge about half of the duplicates into the person's first lead, where that stays."""
    pairs = [
        (records[0], duplicate)
        for records in by_person(leads).values()
        for duplicate in records[1:]
        if records[0].removed_at is None and duplicate.removed_at is None
    ]
    for master, duplicate in pick(rng, pairs, 0.5, at_least=1):
        duplicate.merged_into = master.source_id
        duplicate.removed_at = time_in_batch_2(rng, duplicate, timeline)


def lead_row(lead: Lead, at: datetime) -> tuple[datetime, Row] | None:
    """The lead as `Lead.csv` shows it at the instant, with its version; None: not yet."""
    if lead.created_at >= at:
        return None
    changed_at = lead.changed_at(at)
    removed = lead.is_removed(at)
    contact = lead.contact if lead.is_converted(at) else None
    opportunity = lead.opportunity if contact else None
    return changed_at, {
        "Id": lead.source_id,
        "FirstName": lead.written.first,
        "LastName": lead.written.last,
        "Company": lead.company,
        "Email": lead.written.email or "",
        "Phone": lead.written.phone or "",
        "Status": lead.status_at(at),
        "LeadSource": lead.lead_source,
        "OwnerId": lead.owner_id,
        "IsConverted": "true" if contact else "false",
        "ConvertedDate": contact.created_at.date().isoformat() if contact else "",
        "ConvertedContactId": contact.source_id if contact else "",
        "ConvertedAccountId": contact.account_id if contact else "",
        "ConvertedOpportunityId": opportunity.source_id if opportunity else "",
        "CreatedDate": salesforce_time(lead.created_at),
        "SystemModstamp": salesforce_time(changed_at),
        "IsDeleted": "true" if removed else "false",
        "MasterRecordId": lead.merged_into if removed else "",
    }
