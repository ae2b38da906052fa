"""The shop's money and goods after the sale: transactions of orders, and what came back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.demo_data.chance import happens, stream
from simulators.demo_data.money import rounded
from simulators.demo_data.shop import TAX_RATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from decimal import Decimal
    from random import Random

    from simulators.demo_data.catalogue import OrderLine
    from simulators.demo_data.shop import Order, Refund
    from simulators.demo_data.stripe import Charge

RETURNED, NOT_RESTOCKED = "return", "no_restock"


@dataclass(frozen=True, slots=True)
class ReturnLine:
    """Pieces of an order's line that a refund is for, in major units of the order's currency.

    Attributes:
        restock: `return` where they came back, `no_restock` where the buyer kept them.
    """

    source_id: int
    line: OrderLine
    quantity: int
    subtotal: Decimal
    tax: Decimal
    restock: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """An attempt to move money for an order."""

    source_id: int
    kind: str
    succeeded: bool
    gateway: str
    created_at: datetime
    amount: Decimal


def invent_returns(seed: int, orders: Sequence[Order]) -> dict[int, list[ReturnLine]]:
    """What was returned, by the id of the refund; a refund that is for no goods is left out.

    A refund of everything is for all pieces, and for the shipping besides. The first part of an
    order that is refunded is for a single piece where it is worth so much, and goodwill besides.
    """
    rng = stream(seed, "shop returns")
    found = {}
    for order in orders:
        for refund in order.refunds[:1]:
            if refund.amount == order.total:
                lines = list(_everything(rng, order, refund))
            else:
                lines = list(_a_piece(rng, order, refund))
            if lines:
                found[refund.source_id] = lines
    return found


def _everything(rng: Random, order: Order, refund: Refund) -> Iterator[ReturnLine]:
    restock = NOT_RESTOCKED if happens(rng, 0.2) else RETURNED
    tax_left = order.tax
    for place, line in enumerate(order.lines):
        subtotal = line.price * line.quantity - line.discount
        is_last = place == len(order.lines) - 1
        tax = tax_left if is_last else rounded(subtotal * TAX_RATE, order.currency)
        tax_left -= tax
        number = refund.source_id * 10 + place
        yield ReturnLine(number, line, line.quantity, subtotal, tax, restock)


def _a_piece(rng: Random, order: Order, refund: Refund) -> Iterator[ReturnLine]:
    for line in rng.sample(order.lines, len(order.lines)):
        net = line.price * line.quantity - line.discount
        subtotal = rounded(net / line.quantity, order.currency)
        tax = rounded(subtotal * TAX_RATE, order.currency)
        if subtotal + tax <= refund.amount:
            yield ReturnLine(refund.source_id * 10, line, 1, subtotal, tax, RETURNED)
            return


def attempts_of(charges: Sequence[Charge]) -> dict[int, list[Charge]]:
    """The charges of each order that is paid by Stripe, by the order's id, in order of time."""
    found: dict[int, list[Charge]] = {}
    for charge in sorted(charges, key=lambda one: one.created_at):
        if charge.order:
            found.setdefault(charge.order.source_id, []).append(charge)
    return found


def transactions(order: Order, charges: Sequence[Charge]) -> Iterator[Transaction]:
    """All transactions of an order: failed attempts, the sale, and what undoes it.

    Args:
        order: The order.
        charges: Stripe's attempts to be paid for it; none where it is paid elsewhere.
    """
    gateway = "bogus" if order.is_test else "stripe" if charges else _elsewhere(order)
    number = order.source_id * 10
    for charge in charges:
        if not charge.succeeded:
            yield Transaction(number, "sale", False, gateway, charge.created_at, order.total)
            number += 1
    yield Transaction(number, "sale", True, gateway, order.created_at, order.total)
    if order.cancelled_at:
        yield Transaction(number + 1, "void", True, gateway, order.cancelled_at, order.total)
    for place, refund in enumerate(order.refunds, start=1):
        yield Transaction(number + place, "refund", True, gateway, refund.created_at, refund.amount)


def _elsewhere(order: Order) -> str:
    return "cash" if order.channel == "pos" else "paypal"
