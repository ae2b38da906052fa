"""REST: objects and their fields, queries with pages, and the feed of deleted records."""

from __future__ import annotations

import itertools
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from simulators.salesforce.answers import Refusal, not_found
from simulators.salesforce.fields import SYSTEM
from simulators.salesforce.values import json_value, moment
from simulators.store import milliseconds

if TYPE_CHECKING:
    from simulators.salesforce.org import Org
    from simulators.salesforce.soql import Query
    from simulators.store import Stored

_PAGE = 2000
_SMALLEST_PAGE = 200
_DAYS_OF_FEED = 15
_PARTS = 25
_UNCOUNTED = ("History", "Feed", "Share", "ChangeEvent")


@dataclass
class _Cursor:
    query: Query
    rows: list[Stored]
    size: int


@dataclass
class Rest:
    """The REST resources of an org.

    Attributes:
        org: its records.
        page: records of a page, where a request does not say it.
        most_ids: ids that one answer of the feed of deleted records may have.
    """

    org: Org
    page: int = _PAGE
    most_ids: int = 600_000
    _cursors: dict[str, _Cursor] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def objects(self, version: str) -> dict[str, Any]:
        """List the objects."""
        base = f"/services/data/v{version}/sobjects"
        return {
            "encoding": "UTF-8",
            "maxBatchSize": 200,
            "sobjects": [
                {
                    "name": name, "label": name, "queryable": True, "replicateable": True,
                    "custom": name.endswith("__c"), "urls": {"sobject": f"{base}/{name}"},
                }
                for name in self.org.objects
            ],
        }  # fmt: skip

    def describe(self, object_: str) -> dict[str, Any]:
        """Describe an object."""
        fields = self.org.fields(object_)
        return {
            "name": object_,
            "label": object_,
            "queryable": True,
            "replicateable": "IsDeleted" in fields,
            "custom": object_.endswith("__c"),
            "fields": [found.described for found in fields.values()],
        }

    def counts(self, names: list[str]) -> dict[str, Any]:
        """Count the records of objects that are not deleted; those of history are not counted."""
        known = [name for name in self.org.objects if not name.endswith(_UNCOUNTED)]
        return {
            "sObjects": [
                {"name": name, "count": self.org.store.count(SYSTEM, name, "not deleted")}
                for name in known
                if name in names
            ]
        }

    def composite(self, asked: dict[str, Any], version: str) -> dict[str, Any]:
        """Answer up to 25 requests that are sent as one, which counts as one.

        Only those for descriptions of objects are answered here.

        Raises:
            Refusal: there are too many.
        """
        parts = asked.get("compositeRequest") or []
        if len(parts) > _PARTS:
            raise Refusal(400, "LIMIT_EXCEEDED", f"at most {_PARTS} subrequests are allowed")
        return {"compositeResponse": [self._part(part, version) for part in parts]}

    def _part(self, part: dict[str, Any], version: str) -> dict[str, Any]:
        status: int = 200
        body: Any
        path = re.fullmatch(
            rf"/services/data/v{re.escape(version)}/sobjects/(\w+)/describe/?", part["url"]
        )
        try:
            body = self.describe(path[1] if path and part["method"] == "GET" else "")
        except Refusal as refusal:
            status = refusal.status
            body = [{"message": refusal.message, "errorCode": refusal.code}]
        return {
            "body": body, "httpHeaders": {}, "httpStatusCode": status,
            "referenceId": part["referenceId"],
        }  # fmt: skip

    def query(self, soql: str, options: str, path: str, *, is_all: bool) -> dict[str, Any]:
        """Answer the first page of a query.

        Args:
            soql: what is asked.
            options: the header `Sforce-Query-Options`.
            path: of the resource, for the address of the next page.
            is_all: whether deleted records are shown.
        """
        query = self.org.parse(soql)
        if query.has_count:
            return {"totalSize": self.org.count(query, is_all=is_all), "done": True, "records": []}
        name = f"01g{next(self._numbers):015d}"
        rows = self.org.select(query, is_all=is_all)
        with self._lock:
            self._cursors[name] = _Cursor(query, rows, self._size(options))
        return self.more(f"{name}-0", path)

    def more(self, locator: str, path: str) -> dict[str, Any]:
        """Answer a page of a query that was asked before.

        Raises:
            Refusal: there is no such query.
        """
        name, _, start = locator.rpartition("-")
        cursor = self._cursors.get(name)
        if cursor is None or not start.isdigit():
            raise Refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        first, known = int(start), self.org.fields(cursor.query.object)
        end = first + cursor.size
        base = f"/services/data/{path.strip('/').split('/')[2]}/sobjects/{cursor.query.object}"
        records = [
            {
                "attributes": {"type": cursor.query.object, "url": f"{base}/{row.id}"},
                **{name: json_value(known[name], row.body) for name in cursor.query.fields},
            }
            for row in cursor.rows[first:end]
        ]
        is_done = end >= len(cursor.rows)
        if not is_done and self.org.faults.take(SYSTEM, cursor.query.object, "duplicate_page"):
            end = first
        more = {} if is_done else {"nextRecordsUrl": f"{path}/{name}-{end}"}
        return {"totalSize": len(cursor.rows), "done": is_done, **more, "records": records}

    def deleted(self, object_: str, start: str, end: str) -> dict[str, Any]:
        """Tell which records were deleted in a span of time; seconds are ignored.

        Raises:
            Refusal: the span is none, begins too early, or has too many records.
        """
        self.org.fields(object_)
        low, high = (_minute(text) for text in (start, end))
        now = self.org.now
        earliest = now - timedelta(days=_DAYS_OF_FEED)
        if low >= high:
            raise Refusal(400, "INVALID_REPLICATION_DATE", "startDate must be before endDate")
        if low < earliest - timedelta(minutes=1):
            raise Refusal(
                400, "INVALID_REPLICATION_DATE", "startDate cannot be more than 15 days ago"
            )
        rows = self.org.store.select(
            SYSTEM,
            object_,
            "deleted and modified >= ? and modified < ?",
            [milliseconds(low.isoformat()), milliseconds(high.isoformat())],
        )
        found = [(row.id, row.modified) for row in rows] + [
            (id_, when)
            for id_, when in self.org.purged.get(object_, {}).items()
            if low.timestamp() * 1000 <= when < high.timestamp() * 1000
        ]
        if len(found) > self.most_ids:
            raise Refusal(400, "EXCEEDED_ID_LIMIT", "too many ids: ask for a shorter span")
        return {
            "deletedRecords": [
                {"id": id_, "deletedDate": moment(when, "+0000")} for id_, when in found
            ],
            "earliestDateAvailable": moment(int(earliest.timestamp() * 1000), "+0000"),
            "latestDateCovered": moment(int(min(high, now).timestamp() * 1000), "+0000"),
        }

    def _size(self, options: str) -> int:
        name, _, size = options.partition("=")
        if name.strip() == "batchSize" and size.strip().isdigit():
            return min(max(int(size), _SMALLEST_PAGE), _PAGE)
        return self.page


def _minute(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise not_found() from None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return when.replace(second=0, microsecond=0)
