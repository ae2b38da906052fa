"""Randomness: a seeded stream per part, so that a new field in one leaves the others alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from string import ascii_letters, digits
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

T = TypeVar("T")

_LETTERS_AND_DIGITS = ascii_letters + digits


def stream(seed: int, part: str) -> Random:
    """The random numbers of one part; the same seed and part always give the same numbers."""
    # Seeding with text goes through SHA-512, so it does not depend on PYTHONHASHSEED.
    return Random(f"{seed}/{part}")  # noqa: S311 - invented data, nothing is protected by it


def happens(rng: Random, share: float) -> bool:
    """True in `share` of the cases."""
    return rng.random() < share


def weighted(rng: Random, weights: Mapping[T, float]) -> T:
    """One key, drawn in proportion to its weight."""
    return rng.choices(list(weights), list(weights.values()))[0]


def between(rng: Random, earliest: datetime, latest: datetime) -> datetime:
    """A whole second in [earliest, latest); `earliest` when the span is shorter than that."""
    seconds = int((latest - earliest).total_seconds())
    return earliest + timedelta(seconds=rng.randrange(seconds)) if seconds > 0 else earliest


def after_days(rng: Random, instant: datetime, mean_days: float) -> datetime:
    """An instant at least a minute later; the wait is exponential with the given mean."""
    return instant + timedelta(seconds=60 + int(rng.expovariate(1 / (mean_days * 86_400))))


def pick(rng: Random, items: Sequence[T], share: float, *, at_least: int = 2) -> list[T]:
    """About `share` of the items, `at_least` that many where there are enough; order is random.

    Every kind of trap goes through here or through a share of thousands of records, so that a small
    data set has each of them too.
    """
    count = max(at_least, round(share * len(items)))
    return rng.sample(items, min(count, len(items)))


def token(rng: Random, length: int) -> str:
    """Letters of both cases and digits, as the systems' ids have them."""
    return "".join(rng.choices(_LETTERS_AND_DIGITS, k=length))
