"""What the further objects of each system add up to, from the books and never from the files.

`expected.json` has these figures for each batch; deleted, archived and merged records count
nowhere, amounts are text in major units, and those by currency are keyed by it.

    sf_users_active                     users who have not left
    sf_leads, sf_leads_converted        leads; those that were converted
    sf_campaign_responses               members of campaigns who have responded
    sf_tasks_open, sf_events            tasks that are not closed; events
    sf_line_items                       line items of opportunities
    sf_line_items_usd                   their total price at the rates of the months in which
                                        their opportunities entered their stages
    hubspot_companies, hubspot_contacts_with_company
                                        companies; contacts that have a primary one
    hubspot_deals_won, _open            amounts of deals by currency
    hubspot_engagements                 calls, emails, meetings, notes and tasks
    hubspot_tasks_open                  tasks that are not completed
    hubspot_associations                types of associations, by the pair of both ends: one that
                                        is Primary, too, counts twice
    stripe_products, stripe_prices_active
                                        products; prices that can be had
    stripe_refunds, stripe_refunded     refunds; their amounts by currency
    stripe_events                       events by type: those of the last 30 days
    shop_products_active                products that are neither archived nor drafts
    shop_refunds, shop_pieces_returned  refunds; pieces that came back with them
    shop_paid, shop_refunded, shop_voided
                                        amounts of successful transactions by currency: sales,
                                        refunds, and what was voided when an order was cancelled

Test orders count nowhere, late ones from when they arrive.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from simulators.demo_data.hubspot_deals import LOST, WON
from simulators.demo_data.hubspot_links import NUMBERS
from simulators.demo_data.money import cents
from simulators.demo_data.shop_payments import RETURNED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from simulators.demo_data.world import World


def book_totals(world: World, at: datetime) -> dict[str, object]:
    """The figures of one instant."""
    return {
        **_sales(world, at),
        **_marketing(world, at),
        **_billing(world, at),
        **_shop(world, at),
    }


def _sales(world: World, at: datetime) -> dict[str, object]:
    book = world.sales
    leads = [lead for lead in book.leads if lead.created_at < at and not lead.is_removed(at)]
    priced, usd = 0, Decimal(0)
    for together in book.line_items:
        deal = together.opportunity
        visit = deal.visit_at(at)
        if visit and visit.amount is not None and not deal.is_deleted(at):
            priced += len(together.items)
            usd += world.rates.usd_at(visit.amount, deal.currency, visit.entered_at)
    return {
        "sf_users_active": sum(user.is_active(at) for user in book.users),
        "sf_leads": len(leads),
        "sf_leads_converted": sum(lead.is_converted(at) for lead in leads),
        "sf_campaign_responses": sum(
            member.has_responded(at) and not member.is_removed(at) for member in book.members
        ),
        "sf_tasks_open": sum(
            task.created_at < at and not task.is_done(at) and not task.is_removed(at)
            for task in book.tasks
        ),
        "sf_events": sum(
            event.created_at < at and not event.is_removed(at) for event in book.events
        ),
        "sf_line_items": priced,
        "sf_line_items_usd": str(cents(usd)),
    }


def _marketing(world: World, at: datetime) -> dict[str, object]:
    book = world.marketing
    engagements = [
        one for one in book.engagements if one.created_at < at and not one.is_removed(at)
    ]
    links = [link for link in book.links if link.created_at < at and not link.is_removed(at)]
    won: list[tuple[str, Decimal]] = []
    still_open: list[tuple[str, Decimal]] = []
    for deal in book.deals:
        visit = deal.visit_at(at)
        if visit and not deal.is_removed(at) and visit[0] != LOST:
            (won if visit[0] == WON else still_open).append((deal.currency, deal.amount))
    pairs: Counter[str] = Counter({"/".join(pair): 0 for pair in NUMBERS})
    for link in links:
        pairs["/".join(link.pair)] += len(link.labels(at))
    return {
        "hubspot_companies": sum(
            company.created_at < at and not company.is_gone(at) for company in book.companies
        ),
        "hubspot_contacts_with_company": sum(
            link.is_primary for link in links if link.pair[0] == "contacts"
        ),
        "hubspot_deals_won": _by_currency(won),
        "hubspot_deals_open": _by_currency(still_open),
        "hubspot_engagements": len(engagements),
        "hubspot_tasks_open": sum(
            one.kind == "tasks" and not one.is_done(at) for one in engagements
        ),
        "hubspot_associations": dict(sorted(pairs.items())),
    }


def _billing(world: World, at: datetime) -> dict[str, object]:
    book = world.billing
    settled = [
        (charge.order.currency, charge.order.returned_at(at))
        for charge in world.charges
        if charge.order and charge.succeeded and charge.created_at < at
    ]
    kept = Counter(event.kind for event in book.events if event.is_kept(at))
    return {
        "stripe_products": sum(
            product.created_at < at and not product.is_deleted(at) for product in book.products
        ),
        "stripe_prices_active": sum(
            price.created_at < at and price.is_active(at) for price in book.prices
        ),
        "stripe_refunds": sum(refund.created_at < at for refund in book.refunds),
        "stripe_refunded": _by_currency((name, amount) for name, amount in settled if amount),
        "stripe_events": dict(sorted(kept.items())),
    }


def _shop(world: World, at: datetime) -> dict[str, object]:
    orders = [order for order in world.orders if order.arrives_at < at and not order.is_test]
    refunds = [refund for order in orders for refund in order.refunds_at(at)]
    returns = world.shop.returns
    return {
        "shop_products_active": sum(
            product.created_at < at and product.status_at(at) == "active"
            for product in world.shop.products
            if not product.is_deleted(at)
        ),
        "shop_refunds": len(refunds),
        "shop_pieces_returned": sum(
            returned.quantity
            for refund in refunds
            for returned in returns.get(refund.source_id, ())
            if returned.restock == RETURNED
        ),
        "shop_paid": _by_currency((order.currency, order.total) for order in orders),
        "shop_refunded": _by_currency(
            (order.currency, order.refunded_at(at)) for order in orders if order.refunds_at(at)
        ),
        "shop_voided": _by_currency(
            (order.currency, order.total) for order in orders if order.is_cancelled(at)
        ),
    }


def _by_currency(amounts: Iterable[tuple[str, Decimal]]) -> Mapping[str, str]:
    total: defaultdict[str, Decimal] = defaultdict(Decimal)
    for currency, amount in amounts:
        total[currency] += amount
    return {currency: str(amount) for currency, amount in sorted(total.items())}
