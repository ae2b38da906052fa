"""The org: its records, its fields, its clock."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from simulators.salesforce import fields as fields_module
from simulators.salesforce import soql
from simulators.salesforce.answers import Refusal
from simulators.salesforce.fields import SYSTEM, Field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulators.faults import Faults
    from simulators.salesforce.soql import Query
    from simulators.store import Store, Stored

_AFTER_THE_NEWEST = timedelta(minutes=2)


@dataclass
class Org:
    """An org.

    Attributes:
        store: the records.
        faults: what is to fail.
        special: fields that are to be other than the records say, by object and name: formulas,
            compound fields.
        no_bulk: objects that Bulk refuses.
        purged: records that are in no recycle bin any more, and so in no query, with the time of
            their deletion in milliseconds since 1970, by object and id.
    """

    store: Store
    faults: Faults
    special: dict[str, dict[str, Field]] = field(default_factory=lambda: defaultdict(dict))
    no_bulk: set[str] = field(default_factory=set)
    purged: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))

    @property
    def objects(self) -> list[str]:
        """Return the names of the objects."""
        return fields_module.objects(self.store)

    @property
    def now(self) -> datetime:
        """Return the time of the org: shortly after its newest record.

        The records of a folder are of the past. By this clock what the next batch brings is newer
        than what was read before it, as it would be with a real org.
        """
        newest = max(
            (self.store.newest(SYSTEM, object_) for object_ in self.store.objects(SYSTEM)),
            default=0,
        )
        if not newest:
            return datetime.now(UTC)
        return datetime.fromtimestamp(newest / 1000, UTC) + _AFTER_THE_NEWEST

    def fields(self, object_: str) -> dict[str, Field]:
        """Return the fields of an object.

        Raises:
            Refusal: there is no such object.
        """
        if object_ not in self.objects:
            raise Refusal(
                HTTPStatus.NOT_FOUND, "NOT_FOUND", "The requested resource does not exist"
            )
        return fields_module.fields_of(self.store, object_, self.special[object_])

    def parse(self, text: str) -> Query:
        """Read a query.

        Raises:
            Refusal: it is malformed, or asks for what is not there.
        """
        return soql.parse(text, self._asked_for)

    def _asked_for(self, object_: str) -> dict[str, Field]:
        if object_ not in self.objects:
            raise Refusal(
                HTTPStatus.BAD_REQUEST,
                "INVALID_TYPE",
                f"sObject type '{object_}' is not supported. If you are attempting to use a custom "
                "object, be sure to append the '__c' after the entity name.",
            )
        return self.fields(object_)

    def count(self, query: Query, *, is_all: bool) -> int:
        """Count the records of a query."""
        where, values = self._visible(query, is_all=is_all)
        return self.store.count(SYSTEM, query.object, where, values)

    def select(self, query: Query, *, is_all: bool) -> list[Stored]:
        """Return the records of a query, without the newest ones while these are late."""
        where, values = self._seen_now(query, is_all=is_all)
        return self.store.select(
            SYSTEM, query.object, where, values, order=query.order, limit=query.limit
        )

    def each(self, query: Query, *, is_all: bool) -> Iterator[Stored]:
        """Yield the same records; as they are now, if the query has neither order nor limit."""
        if query.limit >= 0 or query.order != soql.Query.order:
            return iter(self.select(query, is_all=is_all))
        return self.store.each(SYSTEM, query.object, *self._seen_now(query, is_all=is_all))

    def _seen_now(self, query: Query, *, is_all: bool) -> tuple[str, list[Any]]:
        where, values = self._visible(query, is_all=is_all)
        if self.faults.take(SYSTEM, query.object, "late_rows"):
            newest = self.store.newest(SYSTEM, query.object, where, values)
            return f"({where}) and modified < ?", [*values, newest]
        return where, values

    def _visible(self, query: Query, *, is_all: bool) -> tuple[str, list[Any]]:
        """Return the condition of a query, and its values, for those records that may be seen."""
        gone = [*self.purged[query.object]]
        where = f"{query.where} and id not in ({', '.join('?' * len(gone))})"
        return where if is_all else f"{where} and not deleted", [*query.values, *gone]
