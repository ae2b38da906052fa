"""HubSpot: the associations of contacts, companies, deals and engagements, with their labels.

The numbers of HubSpot's own types are those of its association API, version 4; a direction has a
number of its own. `Decision maker` is a label of the account: some contacts get it later, which
changes neither the contact nor the company.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from simulators.demo_data.chance import between, pick, stream
from simulators.demo_data.clock import hubspot_time
from simulators.demo_data.records import grouped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.hubspot import HubspotContact
    from simulators.demo_data.hubspot_companies import HubspotCompany
    from simulators.demo_data.hubspot_deals import Deal
    from simulators.demo_data.hubspot_engagements import Engagement
    from simulators.demo_data.records import Row

# Of each pair of types: the number of the association, and that of its other direction.
NUMBERS = {
    ("contacts", "companies"): (279, 280), ("deals", "companies"): (341, 342),
    ("deals", "contacts"): (3, 4),
    ("calls", "contacts"): (194, 193), ("calls", "deals"): (206, 205),
    ("emails", "contacts"): (198, 197), ("emails", "deals"): (210, 209),
    ("meetings", "contacts"): (200, 199), ("meetings", "deals"): (212, 211),
    ("notes", "contacts"): (202, 201), ("notes", "deals"): (214, 213),
    ("tasks", "contacts"): (204, 203), ("tasks", "deals"): (216, 215),
}  # fmt: skip
_PRIMARY = {("contacts", "companies"): (1, 2), ("deals", "companies"): (5, 6)}
_DECISION_MAKER = (31, 32)

Label = tuple[str, tuple[int, int], str | None]


@dataclass(slots=True, kw_only=True)
class Link:
    """An association.

    Attributes:
        from_: The type and the id of one end.
        to: Those of the other end.
        is_primary: Whether the company is the record's main one.
        labelled_at: When a contact was called a decision maker, if ever.
        removed_at: When it was taken away, or one of its ends was archived, if ever.
    """

    from_: tuple[str, str]
    to: tuple[str, str]
    created_at: datetime
    is_primary: bool = False
    labelled_at: datetime | None = None
    removed_at: datetime | None = None

    @property
    def pair(self) -> tuple[str, str]:
        """The types of both ends."""
        return self.from_[0], self.to[0]

    def is_removed(self, at: datetime) -> bool:
        """Whether the removal is visible at the instant."""
        return self.removed_at is not None and self.removed_at < at

    def changed_at(self, at: datetime) -> datetime:
        """The last change that is visible at the instant."""
        changes = (self.created_at, self.labelled_at, self.removed_at)
        return max(change for change in changes if change is not None and change < at)

    def labels(self, at: datetime) -> list[Label]:
        """The types at the instant: category, numbers of both directions, label."""
        found: list[Label] = [("HUBSPOT_DEFINED", NUMBERS[self.pair], None)]
        if self.is_primary:
            found.append(("HUBSPOT_DEFINED", _PRIMARY[self.pair], "Primary"))
        if self.labelled_at is not None and self.labelled_at < at:
            found.append(("USER_DEFINED", _DECISION_MAKER, "Decision maker"))
        return found


def invent_links(
    seed: int,
    contacts: Sequence[HubspotContact],
    companies: Sequence[HubspotCompany],
    *,
    deals: Sequence[Deal],
    engagements: Sequence[Engagement],
    timeline: Timeline,
) -> list[Link]:
    """All associations; in the second batch some are labelled, and some taken away."""
    rng = stream(seed, "hubspot associations")
    employments = list(_employments(contacts, companies))
    for link in pick(rng, employments, 0.2):
        link.labelled_at = between(rng, link.created_at, timeline.end_batch_2)
    of_deals = [list(_of_deal(deal)) for deal in deals]
    # The second contact of a deal may be taken off it.
    further = [link for links in of_deals for link in links[2:] if link.removed_at is None]
    for link in pick(rng, further, 0.1, at_least=0):
        earliest = max(link.created_at, timeline.end_batch_1)
        link.removed_at = between(rng, earliest, timeline.end_batch_2)
    talks = (link for engagement in engagements for link in _of_engagement(engagement))
    return [*employments, *chain.from_iterable(of_deals), *talks]


def _employments(
    contacts: Sequence[HubspotContact], companies: Sequence[HubspotCompany]
) -> Iterator[Link]:
    companies_of = grouped(companies, lambda company: company.organisation.org_id)
    for contact in contacts:
        organisation = contact.person.organisation
        for company in companies_of[organisation.org_id] if organisation else ():
            ends = [contact.removed_at, company.merged_at if company.duplicate_of else None]
            # A contact that was archived before is not put to a company that is new.
            if contact.removed_at is None or contact.removed_at > company.created_at:
                yield Link(
                    from_=("contacts", contact.source_id),
                    to=("companies", company.source_id),
                    created_at=max(contact.created_at, company.created_at),
                    is_primary=company.duplicate_of is None,
                    removed_at=min((end for end in ends if end is not None), default=None),
                )


def _of_deal(deal: Deal) -> Iterator[Link]:
    ends = [("companies", deal.company.source_id)]
    ends += [("contacts", contact.source_id) for contact in deal.contacts]
    for to in ends:
        yield Link(
            from_=("deals", deal.source_id),
            to=to,
            created_at=deal.created_at,
            is_primary=to[0] == "companies",
            removed_at=deal.removed_at,
        )


def _of_engagement(engagement: Engagement) -> Iterator[Link]:
    ends = [("contacts", engagement.contact.source_id)]
    if engagement.deal:
        ends.append(("deals", engagement.deal.source_id))
    for to in ends:
        yield Link(
            from_=(engagement.kind, engagement.source_id),
            to=to,
            created_at=engagement.created_at,
            removed_at=engagement.removed_at,
        )


def link_row(link: Link, at: datetime) -> tuple[datetime, Row] | None:
    """The association at the instant, in both directions, as the stand-in reads it; None: not yet.

    HubSpot itself has no such record: its API lists the associations of one record.
    """
    if link.created_at >= at:
        return None
    labels, changed_at = link.labels(at), link.changed_at(at)
    forth, back = (
        [
            {"category": category, "typeId": numbers[way], "label": label}
            for category, numbers, label in labels
        ]
        for way in (0, 1)
    )
    return changed_at, {
        "id": "-".join((*link.from_, *link.to)),
        "fromObjectType": link.from_[0],
        "fromId": link.from_[1],
        "toObjectType": link.to[0],
        "toId": link.to[1],
        "types": forth,
        "reverseTypes": back,
        "createdAt": hubspot_time(link.created_at),
        "updatedAt": hubspot_time(changed_at),
        "archived": link.is_removed(at),
    }
