"""The connector of a Stripe account."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from crmhouse.errors import QuotaExhaustedError, SourceRefusedError, SourceUnavailableError
from ingestion.http import IMPATIENT, Api, Bearer, Patience, Rule
from ingestion.sources.connector import ByOneProcess, always
from ingestion.sources.stripe.account import AT_ONCE, Account
from ingestion.sources.stripe.answers import Clock
from ingestion.sources.stripe.feed import Feed
from ingestion.sources.stripe.options import StripeOptions
from ingestion.sources.stripe.reader import Reader
from ingestion.sources.stripe.resources import RESOURCES
from ingestion.sources.stripe.streams import API_STREAMS

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Mapping
    from datetime import datetime

    from ingestion.slices import Slice
    from ingestion.sources.connector import Claim, Given
    from ingestion.streams import Stream

PATIENCE = Patience()


@dataclass(frozen=True)
class StripeConnector(ByOneProcess):
    """Reads the objects of one account.

    Attributes:
        name: of the source, for messages.
        options: as configured.
        batch_rows: records in memory at once.
        chosen: the streams that are synced.
        patience: how long and how often is asked.
    """

    name: str
    options: StripeOptions
    batch_rows: int
    chosen: tuple[Stream, ...] = API_STREAMS
    patience: Patience = PATIENCE
    _feed: Feed = field(default_factory=Feed, repr=False)

    system = "stripe"

    def only(self, streams: Collection[str]) -> StripeConnector:
        """Return this connector, restricted to these streams."""
        chosen = tuple(stream for stream in self.chosen if stream.name in streams)
        return replace(self, chosen=chosen)

    def streams(self) -> tuple[Stream, ...]:
        """Return the streams, in the order in which they are synced."""
        return self.chosen

    def check(self) -> list[str]:
        """Say what keeps the account from being read; nothing when all is well."""
        problems: dict[str, str] = {}  # by what was answered: a wrong key is one problem
        for stream in self.chosen:
            try:
                with self._reader(stream, IMPATIENT) as reader:
                    reader.touch()
            except SourceRefusedError as error:
                what = str(error).partition(" answered ")[2]
                problems.setdefault(what or str(error), str(error))
            except (SourceUnavailableError, QuotaExhaustedError) as error:
                return [*problems.values(), str(error)]
        return list(problems.values())

    def slices(
        self,
        stream: Stream,
        landed: Mapping[str, Mapping[str, Any]],
        claim: Claim = always,  # noqa: ARG002
    ) -> Generator[Slice]:
        """Yield what has to be landed, in order.

        Args:
            stream: one of this connector's.
            landed: the checkpoints of the stream, by slice; kept up to date while slices land.
            claim: not needed: a list can only be read from its beginning on.

        Raises:
            SourceUnavailableError: the account did not answer as it should.
            SourceRefusedError: the key is wrong, or lacks a permission.
            QuotaExhaustedError: the account is to be asked later.
        """
        with self._reader(stream) as reader:
            yield from reader.slices(landed)

    def everything(self, stream: Stream) -> Generator[Slice]:
        """Yield one slice with all objects of the stream."""
        with self._reader(stream) as reader:
            yield from reader.everything()

    def window(self, stream: Stream, start: datetime, end: datetime) -> Generator[Slice]:
        """Yield the slice of the objects that were created in `start` <= time < `end`."""
        with self._reader(stream) as reader:
            yield from reader.created(start, end)

    def no_window(self, stream: Stream) -> None:  # the signature of Connector
        """Say nothing: every stream can be read by a window of time."""

    @contextmanager
    def _reader(self, stream: Stream, patience: Patience | None = None) -> Iterator[Reader]:
        clock = Clock()
        with self._api(patience or self.patience, clock) as api:
            resource = RESOURCES[stream.object]
            account = Account(api, clock)
            yield Reader(account, stream, resource, self.options, self.batch_rows, self._feed)

    def _api(self, patience: Patience, clock: Clock) -> Api:
        key = self.options.api_key.get_secret_value()
        per_second = self.options.requests_per_second
        return Api(
            self.name,
            self.options.url,
            Bearer(key),
            clock.judge,
            {"default": Rule(per_second, burst=max(1, int(per_second)), at_once=AT_ONCE)},
            account=f"{self.options.url} {hashlib.sha256(key.encode()).hexdigest()}",
            headers={"Stripe-Version": self.options.version},
            patience=patience,
        )


def build(options: Mapping[str, Any], given: Given) -> StripeConnector:
    """Make the connector of a source of the kind `stripe`.

    Args:
        options: the configured options, checked against `StripeOptions`.
        given: what it gets beside them.
    """
    checked = StripeOptions.model_validate(options)
    return StripeConnector(given.name, checked, given.batch_rows, patience=PATIENCE)
