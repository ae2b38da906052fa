"""Spans of a list: all objects of some seconds of creation, so that it is known which are gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingestion.sources.stripe.account import Account
    from ingestion.sources.stripe.resources import Resource


@dataclass
class Seconds:
    """Reads a list from a second of creation down to the end of another one.

    Attributes:
        account: whose.
        resource: the list.
        high: the second to begin with; None: the newest.
        most: objects, after which the next full second ends it.
        low: the second that was reached and is not in it; None at the end of the list.
        records: how many objects there were.
    """

    account: Account
    resource: Resource
    high: int | None
    most: int
    low: int | None = None
    records: int = 0

    def texts(self) -> Iterator[bytes]:
        """Yield the objects, whole; the same when again."""
        self.low, self.records = None, 0
        window = {} if self.high is None else {"created[lte]": self.high}
        second: list[bytes] = []  # what is known of the one that was reached
        reached = None
        for page in self.account.pages(self.resource.path, {**self.resource.query, **window}):
            for mark, text in page:
                if second and mark.created != reached:
                    yield from map(self.account.whole, second)
                    self.records += len(second)
                    second = []
                    if self.records >= self.most:
                        self.low = mark.created
                        return
                second.append(text)
                reached = mark.created
        yield from map(self.account.whole, second)
        self.records += len(second)
