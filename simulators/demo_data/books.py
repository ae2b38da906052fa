"""What each system keeps besides people and their purchases: a book per system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.demo_data.activities import Activity, invent_activities
from simulators.demo_data.campaigns import (
    Campaign,
    CampaignMember,
    invent_campaigns,
    invent_members,
)
from simulators.demo_data.hubspot_companies import (
    HubspotCompany,
    HubspotOwner,
    Pipeline,
    invent_companies,
    invent_hubspot_owners,
    invent_pipeline,
)
from simulators.demo_data.hubspot_deals import Deal, invent_deals
from simulators.demo_data.hubspot_engagements import Engagement, invent_engagements
from simulators.demo_data.hubspot_links import Link, invent_links
from simulators.demo_data.leads import Lead, invent_leads
from simulators.demo_data.line_items import (
    CrmProduct,
    LineItems,
    invent_line_items,
    invent_products,
)
from simulators.demo_data.shop_payments import ReturnLine, invent_returns
from simulators.demo_data.shopify_products import ShopProduct, invent_shop_products
from simulators.demo_data.stripe_catalogue import (
    StripePrice,
    StripeProduct,
    invent_stripe_catalogue,
)
from simulators.demo_data.stripe_events import StripeEvent, invent_stripe_events
from simulators.demo_data.stripe_refunds import StripeRefund, invent_stripe_refunds
from simulators.demo_data.users import User, invent_users

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulators.demo_data.billing import Subscription
    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.hubspot import HubspotContact
    from simulators.demo_data.opportunities import Opportunity
    from simulators.demo_data.people import Person
    from simulators.demo_data.salesforce import Contact
    from simulators.demo_data.shop import Order
    from simulators.demo_data.stripe import Charge


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesBook:
    """Salesforce."""

    users: list[User]
    leads: list[Lead]
    campaigns: list[Campaign]
    members: list[CampaignMember]
    tasks: list[Activity]
    events: list[Activity]
    products: list[CrmProduct]
    line_items: list[LineItems]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketingBook:
    """HubSpot."""

    owners: list[HubspotOwner]
    pipeline: Pipeline
    companies: list[HubspotCompany]
    deals: list[Deal]
    engagements: list[Engagement]
    links: list[Link]


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingBook:
    """Stripe."""

    products: list[StripeProduct]
    prices: list[StripePrice]
    refunds: list[StripeRefund]
    events: list[StripeEvent]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopBook:
    """Shopify; what was returned is keyed by the id of its refund."""

    products: list[ShopProduct]
    returns: dict[int, list[ReturnLine]]


def sales_book(
    seed: int,
    people: Sequence[Person],
    contacts: Sequence[Contact],
    opportunities: Sequence[Opportunity],
    timeline: Timeline,
) -> SalesBook:
    """Invent what Salesforce keeps besides accounts, contacts and opportunities."""
    leads = invent_leads(seed, people, contacts, opportunities, timeline)
    campaigns = invent_campaigns(seed, timeline)
    tasks, events = invent_activities(seed, leads, contacts, opportunities, timeline)
    products = invent_products(seed, timeline)
    return SalesBook(
        users=invent_users(seed, timeline),
        leads=leads,
        campaigns=campaigns,
        members=invent_members(seed, campaigns, leads, contacts, timeline),
        tasks=tasks,
        events=events,
        products=products,
        line_items=invent_line_items(seed, opportunities, products),
    )


def marketing_book(
    seed: int, contacts: Sequence[HubspotContact], timeline: Timeline
) -> MarketingBook:
    """Invent what HubSpot keeps besides contacts."""
    owners = invent_hubspot_owners(seed, timeline)
    companies = invent_companies(seed, contacts, timeline)
    deals = invent_deals(seed, contacts, companies, owners, timeline)
    engagements = invent_engagements(seed, contacts, deals, owners, timeline)
    return MarketingBook(
        owners=owners,
        pipeline=invent_pipeline(seed, timeline),
        companies=companies,
        deals=deals,
        engagements=engagements,
        links=invent_links(
            seed, contacts, companies, deals=deals, engagements=engagements, timeline=timeline
        ),
    )


def billing_book(
    seed: int, charges: Sequence[Charge], subscriptions: Sequence[Subscription], timeline: Timeline
) -> BillingBook:
    """Invent what Stripe keeps besides customers, subscriptions, invoices and charges."""
    products, prices = invent_stripe_catalogue(seed, timeline)
    refunds = invent_stripe_refunds(seed, charges)
    return BillingBook(
        products=products,
        prices=prices,
        refunds=refunds,
        events=invent_stripe_events(seed, charges, refunds, subscriptions, timeline),
    )


def shop_book(seed: int, orders: Sequence[Order], timeline: Timeline) -> ShopBook:
    """Invent what the shop keeps besides customers and orders."""
    return ShopBook(
        products=invent_shop_products(seed, timeline), returns=invent_returns(seed, orders)
    )
