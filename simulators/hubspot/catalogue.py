"""The catalogue: names of the types of objects, what may be read of them, and their properties."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from simulators.hubspot.answers import bad

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulators.store import Store, Stored

SYSTEM = "hubspot"
MERGED = "hs_merged_object_ids"
_PAGE = 5000


class Type(NamedTuple):
    """A type of objects.

    Attributes:
        id: HubSpot's.
        singular: its other name.
        scope: what a token needs to read it.
        defaults: the properties that are shown when none are asked for.
    """

    id: str
    singular: str
    scope: str
    defaults: tuple[str, ...]


def _own(id_: str, singular: str, scope: str, *shown: str) -> Type:
    return Type(id_, singular, scope, ("hs_createdate", "hs_lastmodifieddate", *shown))


TYPES = {
    "contacts": Type(
        "0-1", "contact", "crm.objects.contacts.read",
        ("createdate", "email", "firstname", "lastmodifieddate", "lastname"),
    ),
    "companies": _own("0-2", "company", "crm.objects.companies.read", "name", "domain"),
    "deals": _own("0-3", "deal", "crm.objects.deals.read", "dealname", "amount", "dealstage"),
    "tickets": _own("0-5", "ticket", "tickets", "subject", "hs_pipeline_stage"),
    "products": _own("0-7", "product", "crm.objects.products.read", "name", "price"),
    "line_items": _own("0-8", "line_item", "crm.objects.line_items.read", "quantity", "amount"),
    "tasks": _own("0-27", "task", "crm.objects.contacts.read"),
    "notes": _own("0-46", "note", "crm.objects.contacts.read"),
    "meetings": _own("0-47", "meeting", "crm.objects.contacts.read"),
    "calls": _own("0-48", "call", "crm.objects.contacts.read"),
    "emails": _own("0-49", "email", "sales-email-read"),
}  # fmt: skip
_NAMES = {
    name: plural for plural, kind in TYPES.items() for name in (plural, kind.singular, kind.id)
}


def changed_of(object_: str) -> str:
    """Return the property with the time of the last change."""
    return "lastmodifieddate" if object_ == "contacts" else "hs_lastmodifieddate"


def created_of(object_: str) -> str:
    """Return the property with the time of creation."""
    return "createdate" if object_ == "contacts" else "hs_createdate"


@dataclass(frozen=True)
class Census:
    """What there is of an object, as of a batch.

    Attributes:
        properties: their names: those that records have, and those of HubSpot.
        names: the same, to look them up.
        alive: ids of the records that are there, ascending.
        archived: ids of the archived ones, ascending.
        hidden: ids of the records that are no longer there: merged into others, or purged.
    """

    properties: tuple[str, ...]
    names: frozenset[str]
    alive: tuple[int, ...]
    archived: tuple[int, ...]
    hidden: frozenset[str]


@dataclass
class Catalogue:
    """What an account has.

    Attributes:
        store: the records.
    """

    store: Store
    _censuses: dict[tuple[str, int], Census] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def object_of(self, name: str) -> str:
        """Return the object that a path names: plural, singular or HubSpot's id.

        Raises:
            RefusedError: there is no such object.
        """
        if name in _NAMES:
            return _NAMES[name]
        for schema in self.store.select(SYSTEM, "schemas", "not deleted"):
            body = schema.body
            if name in {schema.id, body.get("name"), body.get("fullyQualifiedName")}:
                return str(body["name"])
        raise bad(f"Unable to infer object type from: {name}")

    def type_of(self, object_: str) -> Type:
        """Return the type of an object."""
        return TYPES.get(object_) or _own(object_, object_, "crm.objects.custom.read")

    def scope_of(self, name: str) -> str:
        """Return what a token needs to read an object; an unknown one is refused later."""
        return self.type_of(_NAMES.get(name, name)).scope

    def census(self, object_: str) -> Census:
        """Return what there is of an object now."""
        key = object_, self.store.batch
        with self._lock:
            if key not in self._censuses:
                self._censuses[key] = self._counted(object_)
            return self._censuses[key]

    def described(self, object_: str) -> list[dict[str, Any]]:
        """Return the properties as the API shows them."""
        times = {changed_of(object_), created_of(object_)}
        return [
            {
                "name": name,
                "label": name.replace("_", " ").capitalize(),
                "type": "datetime" if name in times else "string",
                "fieldType": "date" if name in times else "text",
                "description": "",
                "groupName": f"{self.type_of(object_).singular}information",
                "options": [],
                "displayOrder": -1,
                "hidden": False,
                "calculated": name.startswith("hs_"),
                "externalOptions": False,
                "hasUniqueValue": name == "hs_object_id",
                "hubspotDefined": True,
                "formField": True,
                "archived": False,
            }
            for name in self.census(object_).properties
        ]

    def _counted(self, object_: str) -> Census:
        names = {"hs_object_id", MERGED, *self.type_of(object_).defaults}
        alive, archived, hidden = set[str](), set[str](), set[str]()
        for record in self._records(object_):
            properties = record.body.get("properties", {})
            names.update(properties)
            hidden.update(filter(None, (properties.get(MERGED) or "").split(";")))
            if record.body.get("purged"):
                hidden.add(record.id)
            (archived if record.deleted else alive).add(record.id)
        return Census(
            tuple(sorted(names)),
            frozenset(names),
            tuple(sorted(map(int, alive - hidden))),
            tuple(sorted(map(int, archived - hidden))),
            frozenset(hidden),
        )

    def _records(self, object_: str) -> Iterator[Stored]:
        last = 0
        while some := self.store.select(
            SYSTEM, object_, "position > ?", [last], order="position", limit=_PAGE
        ):
            yield from some
            last = some[-1].position
