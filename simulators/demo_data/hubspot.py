"""HubSpot: contacts, with life-cycle changes and archived ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.demo_data.chance import happens, pick, stream
from simulators.demo_data.clock import hubspot_time
from simulators.demo_data.mess import write_company
from simulators.demo_data.records import (
    PersonRecord,
    appearances,
    share_by_kind,
    time_in_batch_2,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.people import Person
    from simulators.demo_data.records import Row

_FIRST_ID = 204_000
_STAGES = ("", "lead", "marketingqualifiedlead", "opportunity", "customer")


@dataclass(slots=True, kw_only=True)
class HubspotContact(PersonRecord):
    """A record about a person; an edit makes it a customer, a removal archives it."""

    company: str | None
    stage: str


def invent_hubspot_contacts(
    seed: int, people: Sequence[Person], timeline: Timeline
) -> list[HubspotContact]:
    """Contacts of people, some twice; in the second batch some are edited or archived."""
    rng = stream(seed, "hubspot contacts")
    share = share_by_kind(business=0.46, private=0.40)
    contacts: list[HubspotContact] = []
    next_id = _FIRST_ID
    for seen in appearances(rng, people, timeline, share):
        organisation = seen.person.organisation
        next_id += rng.randrange(1, 9)
        contacts.append(
            HubspotContact(
                source_id=str(next_id),
                person=seen.person,
                created_at=seen.created_at,
                written=seen.written,
                duplicate=seen.duplicate,
                company=write_company(rng, organisation)
                if organisation and happens(rng, 0.8)
                else None,
                stage=rng.choice(_STAGES),
            )
        )
    for contact in pick(rng, contacts, 0.09):
        contact.edited_at = time_in_batch_2(rng, contact, timeline)
    for contact in pick(rng, contacts, 0.014):
        contact.removed_at = time_in_batch_2(rng, contact, timeline)
    return contacts


def hubspot_contact_row(contact: HubspotContact, at: datetime) -> tuple[datetime, Row] | None:
    """The contact as HubSpot's API shows it at the instant, with its version; None: not yet."""
    if contact.created_at >= at:
        return None
    changed_at = contact.changed_at(at)
    created, changed = hubspot_time(contact.created_at), hubspot_time(changed_at)
    return changed_at, {
        "id": contact.source_id,
        "properties": {
            "email": contact.written.email,
            "firstname": contact.written.first,
            "lastname": contact.written.last,
            "phone": contact.written.phone,
            "company": contact.company,
            "lifecyclestage": "customer" if contact.is_edited(at) else contact.stage,
            "createdate": created,
            "lastmodifieddate": changed,
            "country": contact.person.country,
        },
        "createdAt": created,
        "updatedAt": changed,
        "archived": contact.is_removed(at),
    }
