"""The folder: two deliveries of every system's objects in their native form, and the rates.

A view shows an object as its system would at an instant, or not at all. The first delivery is what
all views show at its end; the second is what they show differently, or for the first time.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

from crmhouse.errors import ConfigurationError
from simulators.demo_data.activities import event_row, task_row
from simulators.demo_data.billing import subscription_row
from simulators.demo_data.campaigns import campaign_row, member_row
from simulators.demo_data.chance import pick, stream
from simulators.demo_data.hubspot import hubspot_contact_row
from simulators.demo_data.hubspot_companies import company_row, owner_row, pipeline_row
from simulators.demo_data.hubspot_deals import deal_row
from simulators.demo_data.hubspot_engagements import KINDS, engagement_row
from simulators.demo_data.hubspot_links import link_row
from simulators.demo_data.invoices import bills, invoice_row
from simulators.demo_data.leads import lead_row
from simulators.demo_data.line_items import line_item_row, product_row, single_items
from simulators.demo_data.opportunities import history_row, opportunity_row, stage_visits
from simulators.demo_data.salesforce import account_row, contact_row
from simulators.demo_data.shopify import OrderView, shop_customer_row
from simulators.demo_data.shopify_products import shop_product_row, variant_row
from simulators.demo_data.stripe import StripeCustomerView, charge_row
from simulators.demo_data.stripe_catalogue import price_row, stripe_product_row
from simulators.demo_data.stripe_events import stripe_event_row
from simulators.demo_data.stripe_refunds import stripe_refund_row
from simulators.demo_data.users import user_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from simulators.demo_data.money import ExchangeRates
    from simulators.demo_data.records import Row
    from simulators.demo_data.world import World

T = TypeVar("T")

_DELIVERED_TWICE = 0.005


@dataclass(slots=True)
class Deliveries:
    """Writes the batches of one world below a folder and counts the rows.

    Attributes:
        rows: Rows per batch and object, `{"batch_1": {"salesforce.Account": 90, ...}, ...}`.
    """

    folder: Path
    world: World
    rows: dict[str, dict[str, int]] = field(default_factory=dict)

    def write(self) -> None:
        """Write all files of both batches, one object after the other."""
        self._salesforce()
        self._hubspot()
        self._shopify()
        self._stripe()

    def _salesforce(self) -> None:
        world, book = self.world, self.world.sales
        self._object("salesforce/Account.csv", world.accounts, account_row)
        self._object("salesforce/Contact.csv", world.contacts, contact_row)
        self._object("salesforce/Opportunity.csv", world.opportunities, opportunity_row)
        visits = stage_visits(world.opportunities)
        self._object("salesforce/OpportunityHistory.csv", visits, history_row)
        self._object("salesforce/User.csv", book.users, user_row)
        self._object("salesforce/Lead.csv", book.leads, lead_row)
        self._object("salesforce/Campaign.csv", book.campaigns, campaign_row)
        self._object("salesforce/CampaignMember.csv", book.members, member_row)
        self._object("salesforce/Task.csv", book.tasks, task_row)
        self._object("salesforce/Event.csv", book.events, event_row)
        self._object("salesforce/Product2.csv", book.products, product_row)
        items = single_items(book.line_items)
        self._object("salesforce/OpportunityLineItem.csv", items, line_item_row)

    def _hubspot(self) -> None:
        contacts, book = self.world.hubspot_contacts, self.world.marketing
        self._object("hubspot/contacts.jsonl", contacts, hubspot_contact_row, repeats=True)
        self._object("hubspot/owners.jsonl", book.owners, owner_row)
        self._object("hubspot/pipelines.jsonl", [book.pipeline], pipeline_row)
        self._object("hubspot/companies.jsonl", book.companies, company_row)
        self._object("hubspot/deals.jsonl", book.deals, deal_row)
        for kind in KINDS:
            engagements = [one for one in book.engagements if one.kind == kind]
            self._object(f"hubspot/{kind}.jsonl", engagements, engagement_row)
        self._object("hubspot/associations.jsonl", book.links, link_row)

    def _shopify(self) -> None:
        world, book = self.world, self.world.shop
        self._object("shopify/customers.jsonl", world.shop_customers, shop_customer_row)
        orders = OrderView(world.charges, book.returns)
        self._object("shopify/orders.jsonl", world.orders, orders, repeats=True)
        self._object("shopify/products.jsonl", book.products, shop_product_row)
        self._object("shopify/variants.jsonl", book.products, variant_row)

    def _stripe(self) -> None:
        world, book = self.world, self.world.billing
        payers = StripeCustomerView(world.subscriptions)
        self._object("stripe/customers.jsonl", world.stripe_customers, payers)
        self._object("stripe/subscriptions.jsonl", world.subscriptions, subscription_row)
        self._object("stripe/invoices.jsonl", bills(world.subscriptions), invoice_row)
        self._object("stripe/charges.jsonl", world.charges, charge_row)
        self._object("stripe/products.jsonl", book.products, stripe_product_row)
        self._object("stripe/prices.jsonl", book.prices, price_row)
        self._object("stripe/refunds.jsonl", book.refunds, stripe_refund_row)
        self._object("stripe/events.jsonl", book.events, stripe_event_row)

    def _object(
        self,
        file: str,
        things: Iterable[T],
        view: Callable[[T, datetime], tuple[datetime, Row] | None],
        *,
        repeats: bool = False,
    ) -> None:
        """Write one object's two files, oldest change first; `repeats` delivers some rows twice."""
        timeline = self.world.timeline
        batches: dict[str, list[tuple[datetime, Row]]] = {"batch_1": [], "batch_2": []}
        for thing in things:
            first, second = view(thing, timeline.end_batch_1), view(thing, timeline.end_batch_2)
            if first:
                batches["batch_1"].append(first)
            if second and second != first:
                batches["batch_2"].append(second)
        # A batch without a row of its own still needs the other one's columns.
        columns = [name for versions in batches.values() for _, row in versions[:1] for name in row]
        rng = stream(self.world.seed, f"delivered twice {file}")
        for batch, versions in batches.items():
            rows = [row for _, row in sorted(versions, key=itemgetter(0))]
            if repeats:
                rows += pick(rng, rows, _DELIVERED_TWICE)
            path = self.folder / batch / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".csv":
                write_csv(path, rows, columns=list(dict.fromkeys(columns)))
            else:
                _write_jsonl(path, rows)
            name = file.removesuffix(path.suffix).replace("/", ".")
            self.rows.setdefault(batch, {})[name] = len(rows)


def write_csv(path: Path, rows: Sequence[Row], *, columns: Sequence[str] = ()) -> None:
    """Write rows that all have the same columns, with a header and CRLF as exports have them.

    Args:
        path: The file, which is replaced.
        rows: The rows, in the order to write.
        columns: The header where there are no rows to take it from.

    Raises:
        ConfigurationError: There are neither rows nor columns.
    """
    header = list(rows[0]) if rows else columns
    if not header:
        raise ConfigurationError(
            f"Demo data has no rows for {path.name}: ask for more persons or a longer time."
        )
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(rows)


def _write_jsonl(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False))
            file.write("\n")


def write_rates(folder: Path, rates: ExchangeRates) -> None:
    """Write `reference/fx_rates_monthly.csv`."""
    path = folder / "reference" / "fx_rates_monthly.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = [
        {"month": month, "currency": currency, "usd_per_unit": str(rate)}
        for (month, currency), rate in sorted(rates.usd_per_unit.items())
    ]
    write_csv(path, rows)
