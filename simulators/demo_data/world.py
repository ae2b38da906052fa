"""The clean model: everything that really happened, from which files and truth are both written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.demo_data.billing import Subscription, invent_subscriptions
from simulators.demo_data.books import (
    BillingBook,
    MarketingBook,
    SalesBook,
    ShopBook,
    billing_book,
    marketing_book,
    sales_book,
    shop_book,
)
from simulators.demo_data.hubspot import HubspotContact, invent_hubspot_contacts
from simulators.demo_data.money import ExchangeRates, invent_rates
from simulators.demo_data.opportunities import Opportunity, invent_opportunities
from simulators.demo_data.people import (
    Organisation,
    Person,
    invent_organisations,
    invent_people,
)
from simulators.demo_data.salesforce import (
    Account,
    Contact,
    invent_accounts,
    invent_contacts,
    invent_owners,
)
from simulators.demo_data.shop import Order, ShopCustomer, invent_orders, invent_shop_customers
from simulators.demo_data.stripe import (
    Charge,
    StripeCustomer,
    invent_charges,
    invent_stripe_customers,
)

if TYPE_CHECKING:
    from simulators.demo_data.clock import Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One company's customers and sales over the whole timeline, both batches included."""

    seed: int
    timeline: Timeline
    rates: ExchangeRates
    organisations: list[Organisation]
    people: list[Person]
    accounts: list[Account]
    contacts: list[Contact]
    opportunities: list[Opportunity]
    hubspot_contacts: list[HubspotContact]
    shop_customers: list[ShopCustomer]
    orders: list[Order]
    stripe_customers: list[StripeCustomer]
    subscriptions: list[Subscription]
    charges: list[Charge]
    sales: SalesBook
    marketing: MarketingBook
    billing: BillingBook
    shop: ShopBook


def build_world(seed: int, persons: int, timeline: Timeline) -> World:
    """Invent everything for `persons` people; time and memory grow in proportion to them."""
    organisations = invent_organisations(seed, persons)
    people = invent_people(seed, persons, organisations, timeline)
    owners = invent_owners(seed)
    accounts = invent_accounts(seed, organisations, owners, timeline)
    contacts = invent_contacts(seed, people, accounts, owners, timeline)
    shop_customers = invent_shop_customers(seed, people, timeline)
    orders = invent_orders(seed, shop_customers, timeline)
    shoppers = frozenset(order.person.number for order in orders)
    stripe_customers = invent_stripe_customers(seed, people, contacts, shoppers, timeline)
    opportunities = invent_opportunities(seed, accounts, timeline)
    hubspot_contacts = invent_hubspot_contacts(seed, people, timeline)
    subscriptions = invent_subscriptions(seed, stripe_customers, timeline)
    charges = invent_charges(seed, orders, stripe_customers, timeline)
    return World(
        seed=seed,
        timeline=timeline,
        rates=invent_rates(seed, timeline),
        organisations=organisations,
        people=people,
        accounts=accounts,
        contacts=contacts,
        opportunities=opportunities,
        hubspot_contacts=hubspot_contacts,
        shop_customers=shop_customers,
        orders=orders,
        stripe_customers=stripe_customers,
        subscriptions=subscriptions,
        charges=charges,
        sales=sales_book(seed, people, contacts, opportunities, timeline),
        marketing=marketing_book(seed, hubspot_contacts, timeline),
        billing=billing_book(seed, charges, subscriptions, timeline),
        shop=shop_book(seed, orders, timeline),
    )
