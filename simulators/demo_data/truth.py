"""What the figures really are, from the clean model and never from the files.

Amounts in dollars are summed exactly and rounded once, at the end: rounding row by row moves a
total by some cents. `book_truth` has the figures of the further objects, and says what they are.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from simulators.demo_data.book_truth import book_totals
from simulators.demo_data.clock import SHOP_ZONE, month_end, month_of, months_until
from simulators.demo_data.identity_truth import (
    book_xref,
    identity_totals,
    identity_xref,
    organisation_rows,
    person_rows,
)
from simulators.demo_data.layout import write_csv
from simulators.demo_data.money import cents
from simulators.demo_data.opportunities import LOST, WON

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from simulators.demo_data.records import Row
    from simulators.demo_data.shop import Order
    from simulators.demo_data.world import World

_NOTHING = Decimal(0)


def write_truth(
    folder: Path, world: World, file_rows: Mapping[str, Mapping[str, int]]
) -> dict[str, object]:
    """Write the folder `truth` and return the totals that `expected.json` holds."""
    folder.mkdir(parents=True, exist_ok=True)
    totals: dict[str, object] = {}
    for batch, at in world.timeline.batches.items():
        truth = TruthAt(world, at)
        tables = {
            "monthly_shop_net_usd": truth.monthly_shop(),
            "mrr_eom_usd": truth.mrr(),
            "pipeline": truth.pipeline(),
            "cohort": truth.cohorts(),
            "person_shop": truth.person_shop(),
        }
        for name, rows in tables.items():
            write_csv(folder / f"{name}_{batch}.csv", rows)
        totals[batch] = truth.totals()
    write_csv(folder / "identity_xref.csv", list(identity_xref(world)))
    write_csv(folder / "book_xref.csv", list(book_xref(world)))
    write_csv(folder / "persons.csv", list(person_rows(world)))
    write_csv(folder / "orgs.csv", list(organisation_rows(world)))
    totals["file_rows"] = file_rows
    totals["notes"] = _notes(world)
    text = json.dumps(totals, indent=1, ensure_ascii=False)
    (folder / "expected.json").write_text(text, encoding="utf-8", newline="\n")
    return totals


def _notes(world: World) -> dict[str, int]:
    end = world.timeline.end_batch_2
    deleted = [c for c in world.contacts if c.is_removed(end) and not c.merged_into]
    return {
        "sf_deleted_contacts_batch_2": len(deleted),
        "late_orders": sum(order.is_late for order in world.orders),
        "seed": world.seed,
        "persons": len(world.people),
    }


@dataclass(frozen=True, slots=True)
class _Sale:
    """A counted order with its net amount after the refunds that are known."""

    order: Order
    net: Decimal
    net_usd: Decimal

    @property
    def person_id(self) -> str:
        return self.order.person.person_id

    @property
    def month(self) -> str:
        return month_of(self.order.created_at)


class TruthAt:
    """The figures of a world as they are known at an instant."""

    def __init__(self, world: World, at: datetime) -> None:
        self._world = world
        self._at = at
        self._sales = [self._sale(order) for order in world.orders if order.counts_at(at)]

    def _sale(self, order: Order) -> _Sale:
        net = order.total - order.refunded_at(self._at)
        return _Sale(order, net, self._world.rates.usd_at(net, order.currency, order.created_at))

    def totals(self) -> dict[str, object]:
        """The batch's entry in `expected.json`; money as text."""
        return {
            "as_of": self._at.isoformat(),
            **identity_totals(self._world, self._at),
            **self._shop_totals(),
            **self._billing_totals(),
            **self._win_totals(),
            **book_totals(self._world, self._at),
        }

    def _shop_totals(self) -> dict[str, object]:
        by_currency: defaultdict[str, Decimal] = defaultdict(Decimal)
        for sale in self._sales:
            by_currency[sale.order.currency] += sale.net
        settled = (c for c in self._world.charges if c.order and c.succeeded)
        return {
            "shop_orders_net": len(self._sales),
            "shop_buyers": len({sale.person_id for sale in self._sales}),
            "shop_net_by_currency": {
                currency: str(net) for currency, net in sorted(by_currency.items())
            },
            "shop_net_usd": str(cents(_total(sale.net_usd for sale in self._sales))),
            "guest_orders": sum(sale.order.customer is None for sale in self._sales),
            "naive_double_counted_charges": sum(c.created_at < self._at for c in settled),
        }

    def _billing_totals(self) -> dict[str, object]:
        paid = [
            self._world.rates.usd_at(invoice.total, owned.price.currency, invoice.paid_at)
            for owned in self._world.subscriptions
            for invoice in owned.invoices
            if invoice.paid_at and invoice.is_paid(self._at)
        ]
        last = self.mrr()[-1]
        return {
            "subscription_invoices_paid": len(paid),
            "subscription_cash_usd": str(cents(_total(paid))),
            "mrr_last": list(last.values()),
        }

    def _win_totals(self) -> dict[str, object]:
        deals = {str(row["stage"]): row["opportunities"] for row in self.pipeline()}
        won, lost = (int(str(deals.get(stage, 0))) for stage in (WON, LOST))
        closed = won + lost
        return {"won": won, "lost": lost, "win_rate": round(won / closed, 6) if closed else None}

    def monthly_shop(self) -> list[Row]:
        """Net sales by UTC month and by the shop's local month, both at the UTC month's rate."""
        utc: defaultdict[str, Decimal] = defaultdict(Decimal)
        local: defaultdict[str, Decimal] = defaultdict(Decimal)
        buyers: defaultdict[str, set[str]] = defaultdict(set)
        for sale in self._sales:
            utc[sale.month] += sale.net_usd
            local[month_of(sale.order.created_at.astimezone(SHOP_ZONE))] += sale.net_usd
            buyers[sale.month].add(sale.person_id)
        return [
            {
                "month": month,
                "net_usd_utc_month": cents(utc[month]),
                "net_usd_shop_local_month": cents(local[month]),
                "active_buyers_utc": len(buyers[month]),
            }
            for month in sorted({*utc, *local})
        ]

    def mrr(self) -> list[Row]:
        """Monthly recurring revenue at the last instant of every month, zeros included."""
        return [
            self._mrr_of(month) for month in months_until(self._world.timeline.begins, self._at)
        ]

    def _mrr_of(self, month: str) -> Row:
        end = min(month_end(month), self._at)
        paying = [owned for owned in self._world.subscriptions if owned.is_paying_at_end(end)]
        usd = _total(
            self._world.rates.usd(owned.monthly_amount, owned.price.currency, month)
            for owned in paying
        )
        return {
            "month": month,
            "active_paid_subscriptions": len(paying),
            "paying_persons": len({owned.customer.person.number for owned in paying}),
            "mrr_usd": str(cents(usd)),
        }

    def pipeline(self) -> list[Row]:
        """Opportunities by stage at the rate of the month they entered it; deleted ones left out.

        A blank amount counts as nothing in the sum; the opportunity still counts.
        """
        count: Counter[str] = Counter()
        usd: defaultdict[str, Decimal] = defaultdict(Decimal)
        for deal in self._world.opportunities:
            visit = deal.visit_at(self._at)
            if visit and not deal.is_deleted(self._at):
                amount = deal.amount_of(visit) or _NOTHING
                count[visit.stage] += 1
                usd[visit.stage] += self._world.rates.usd_at(
                    amount, deal.currency, visit.entered_at
                )
        return [
            {
                "stage": stage,
                "opportunities": count[stage],
                "amount_usd_at_month_of_last_stage_change": cents(usd[stage]),
            }
            for stage in sorted(count)
        ]

    def cohorts(self) -> list[Row]:
        """Buyers by the UTC month of their first counted order and by active month; no zeros."""
        months: defaultdict[str, set[str]] = defaultdict(set)
        for sale in self._sales:
            months[sale.person_id].add(sale.month)
        active = Counter((min(own), month) for own in months.values() for month in own)
        return [
            {"cohort_month": cohort, "active_month": month, "persons": persons}
            for (cohort, month), persons in sorted(active.items())
        ]

    def person_shop(self) -> list[Row]:
        """One row per buyer."""
        sales: defaultdict[str, list[_Sale]] = defaultdict(list)
        for sale in self._sales:
            sales[sale.person_id].append(sale)
        return [
            {
                "person_id": person_id,
                "orders": len(own),
                "net_usd": cents(_total(sale.net_usd for sale in own)),
                "first_order_utc": min(sale.order.created_at for sale in own).isoformat(),
                "last_order_utc": max(sale.order.created_at for sale in own).isoformat(),
            }
            for person_id, own in sorted(sales.items())
        ]


def _total(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, _NOTHING)
