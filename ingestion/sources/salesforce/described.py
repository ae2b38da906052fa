"""What describe tells of an object, as a stream, as columns and as a query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from types import MappingProxyType
from typing import TYPE_CHECKING

from ingestion.naming import snake_case
from ingestion.sources.salesforce.streams import DECLARED
from ingestion.streams import Column, ColumnType, Stream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ingestion.sources.salesforce.answers import Description

# Bulk selects no compound field; their parts are fields of their own. Binary content is no column.
_NOT_READ = frozenset({"address", "location", "base64", "complexvalue"})
_TYPES = MappingProxyType({
    "boolean": ColumnType.BOOLEAN,
    "int": ColumnType.BIGINT,
    "long": ColumnType.BIGINT,
    "double": ColumnType.NUMERIC,
    "currency": ColumnType.NUMERIC,
    "percent": ColumnType.NUMERIC,
    "date": ColumnType.DATE,
    "datetime": ColumnType.TIMESTAMPTZ,
})  # fmt: skip
_CURSORS = ("SystemModstamp", "LastModifiedDate", "CreatedDate", "LoginTime")
_ID, _DELETED = "Id", "IsDeleted"


@dataclass(frozen=True)
class Described:
    """An object of an org.

    Attributes:
        stream: its stream.
        types: of the fields that are read.
        cursor: the field by whose time changes are found; None where there is none.
        calculated: the fields whose values change without the record.
        has_feed: whether it is in the feed of deleted records.
    """

    stream: Stream
    types: Mapping[str, ColumnType]
    cursor: str | None
    calculated: frozenset[str]
    has_feed: bool

    def soql(
        self, low: datetime | None = None, high: datetime | None = None, *, only_ids: bool = False
    ) -> str:
        """Return the query of the records whose cursor is in `low` <= cursor < `high`.

        It has no order: that would keep Bulk from reading chunk by chunk.
        """
        bounds = [
            f"{self.cursor} {sign} {_literal(when)}"
            for sign, when in ((">=", low), ("<", high))
            if when is not None
        ]
        where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
        fields = _ID if only_ids else ", ".join(self.types)
        return f"SELECT {fields} FROM {self.stream.object}{where}"  # noqa: S608  # names of the org


def described(description: Description) -> Described:
    """Return what is read of an object."""
    names = [field.name for field in description.fields]
    stream = DECLARED.get(description.name) or _declare(description.name, names)
    versions = {column.name: column.field for column in stream.columns}
    declared = {column.field: column.type for column in stream.columns}
    return Described(
        stream,
        {
            field.name: declared.get(field.name) or _TYPES.get(field.type, ColumnType.TEXT)
            for field in description.fields
            if field.type not in _NOT_READ
        },
        versions[stream.version] if stream.version else None,
        frozenset(field.name for field in description.fields if field.calculated),
        description.replicateable and stream.deleted is not None and stream.version is not None,
    )


def _declare(object_: str, names: list[str]) -> Stream:
    cursor = next((name for name in _CURSORS if name in names), None)
    columns = [Column(_ID, ColumnType.TEXT)]
    if cursor:
        columns.append(Column(cursor, ColumnType.TIMESTAMPTZ))
    if _DELETED in names:
        columns.append(Column(_DELETED, ColumnType.BOOLEAN))
    return Stream(
        name=snake_case(object_),
        object=object_,
        key=("id",),
        columns=tuple(columns),
        version=snake_case(cursor) if cursor else None,
        deleted="is_deleted" if _DELETED in names else None,
        empty_is_null=True,
        snapshot=cursor is None,
    )


def _literal(when: datetime) -> str:
    text = when.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
