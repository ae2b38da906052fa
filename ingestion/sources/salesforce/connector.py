"""An org as a source: objects as streams, as describe tells them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from crmhouse.errors import ConfigurationError, CrmhouseError, SourceRefusedError
from ingestion.http import IMPATIENT, Patience, Token
from ingestion.naming import snake_case
from ingestion.refresh_tokens import RefreshTokens
from ingestion.sources.connector import ByOneProcess, always
from ingestion.sources.salesforce.auth import Login
from ingestion.sources.salesforce.options import SalesforceOptions
from ingestion.sources.salesforce.org import Known, opened
from ingestion.sources.salesforce.queries import Queries
from ingestion.sources.salesforce.reader import Reader
from ingestion.sources.salesforce.streams import DECLARED
from ingestion.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Mapping
    from datetime import datetime

    from ingestion.slices import Slice
    from ingestion.sources.connector import Claim, Given
    from ingestion.sources.salesforce.org import Org

_OF_ONE_OBJECT = ("INSUFFICIENT_ACCESS", "INVALID_TYPE", "NOT_FOUND", "cannot be queried")


@dataclass(frozen=True)
class SalesforceConnector(ByOneProcess):
    """Reads the objects of one org.

    Attributes:
        name: the source's, for messages.
        options: as configured.
        batch_rows: records in memory at once.
        patience: how long and how often the org is asked.
        tokens: keeps refresh tokens that the org has replaced.
        chosen: names of the streams that are synced; all of them when None.
    """

    name: str
    options: SalesforceOptions
    batch_rows: int
    patience: Patience
    tokens: RefreshTokens | None = field(default=None, repr=False)
    chosen: frozenset[str] | None = None
    _known: Known = field(default_factory=Known, repr=False)
    _token: list[Token] = field(default_factory=list, repr=False)

    system = "salesforce"

    def only(self, streams: Collection[str]) -> SalesforceConnector:
        """Return this connector, restricted to these streams."""
        return replace(self, chosen=frozenset(streams))

    def streams(self) -> tuple[Stream, ...]:
        """Return the streams; objects that are not declared are described by the org."""
        if all(object_ in DECLARED for object_ in self._objects):
            return tuple(DECLARED[object_] for object_ in self._objects)
        with self._org() as org:
            return tuple(
                DECLARED.get(object_) or _stream(org, object_) for object_ in self._objects
            )

    def check(self) -> list[str]:
        """Say what keeps the objects from being read; nothing when all is well."""
        problems: dict[str, None] = {}
        with replace(self, patience=IMPATIENT)._org() as org:  # noqa: SLF001  # of this class
            try:
                org.log_in()
                for object_ in self._objects:
                    try:
                        org.describe(object_)
                    except SourceRefusedError as error:
                        problems[str(error)] = None
                        if not any(code in str(error) for code in _OF_ONE_OBJECT):
                            break  # the others will not be told of, either
            except CrmhouseError as error:  # of the org as a whole
                problems[str(error)] = None
        return [*problems]

    def slices(
        self,
        stream: Stream,
        landed: Mapping[str, Mapping[str, Any]],
        claim: Claim = always,  # noqa: ARG002  # one process reads an org's object
    ) -> Generator[Slice]:
        """Yield what is to be landed, in order."""
        with self._reader(stream) as reader:
            yield from reader.slices(landed)

    def everything(self, stream: Stream) -> Generator[Slice]:
        """Yield one slice with all records."""
        with self._reader(stream) as reader:
            yield from reader.everything()

    def window(self, stream: Stream, start: datetime, end: datetime) -> Generator[Slice]:
        """Yield the slice of the records that changed in `start` <= time < `end`.

        Raises:
            ConfigurationError: the object has no time of change.
        """
        with self._reader(stream) as reader:
            if reason := self._no_window(reader, stream):
                raise ConfigurationError(reason)
            yield from reader.window(start, end)

    def no_window(self, stream: Stream) -> str | None:
        """Say why an object cannot be read by a window of time; None where it can."""
        with self._reader(stream) as reader:
            return self._no_window(reader, stream)

    def _no_window(self, reader: Reader, stream: Stream) -> str | None:
        if reader.object.cursor is not None:
            return None
        return (
            f"Source {self.name}, stream {stream.name}: it cannot be read by a window of "
            "time, for its object has no time of change."
        )

    @property
    def _objects(self) -> list[str]:
        return [
            object_
            for object_ in self.options.objects
            if self.chosen is None or _name_of(object_) in self.chosen
        ]

    @contextmanager
    def _reader(self, stream: Stream) -> Iterator[Reader]:
        with self._org() as org:
            yield Reader(Queries(org, org.describe(stream.object), self.batch_rows))

    @contextmanager
    def _org(self) -> Iterator[Org]:
        place = f"Source {self.name}"
        if not self._token:  # one session for all that this connector does
            login = Login(place, self.options, self.patience, self.tokens)
            self._token.append(Token(login.fetch))
        with opened(place, self.options, self._token[0], self._known, self.patience) as org:
            yield org


def _name_of(object_: str) -> str:
    return DECLARED[object_].name if object_ in DECLARED else snake_case(object_)


def _stream(org: Org, object_: str) -> Stream:
    try:
        return org.describe(object_).stream
    except SourceRefusedError:  # it is raised again when the stream is read, and others are not
        return Stream(name=snake_case(object_), object=object_, key=(), snapshot=True)


def build(options: Mapping[str, Any], given: Given) -> SalesforceConnector:
    """Make the connector of a source of the kind `salesforce`.

    Args:
        options: the configured options, checked against `SalesforceOptions`.
        given: what it gets beside them; replaced refresh tokens are kept in its warehouse.
    """
    checked = SalesforceOptions.model_validate(options)
    tokens = None
    if checked.refresh_token and checked.client_secret:
        secrets = checked.client_secret.get_secret_value(), checked.refresh_token.get_secret_value()
        tokens = RefreshTokens(given.warehouse, given.name, secrets)
    return SalesforceConnector(given.name, checked, given.batch_rows, Patience(), tokens)
