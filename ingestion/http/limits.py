"""Limits: how fast an account may be asked, whoever asks it in this process."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Rule:
    """What an API allows a class of requests.

    Attributes:
        per_second: requests that may begin in a second, in the long run.
        burst: requests that may begin at once after a rest.
        at_once: requests that may be under way.
    """

    per_second: float
    burst: int = 1
    at_once: int = 8


@dataclass
class Limit:
    """A token bucket and a number of places, for one account and one class of requests."""

    rule: Rule
    _tokens: float = field(init=False)
    _filled_at: float = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _places: threading.BoundedSemaphore = field(init=False)

    def __post_init__(self) -> None:
        self._tokens, self._filled_at = float(self.rule.burst), time.monotonic()
        self._places = threading.BoundedSemaphore(self.rule.at_once)

    @contextmanager
    def place(self, cost: float = 1) -> Iterator[None]:
        """Wait until a request may begin, and hold its place while it is under way.

        Args:
            cost: tokens that it takes; at most those of a burst are waited for.
        """
        with self._places:
            if wait := self._take(min(cost, self.rule.burst)):
                time.sleep(wait)
            yield

    def pause(self, seconds: float) -> None:
        """Let no request begin for so long: the API has said so to one of them."""
        with self._lock:
            self._fill()
            self._tokens = min(self._tokens, 1 - seconds * self.rule.per_second)

    def _take(self, cost: float) -> float:
        """Take the tokens, and return for how many seconds they are still to come."""
        with self._lock:
            self._fill()
            self._tokens -= cost
            return max(0.0, -self._tokens / self.rule.per_second)

    def _fill(self) -> None:
        now = time.monotonic()
        grown = self._tokens + (now - self._filled_at) * self.rule.per_second
        self._tokens, self._filled_at = min(grown, float(self.rule.burst)), now


_limits: dict[tuple[str, str], Limit] = {}
_lock = threading.Lock()


def limit_of(account: str, name: str, rule: Rule) -> Limit:
    """Return the limit of an account for a class of requests: the same one to all who ask."""
    with _lock:
        known = _limits.get((account, name))
        if known is None or known.rule != rule:
            known = _limits[account, name] = Limit(rule)
        return known
