"""Streams: what a source offers, declared once and checked when declared."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

from ingestion.naming import snake_case

if TYPE_CHECKING:
    from collections.abc import Mapping


Contract: TypeAlias = Literal["evolve", "freeze", "discard"]
"""What to do with records that need a new column or a wider type: see `SourceConfig`."""


class ColumnType(StrEnum):
    """Types of raw columns, by their names in PostgreSQL."""

    TEXT = "text"
    BIGINT = "bigint"
    NUMERIC = "numeric"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMPTZ = "timestamp with time zone"
    JSONB = "jsonb"


CONTENT_KEY = ("_row_hash", "_row_copy")
"""Primary key of a raw table without a key: the row's digest, and which of equal rows it is."""

TYPE_NAMES = MappingProxyType({kind.name.lower(): kind for kind in ColumnType})
"""The types by the names that the configuration has for them."""

WIDENS_TO = MappingProxyType(
    {ColumnType.BIGINT: ColumnType.NUMERIC, ColumnType.DATE: ColumnType.TIMESTAMPTZ}
)
"""The only changes of type that keep every value and its meaning."""


def are_related(one: ColumnType, other: ColumnType) -> bool:
    """Say whether two types are the same, or one of them widens to the other."""
    return one is other or WIDENS_TO.get(one) is other or WIDENS_TO.get(other) is one


@dataclass(frozen=True)
class Column:
    """A column of a raw table.

    Attributes:
        field: the source's own name; a nested field has its path, `properties.email`.
        type: the type that every value must fit.
        name: the name in PostgreSQL; made from `field` when left out.
    """

    field: str
    type: ColumnType
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", snake_case(self.field))


@dataclass(frozen=True)
class Stream:
    """One kind of record of one source, and how its versions follow each other.

    Attributes:
        name: the raw table's name.
        object: the source's own name of this kind of record (`Contact`, `orders`).
        key: names of the columns that identify a record. Only a snapshot may have none; its rows
            are then told apart by their content.
        columns: the declared columns. Fields beyond them are added as they appear.
        version: column with the source's time of the last change, type timestamp with time zone.
            None: the source has none, so the record read last is the current one.
        cursor: columns whose newest value says up to when the source is known: times, or seconds
            since 1970 (bigint). None of them may lie in the future. The version when left out.
        deleted: boolean column that is true when the source has deleted the record.
        deleted_at: column with the time of that deletion; the version when left out or NULL.
        flatten: nested objects whose fields become columns, with the prefix of their names.
        empty_is_null: whether the source writes an empty text where it has no value.
        snapshot: whether every sync reads all records, so that a missing one has been deleted.
        version_optional: whether a record may have no version; any version is newer than none.
    """

    name: str
    object: str
    key: tuple[str, ...]
    columns: tuple[Column, ...] = ()
    version: str | None = None
    cursor: tuple[str, ...] = ()
    deleted: str | None = None
    deleted_at: str | None = None
    flatten: Mapping[str, str] = field(default_factory=dict)
    empty_is_null: bool = False
    snapshot: bool = False
    version_optional: bool = False

    def __post_init__(self) -> None:
        if not self.key and not (self.snapshot and self.version is None):
            raise ValueError(f"stream {self.name}: a stream needs a key")
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"stream {self.name}: two columns have one name")
        types = {column.name: column.type for column in self.columns}
        if self.columns:
            self._require(types, *self.key)
        time = {ColumnType.TIMESTAMPTZ}
        self._require(types, self.version, of=time)
        self._require(types, *self.cursor, of=time | {ColumnType.BIGINT})
        self._require(types, self.deleted, of={ColumnType.BOOLEAN})
        self._require(types, self.deleted_at, of=time)

    def _require(
        self,
        types: Mapping[str, ColumnType],
        *names: str | None,
        of: set[ColumnType] | None = None,
    ) -> None:
        for name in names:
            if name is None:
                continue
            if name not in types:
                raise ValueError(f"stream {self.name}: {name} is not a declared column")
            if of and types[name] not in of:
                raise ValueError(f"stream {self.name}: {name} cannot be of type {types[name]}")

    @property
    def watermark(self) -> tuple[str, ...]:
        """Return the columns that say up to when the source is known."""
        return self.cursor or ((self.version,) if self.version else ())

    @property
    def required(self) -> tuple[str, ...]:
        """Return the columns without which a record cannot be landed: the key and the version."""
        if self.version is None or self.version_optional:
            return self.key
        return (*self.key, self.version)

    @property
    def pinned(self) -> frozenset[str]:
        """Return the columns that no value widens: what rows are found and ordered by."""
        return frozenset((*self.key, *self.watermark, *((self.version,) if self.version else ())))

    @property
    def identity(self) -> tuple[str, ...]:
        """Return the columns of the raw table's primary key."""
        return self.key or CONTENT_KEY

    def column_name(self, source_field: str) -> str:
        """Return the name of the column that an undeclared field gets."""
        for nested, prefix in self.flatten.items():
            if source_field.startswith(f"{nested}."):
                return snake_case(prefix + source_field.removeprefix(f"{nested}."))
        return snake_case(source_field)


def columns(type_of: ColumnType, *fields: str) -> tuple[Column, ...]:
    """Declare several columns of one type."""
    return tuple(Column(field, type_of) for field in fields)
