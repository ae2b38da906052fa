"""Money: currencies, their smallest units, dated exchange rates. All of it exact decimals."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from simulators.demo_data.chance import stream
from simulators.demo_data.clock import Timeline, month_of, months_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

CURRENCY_OF_COUNTRY: Mapping[str, str] = {
    "US": "USD", "GB": "GBP", "DE": "EUR", "FR": "EUR", "CA": "CAD", "JP": "JPY",
}  # fmt: skip
# Price lists: units of the currency for one US dollar of list price, whatever the rate of the day.
LIST_PRICE_FACTOR: Mapping[str, Decimal] = {
    "USD": Decimal(1), "EUR": Decimal("0.95"), "GBP": Decimal("0.80"), "CAD": Decimal("1.35"),
    "JPY": Decimal(145),
}  # fmt: skip
_ZERO_DECIMAL = frozenset({"JPY"})
_FIRST_USD_PER_UNIT: Mapping[str, float] = {"CAD": 0.734, "EUR": 1.081, "GBP": 1.259, "JPY": 0.0069}
_MONTHLY_SPREAD = 0.025
_CENT = Decimal("0.01")
_RATE_STEP = Decimal("0.000001")


def rounded(amount: Decimal, currency: str) -> Decimal:
    """The amount in whole smallest units of its currency, halves away from zero."""
    step = Decimal(1) if currency in _ZERO_DECIMAL else _CENT
    return amount.quantize(step, ROUND_HALF_UP)


def minor_units(amount: Decimal, currency: str) -> int:
    """The amount as Stripe counts it: cents, or whole units where the currency has none."""
    return int(amount if currency in _ZERO_DECIMAL else amount * 100)


def cents(amount: Decimal) -> Decimal:
    """A total, rounded once at its end to cents, halves away from zero as PostgreSQL does it."""
    return amount.quantize(_CENT, ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class ExchangeRates:
    """US dollars per unit of a currency, by UTC month.

    Attributes:
        usd_per_unit: Keyed by month (`YYYY-MM`) and currency; the dollar itself is listed with 1.
    """

    usd_per_unit: Mapping[tuple[str, str], Decimal]

    def usd(self, amount: Decimal, currency: str, month: str) -> Decimal:
        """The amount in dollars at the month's rate, not rounded."""
        return amount * self.usd_per_unit[month, currency]

    def usd_at(self, amount: Decimal, currency: str, instant: datetime) -> Decimal:
        """The amount in dollars at the rate of the UTC month of the instant, not rounded."""
        return self.usd(amount, currency, month_of(instant))


def invent_rates(seed: int, timeline: Timeline) -> ExchangeRates:
    """A rate with six decimals for every currency and month, each month near the first one."""
    rng = stream(seed, "exchange rates")
    rates: dict[tuple[str, str], Decimal] = {}
    for month in months_until(timeline.begins, timeline.end_batch_2):
        for currency, first in _FIRST_USD_PER_UNIT.items():
            rate = Decimal(first * rng.uniform(1 - _MONTHLY_SPREAD, 1 + _MONTHLY_SPREAD)).quantize(
                _RATE_STEP
            )
            rates[month, currency] = rate
        rates[month, "USD"] = Decimal(1)
    return ExchangeRates(rates)
