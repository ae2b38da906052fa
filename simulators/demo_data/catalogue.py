"""The shop's articles, and what lies in a basket."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING

from simulators.demo_data.chance import stream, weighted
from simulators.demo_data.money import LIST_PRICE_FACTOR, rounded
from simulators.demo_data.words import PRODUCT_MATERIALS, PRODUCT_THINGS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random


@dataclass(frozen=True, slots=True)
class Product:
    """An article of the catalogue with its list price in dollars."""

    number: int
    title: str
    usd: Decimal


@dataclass(frozen=True, slots=True)
class OrderLine:
    """Some of one article; `discount` is off the whole line."""

    source_id: int
    product: Product
    quantity: int
    price: Decimal
    discount: Decimal


def invent_catalogue(seed: int) -> list[Product]:
    """Every article the shop sells."""
    rng = stream(seed, "catalogue")
    titles = [" ".join(words) for words in product(PRODUCT_MATERIALS, PRODUCT_THINGS)]
    return [
        Product(number, title, rng.randrange(7, 190) + Decimal("0.90"))
        for number, title in enumerate(titles)
    ]


def fill_basket(
    rng: Random, catalogue: Sequence[Product], currency: str, first_id: int
) -> list[OrderLine]:
    """One to four lines at the list prices of the currency, numbered from `first_id`."""
    lines = []
    for place in range(weighted(rng, {1: 55, 2: 25, 3: 13, 4: 7})):
        article = rng.choice(catalogue)
        quantity = weighted(rng, {1: 70, 2: 18, 3: 8, 6: 4})
        price = rounded(article.usd * LIST_PRICE_FACTOR[currency], currency)
        discount_rate = weighted(rng, {Decimal(0): 70, Decimal("0.1"): 20, Decimal("0.25"): 10})
        discount = rounded(price * quantity * discount_rate, currency)
        lines.append(OrderLine(first_id + place, article, quantity, price, discount))
    return lines
