"""HubSpot: the companies of the contacts, the marketing people and their pipeline of deals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from simulators.demo_data.chance import between, pick, stream
from simulators.demo_data.clock import hubspot_time
from simulators.demo_data.mess import write_company, write_country
from simulators.demo_data.people import plain
from simulators.demo_data.words import CULTURES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from random import Random

    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.hubspot import HubspotContact
    from simulators.demo_data.people import Organisation
    from simulators.demo_data.records import Row

STAGES = {
    "appointmentscheduled": "Appointment scheduled", "qualifiedtobuy": "Qualified to buy",
    "presentationscheduled": "Presentation scheduled", "closedwon": "Won", "closedlost": "Lost",
}  # fmt: skip
_PROBABILITIES = ("0.2", "0.4", "0.6", "1.0", "0.0")
_FIRST_COMPANY_ID = 9_100_000
_FIRST_OWNER_ID = 71_000
_OWNERS = 4


@dataclass(frozen=True, slots=True)
class HubspotOwner:
    """Somebody who sells by HubSpot; one who has left is archived."""

    source_id: str
    first: str
    last: str
    created_at: datetime
    left_at: datetime | None


@dataclass(slots=True, kw_only=True)
class HubspotCompany:
    """A record about an organisation; a duplicate one is merged into the first one later.

    Attributes:
        duplicate_of: The company that it is a duplicate of.
        edited_at: When its number of employees was corrected, if ever.
        merged_at: When the duplicate was merged away, or the first one swallowed it, if ever.
    """

    source_id: str
    organisation: Organisation
    name: str
    country: str
    created_at: datetime
    duplicate_of: HubspotCompany | None = None
    edited_at: datetime | None = None
    merged_at: datetime | None = None
    swallowed: str = ""

    def is_gone(self, at: datetime) -> bool:
        """Whether it is visibly merged into another one at the instant."""
        return self.duplicate_of is not None and self.is_merged(at)

    def is_merged(self, at: datetime) -> bool:
        """Whether the merge is visible at the instant, on either side of it."""
        return self.merged_at is not None and self.merged_at < at

    def changed_at(self, at: datetime) -> datetime:
        """The last change that is visible at the instant."""
        changes = (self.created_at, self.edited_at, self.merged_at)
        return max(change for change in changes if change is not None and change < at)


def invent_hubspot_owners(seed: int, timeline: Timeline) -> list[HubspotOwner]:
    """A few; the last one leaves after the first delivery."""
    rng = stream(seed, "hubspot owners")
    owners, next_id = [], _FIRST_OWNER_ID
    for number in range(_OWNERS):
        next_id += rng.randrange(1, 99)
        culture = rng.choice(CULTURES)
        last = f"{rng.choice(culture.stems)}{rng.choice(culture.endings)}"
        left_at = between(rng, timeline.end_batch_1, timeline.end_batch_2)
        owners.append(
            HubspotOwner(
                str(next_id), rng.choice(culture.first), last, timeline.begins,
                left_at if number == _OWNERS - 1 else None,
            )
        )  # fmt: skip
    return owners


def invent_companies(
    seed: int, contacts: Sequence[HubspotContact], timeline: Timeline
) -> list[HubspotCompany]:
    """One for each organisation with a contact, from its first one on.

    A few have a second one by the first delivery, which is merged away before the second one.
    """
    rng = stream(seed, "hubspot companies")
    first_contact: dict[str, tuple[Organisation, HubspotContact]] = {}
    for contact in sorted(contacts, key=lambda one: one.created_at):
        if organisation := contact.person.organisation:
            first_contact.setdefault(organisation.org_id, (organisation, contact))
    next_id = _FIRST_COMPANY_ID
    companies = []
    for organisation, contact in first_contact.values():
        next_id += rng.randrange(1, 9)
        company = _company(rng, next_id, organisation, contact.created_at)
        company.name = contact.company or company.name
        companies.append(company)
    for company in pick(rng, companies, 0.1):
        company.edited_at = _after_batch_1(rng, company.created_at, timeline)
    early = [
        company
        for company in companies
        if company.created_at < timeline.end_batch_1 and company.edited_at is None
    ]
    for first in pick(rng, early, 0.06):
        next_id += rng.randrange(1, 9)
        again_at = between(rng, first.created_at, timeline.end_batch_1)
        second = _company(rng, next_id, first.organisation, again_at)
        second.duplicate_of = first
        first.swallowed = second.source_id
        first.merged_at = second.merged_at = _after_batch_1(rng, again_at, timeline)
        companies.append(second)
    return companies


def _company(
    rng: Random, number: int, organisation: Organisation, created_at: datetime
) -> HubspotCompany:
    return HubspotCompany(
        source_id=str(number),
        organisation=organisation,
        name=write_company(rng, organisation),
        country=write_country(rng, organisation.country),
        created_at=created_at,
    )


def _after_batch_1(rng: Random, earliest: datetime, timeline: Timeline) -> datetime:
    return between(rng, max(earliest, timeline.end_batch_1), timeline.end_batch_2)


def company_row(company: HubspotCompany, at: datetime) -> tuple[datetime, Row] | None:
    """The company as HubSpot shows it at the instant; one that was merged away as archived.

    What is merged away is in no list any more: the properties stay as they were.
    """
    if company.created_at >= at:
        return None
    changed_at, gone = company.changed_at(at), company.is_gone(at)
    edited = company.edited_at is not None and company.edited_at < at
    employees = company.organisation.employees + (7 if edited else 0)
    shown_at = company.created_at if gone else changed_at  # a duplicate is never edited
    swallowed = company.swallowed if company.is_merged(at) else ""
    return changed_at, hubspot_row(
        company.source_id,
        company.created_at,
        changed_at,
        changed_at if gone else None,
        {
            "name": company.name,
            "domain": company.organisation.domain,
            "country": company.country,
            "industry": company.organisation.industry.upper(),
            "numberofemployees": str(employees),
            "hs_lastmodifieddate": hubspot_time(shown_at),
            "hs_merged_object_ids": swallowed or None,
        },
    )


def hubspot_row(
    source_id: str,
    created_at: datetime,
    changed_at: datetime,
    archived_at: datetime | None,
    properties: Row,
) -> Row:
    """A record as HubSpot's API shows it; its times stand among its properties, too."""
    created, changed = hubspot_time(created_at), hubspot_time(changed_at)
    times: Row = {"createdate": created, "hs_createdate": created, "hs_lastmodifieddate": changed}
    row: Row = {
        "id": source_id,
        "properties": {**times, **properties},
        "createdAt": created,
        "updatedAt": changed,
        "archived": archived_at is not None,
    }
    return row | {"archivedAt": hubspot_time(archived_at)} if archived_at else row


def owner_row(owner: HubspotOwner, at: datetime) -> tuple[datetime, Row]:
    """The owner as HubSpot's API shows it at the instant."""
    left = owner.left_at is not None and owner.left_at < at
    changed_at = owner.left_at if left and owner.left_at else owner.created_at
    return changed_at, {
        "id": owner.source_id,
        "email": f"{plain(owner.first)}.{plain(owner.last)}@marketing.example",
        "firstName": owner.first,
        "lastName": owner.last,
        "userId": int(owner.source_id) + 1000,
        "createdAt": hubspot_time(owner.created_at),
        "updatedAt": hubspot_time(changed_at),
        "archived": left,
    }


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The stages that a deal goes through; the pipeline is renamed after the first delivery."""

    created_at: datetime
    renamed_at: datetime


def invent_pipeline(seed: int, timeline: Timeline) -> Pipeline:
    """The pipeline of the marketing team."""
    rng = stream(seed, "hubspot pipeline")
    created_at = between(rng, timeline.begins, timeline.begins + timedelta(minutes=5))
    return Pipeline(created_at, between(rng, timeline.end_batch_1, timeline.end_batch_2))


def pipeline_row(pipeline: Pipeline, at: datetime) -> tuple[datetime, Row]:
    """The pipeline as HubSpot's API shows it at the instant, and whose it is."""
    renamed = pipeline.renamed_at < at
    changed_at = pipeline.renamed_at if renamed else pipeline.created_at
    created = hubspot_time(pipeline.created_at)
    stages: list[Row] = [
        {
            "id": stage,
            "label": label,
            "displayOrder": place,
            "metadata": {
                "isClosed": "true" if stage.startswith("closed") else "false",
                "probability": probability,
            },
            "createdAt": created,
            "updatedAt": created,
            "archived": False,
        }
        for place, ((stage, label), probability) in enumerate(
            zip(STAGES.items(), _PROBABILITIES, strict=True)
        )
    ]
    return changed_at, {
        "id": "default",
        "objectType": "deals",
        "label": "Partner pipeline" if renamed else "Marketing pipeline",
        "displayOrder": 0,
        "stages": stages,
        "createdAt": created,
        "updatedAt": hubspot_time(changed_at),
        "archived": False,
    }
