"""HubSpot: the deals of the marketing team. They are none of Salesforce's opportunities."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from simulators.demo_data.chance import after_days, between, happens, pick, stream, weighted
from simulators.demo_data.clock import hubspot_time
from simulators.demo_data.hubspot_companies import STAGES, hubspot_row
from simulators.demo_data.money import CURRENCY_OF_COUNTRY, LIST_PRICE_FACTOR, rounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from random import Random

    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.hubspot import HubspotContact
    from simulators.demo_data.hubspot_companies import HubspotCompany, HubspotOwner
    from simulators.demo_data.records import Row

WON, LOST = "closedwon", "closedlost"
_FIRST_ID = 18_200_000
_PURPOSES = ("joint webinar", "referral", "reseller", "sponsorship")
_OPEN_STAGES = tuple(stage for stage in STAGES if stage not in (WON, LOST))


@dataclass(slots=True, kw_only=True)
class Deal:
    """A chance to sell to a company.

    Attributes:
        visits: The stages with the instants at which it entered them, in order; at least one.
        contacts: Contacts of the company; the first one is asked.
        removed_at: When it was archived, if ever.
    """

    source_id: str
    company: HubspotCompany
    contacts: list[HubspotContact]
    name: str
    owner: HubspotOwner
    amount: Decimal
    visits: list[tuple[str, datetime]]
    removed_at: datetime | None = None

    @property
    def created_at(self) -> datetime:
        """When it began."""
        return self.visits[0][1]

    @property
    def currency(self) -> str:
        """The currency of the company's country."""
        return CURRENCY_OF_COUNTRY[self.company.organisation.country]

    def visit_at(self, at: datetime) -> tuple[str, datetime] | None:
        """The stage at the instant, and since when; None when there is no deal yet."""
        known = [visit for visit in self.visits if visit[1] < at]
        return known[-1] if known else None

    def is_removed(self, at: datetime) -> bool:
        """Whether the removal is visible at the instant."""
        return self.removed_at is not None and self.removed_at < at


def invent_deals(
    seed: int,
    contacts: Sequence[HubspotContact],
    companies: Sequence[HubspotCompany],
    owners: Sequence[HubspotOwner],
    timeline: Timeline,
) -> list[Deal]:
    """One or two with half of the companies; in the second batch a few are archived."""
    rng = stream(seed, "hubspot deals")
    contacts_of: dict[str, list[HubspotContact]] = {}
    for contact in contacts:
        if contact.person.organisation and contact.removed_at is None:
            contacts_of.setdefault(contact.person.organisation.org_id, []).append(contact)
    asked = [
        (company, contacts_of[company.organisation.org_id])
        for company in companies
        if company.duplicate_of is None and company.organisation.org_id in contacts_of
    ]
    deals: list[Deal] = []
    next_id = _FIRST_ID
    for company, known in pick(rng, asked, 0.6):
        for _ in range(weighted(rng, {1: 60, 2: 30, 3: 10})):
            next_id += rng.randrange(1, 50)
            deals.append(
                _deal(rng, str(next_id), company, known, owners=owners, ends=timeline.end_batch_2)
            )
    for deal in pick(rng, deals, 0.04, at_least=1):
        earliest = max(deal.visits[-1][1], timeline.end_batch_1)
        deal.removed_at = between(rng, earliest, timeline.end_batch_2)
    return deals


def _deal(
    rng: Random,
    source_id: str,
    company: HubspotCompany,
    contacts: Sequence[HubspotContact],
    *,
    owners: Sequence[HubspotOwner],
    ends: datetime,
) -> Deal:
    first = rng.choice(contacts)
    created_at = between(rng, max(first.created_at, company.created_at), ends)
    others = [c for c in contacts if c is not first and c.created_at < created_at]
    currency = CURRENCY_OF_COUNTRY[company.organisation.country]
    usd = rng.randrange(500, 20_000) + Decimal(rng.randrange(100)) / 100
    return Deal(
        source_id=source_id,
        company=company,
        contacts=[first, *rng.sample(others, min(len(others), 1))],
        name=f"{company.organisation.name} - {rng.choice(_PURPOSES)}",
        owner=rng.choice(owners),
        amount=rounded(usd * LIST_PRICE_FACTOR[currency], currency),
        visits=list(_visits(rng, created_at, ends)),
    )


def _visits(rng: Random, created_at: datetime, ends: datetime) -> Iterator[tuple[str, datetime]]:
    at = created_at
    for stage in (*_OPEN_STAGES, WON):
        if at >= ends:
            return
        if stage != _OPEN_STAGES[0] and happens(rng, 0.15):
            yield LOST, at
            return
        yield stage, at
        at = after_days(rng, at, 30)


def deal_row(deal: Deal, at: datetime) -> tuple[datetime, Row] | None:
    """The deal as HubSpot's API shows it at the instant, with its version; None: not yet."""
    visit = deal.visit_at(at)
    if visit is None:
        return None
    stage, entered_at = visit
    archived_at = deal.removed_at if deal.is_removed(at) else None
    changed_at = archived_at or entered_at
    closed = stage in (WON, LOST)
    return changed_at, hubspot_row(
        deal.source_id,
        deal.created_at,
        changed_at,
        archived_at,
        {
            "dealname": deal.name,
            "dealstage": stage,
            "pipeline": "default",
            "amount": str(deal.amount),
            "deal_currency_code": deal.currency,
            "closedate": hubspot_time(entered_at) if closed else None,
            "hs_is_closed": "true" if closed else "false",
            "hs_is_closed_won": "true" if stage == WON else "false",
            "hubspot_owner_id": deal.owner.source_id,
        },
    )
