"""The CRM API: its requests and what they answer, records left as they came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Raw

from crmhouse.errors import SourceUnavailableError
from ingestion.sources.hubspot.account import SEARCH
from ingestion.sources.hubspot.streams import cursor_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ingestion.http import Api

PAGE, SEARCH_PAGE, BATCH, BATCH_WITH_HISTORY = 100, 200, 100, 50
_OWNERS_PAGE = 100
_LONGEST_URL = 12_000  # HubSpot refuses some 16,000 bytes; what is around the properties is short
_STILL = 10
_GONE = "OBJECT_NOT_FOUND"


class _Following(msgspec.Struct):
    after: str


class _Paging(msgspec.Struct):
    next: _Following | None = None


class _Problem(msgspec.Struct):
    category: str = ""


class Page(msgspec.Struct):
    """A page of a list or a search.

    Attributes:
        results: the records.
        paging: where the next page is; None on the last one.
        total: how many records a search has found.
        errors: what a batch could not give.
    """

    results: list[Raw]
    paging: _Paging | None = None
    total: int = 0
    errors: list[_Problem] = msgspec.field(default_factory=list)

    @property
    def after(self) -> str | None:
        """Return where the next page begins; None after the last one."""
        return self.paging.next.after if self.paging and self.paging.next else None


class _Properties(msgspec.Struct):
    lastmodifieddate: str | None = None
    hs_lastmodifieddate: str | None = None
    hs_merged_object_ids: str | None = None


class _Head(msgspec.Struct, rename="camel"):
    id: str
    updated_at: str | None = None
    properties: _Properties = msgspec.field(default_factory=_Properties)


_head = msgspec.json.Decoder(_Head)


class _Property(msgspec.Struct):
    name: str


class _Named(msgspec.Struct):
    results: list[_Property]


class _Schema(msgspec.Struct, rename="camel"):
    fully_qualified_name: str


class _Schemas(msgspec.Struct):
    results: list[_Schema]


class Record(NamedTuple):
    """A record, and what the connector has to know of it.

    Attributes:
        text: its JSON, as it came.
        id: HubSpot's.
        changed: milliseconds since 1970; 0 where there is no time.
        updated_at: its version, as it came.
        merged: ids of the records that were merged into it.
    """

    text: bytes
    id: str
    changed: int
    updated_at: str | None
    merged: tuple[str, ...]


@dataclass(frozen=True)
class Crm:
    """The CRM API of an account.

    Attributes:
        api: how it is asked.
    """

    api: Api

    def property_names(self, object_: str) -> list[str]:
        """Return the names of an object's properties."""
        return [one.name for one in self.api.json(
            "GET", f"crm/v3/properties/{object_}", _Named
        ).results]  # fmt: skip

    def custom_objects(self) -> list[str]:
        """Return the full names of the account's custom objects."""
        found = self.api.json("GET", "crm-object-schemas/v3/schemas", _Schemas).results
        return [schema.fully_qualified_name for schema in found]

    def page(
        self,
        object_: str,
        properties: Sequence[str],
        *,
        after: str | None = None,
        archived: bool = False,
        limit: int = PAGE,
    ) -> Page:
        """Return a page of the list of an object's records, which has them by id."""
        asked = {"limit": str(limit), "archived": str(archived).lower()}
        if properties:
            asked["properties"] = ",".join(properties)
        if after is not None:
            asked["after"] = after
        return self.api.json("GET", f"crm/v3/objects/{object_}", Page, params=asked)

    def search(self, object_: str, body: dict[str, Any]) -> Page:
        """Return a page of a search."""
        return self.api.json(
            "POST", f"crm/v3/objects/{object_}/search", Page, limit=SEARCH, json=body
        )

    def read(
        self,
        object_: str,
        ids: Iterable[str],
        properties: Sequence[str],
        history: Sequence[str],
        *,
        archived: bool = False,
    ) -> Iterator[Raw]:
        """Yield the records with these ids, with however many properties.

        Raises:
            SourceUnavailableError: some are missing, and HubSpot does not say that they are gone.
        """
        body: dict[str, Any] = {"properties": properties, "propertiesWithHistory": history}
        path = f"crm/v3/objects/{object_}/batch/read"
        for some in chunks(ids, BATCH_WITH_HISTORY if history else BATCH):
            answer = self.api.json(
                "POST", path, Page, json={**body, "inputs": [{"id": id_} for id_ in some]},
                params={"archived": str(archived).lower()},
            )  # fmt: skip
            missing = len(some) - len(answer.results)
            if missing and not any(error.category == _GONE for error in answer.errors):
                raise SourceUnavailableError(
                    f"{object_}: of {len(some)} records that were asked for by their ids {missing} "
                    "did not arrive. Nothing of them was landed; sync again."
                )
            yield from answer.results

    def owners(self, *, archived: bool) -> Iterator[bytes]:
        """Yield the owners."""
        after: str | None = None
        steps = Steps("owners")
        while True:
            asked = {"limit": str(_OWNERS_PAGE), "archived": str(archived).lower()}
            page = self.api.json(
                "GET", "crm/v3/owners", Page, params=asked | ({"after": after} if after else {})
            )
            yield from map(bytes, page.results)
            if (after := steps.next(after, page.after)) is None:
                return

    def pipelines(self, object_: str) -> list[bytes]:
        """Return the pipelines of an object, each with the object's name."""
        found = self.api.json("GET", f"crm/v3/pipelines/{object_}", Page).results
        name = msgspec.json.encode({"objectType": object_})[:-1]
        return [name + b"," + bytes(one).lstrip().removeprefix(b"{") for one in found]


@dataclass
class Steps:
    """Follows pages, and ends where they lead nowhere.

    Attributes:
        what: is paged, for the message.
    """

    what: str
    _still: int = 0

    def next(self, asked: str | None, after: str | None) -> str | None:
        """Return where the next page begins; None after the last one.

        Raises:
            SourceUnavailableError: the same page is named as the next one again and again.
        """
        self._still = self._still + 1 if after is not None and after == asked else 0
        if self._still > _STILL:
            raise SourceUnavailableError(
                f"{self.what}: HubSpot has named the same page as the next one {_STILL} times. "
                "Nothing of it was landed; sync again."
            )
        return after


def are_too_long(properties: Sequence[str]) -> bool:
    """Say whether these properties do not fit into a URL, so that they are asked for in a body."""
    return sum(len(name) + len("%2C") for name in properties) > _LONGEST_URL


def record(object_: str, raw: Raw) -> Record:
    """Read of a record what the connector has to know."""
    head = _head.decode(raw)
    changed = getattr(head.properties, cursor_of(object_)) or head.updated_at
    merged = head.properties.hs_merged_object_ids
    others = tuple(one.strip() for one in merged.split(";") if one.strip()) if merged else ()
    return Record(bytes(raw), head.id, milliseconds(changed), head.updated_at, others)


def milliseconds(text: str | None) -> int:
    """Return a time as milliseconds since 1970; 0 where there is none."""
    if not text:
        return 0
    if text.isdigit():
        return int(text)
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def chunks(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield the items, so many at once."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
