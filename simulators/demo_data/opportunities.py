"""Sales opportunities: their way through the stages, and Salesforce's view of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from simulators.demo_data.chance import after_days, between, happens, pick, stream, weighted
from simulators.demo_data.clock import salesforce_time
from simulators.demo_data.money import CURRENCY_OF_COUNTRY
from simulators.demo_data.salesforce import salesforce_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from random import Random

    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.records import Row
    from simulators.demo_data.salesforce import Account

WON, LOST = "Closed Won", "Closed Lost"
_OPEN_STAGES = ("Prospecting", "Qualification", "Proposal", "Negotiation")
_PROBABILITY = {
    "Prospecting": "10", "Qualification": "20", "Proposal": "50", "Negotiation": "75",
    WON: "100", LOST: "0",
}  # fmt: skip
_PURPOSES = ("expansion", "first order", "pilot", "renewal", "yearly contract")
_AMOUNT_STEP = Decimal(100)


@dataclass(frozen=True, slots=True)
class StageVisit:
    """One stay in a stage; `amount` is None where nobody filled it in.

    Attributes:
        close_days: How many days after entering the stage the seller expects to close.
    """

    source_id: str
    stage: str
    entered_at: datetime
    amount: Decimal | None
    close_days: int


@dataclass(slots=True, kw_only=True)
class Opportunity:
    """A chance to sell to an organisation.

    Attributes:
        visits: Every stay in a stage before the end of the data, in order; at least one.
        amount_lost: The amount was wiped from the opportunity, while its history still has it.
        deleted_at: When somebody deleted it, if ever.
    """

    source_id: str
    account: Account
    name: str
    currency: str
    visits: list[StageVisit]
    amount_lost: bool = False
    deleted_at: datetime | None = None

    def visit_at(self, at: datetime) -> StageVisit | None:
        """The stage it is in at the instant; None when it does not exist yet."""
        known = [visit for visit in self.visits if visit.entered_at < at]
        return known[-1] if known else None

    def is_deleted(self, at: datetime) -> bool:
        """Whether the deletion is visible at the instant."""
        return self.deleted_at is not None and self.deleted_at < at

    def amount_of(self, visit: StageVisit) -> Decimal | None:
        """The amount the opportunity itself shows during the visit."""
        return None if self.amount_lost else visit.amount


def invent_opportunities(
    seed: int, accounts: Sequence[Account], timeline: Timeline
) -> list[Opportunity]:
    """About two for every account, some still open; a few without an amount or deleted."""
    rng = stream(seed, "opportunities")
    opportunities = []
    for account in accounts:
        for _ in range(weighted(rng, {0: 12, 1: 26, 2: 25, 3: 18, 4: 11, 6: 6, 8: 2})):
            created_at = between(rng, account.created_at, timeline.end_batch_2)
            opportunities.append(
                Opportunity(
                    source_id=salesforce_id(rng, "006"),
                    account=account,
                    name=f"{account.organisation.name} / {rng.choice(_PURPOSES)}",
                    currency=CURRENCY_OF_COUNTRY[account.organisation.country],
                    visits=_visits(rng, created_at, timeline),
                )
            )
    for opportunity in pick(rng, opportunities, 0.006):
        opportunity.visits = [replace(visit, amount=None) for visit in opportunity.visits]
    for opportunity in pick(rng, opportunities, 0.006):
        opportunity.amount_lost = True
    for opportunity in pick(rng, opportunities, 0.008):
        last = opportunity.visits[-1].entered_at
        earliest = max(last + timedelta(minutes=1), timeline.end_batch_1)
        opportunity.deleted_at = between(rng, earliest, timeline.end_batch_2)
    return opportunities


def _visits(rng: Random, created_at: datetime, timeline: Timeline) -> list[StageVisit]:
    amount = rng.randrange(15, 950) * _AMOUNT_STEP
    visits, entered_at = [], created_at
    for stage in _path(rng):
        if entered_at >= timeline.end_batch_2:
            break
        visit_id = salesforce_id(rng, "008")
        visits.append(StageVisit(visit_id, stage, entered_at, amount, rng.randrange(14, 75)))
        if happens(rng, 0.25):
            amount = (amount * rng.choice((70, 80, 90, 125, 140)) / _AMOUNT_STEP).quantize(
                Decimal(1)
            )
        entered_at = after_days(rng, entered_at, 17)
    return visits


def _path(rng: Random) -> Iterator[str]:
    """Stages in the order they are entered; some are skipped, some are gone back to."""
    start = 0 if happens(rng, 0.75) else 1
    for place, stage in enumerate(_OPEN_STAGES[start:]):
        if place and happens(rng, 0.12):
            yield LOST
            return
        if place and happens(rng, 0.06):
            continue
        yield stage
        if place and happens(rng, 0.06):
            yield _OPEN_STAGES[start]
            yield stage
    yield WON if happens(rng, 0.66) else LOST


def opportunity_row(opportunity: Opportunity, at: datetime) -> tuple[datetime, Row] | None:
    """The opportunity as `Opportunity.csv` shows it at the instant; None: not yet."""
    visit = opportunity.visit_at(at)
    if visit is None:
        return None
    closed = visit.stage in (WON, LOST)
    deleted = opportunity.is_deleted(at)
    changed_at = (deleted and opportunity.deleted_at) or visit.entered_at
    close_at = visit.entered_at if closed else visit.entered_at + timedelta(days=visit.close_days)
    return changed_at, {
        "Id": opportunity.source_id,
        "AccountId": opportunity.account.source_id,
        "OwnerId": opportunity.account.owner_id,
        "Name": opportunity.name,
        "StageName": visit.stage,
        "Probability": _PROBABILITY[visit.stage],
        "Amount": _amount_text(opportunity.amount_of(visit)),
        "CurrencyIsoCode": opportunity.currency,
        "CloseDate": close_at.date().isoformat(),
        "IsClosed": "true" if closed else "false",
        "IsWon": "true" if visit.stage == WON else "false",
        "CreatedDate": salesforce_time(opportunity.visits[0].entered_at),
        "SystemModstamp": salesforce_time(changed_at),
        "IsDeleted": "true" if deleted else "false",
    }


def stage_visits(
    opportunities: Sequence[Opportunity],
) -> Iterator[tuple[Opportunity, StageVisit]]:
    """Every visit with its opportunity."""
    return ((opportunity, visit) for opportunity in opportunities for visit in opportunity.visits)


def history_row(stay: tuple[Opportunity, StageVisit], at: datetime) -> tuple[datetime, Row] | None:
    """The visit as `OpportunityHistory.csv` shows it at the instant; None: not yet."""
    opportunity, visit = stay
    if visit.entered_at >= at:
        return None
    return visit.entered_at, {
        "Id": visit.source_id,
        "OpportunityId": opportunity.source_id,
        "StageName": visit.stage,
        "Probability": _PROBABILITY[visit.stage],
        "Amount": _amount_text(visit.amount),
        "CreatedDate": salesforce_time(visit.entered_at),
    }


def _amount_text(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:.2f}"
