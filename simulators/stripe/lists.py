"""Lists: pages of stored records, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulators.stripe.errors import invalid, missing
from simulators.stripe.resources import (
    DISCOUNTS,
    RESOURCES,
    deleted,
    envelope,
    nested_items,
    refers_to,
    shown,
)

if TYPE_CHECKING:
    from simulators.store import Body, Store, Stored
    from simulators.stripe.queries import Query
    from simulators.stripe.resources import Resource

SYSTEM = "stripe"
_ENDED = ("canceled", "incomplete_expired")
_SECOND = 1000


@dataclass(frozen=True)
class Lists:
    """Reads the store as the API shows it."""

    store: Store

    def page(
        self, resource: Resource, query: Query, seen: tuple[str, list[Any]] = ("true", [])
    ) -> dict[str, Any]:
        """Return a page.

        Args:
            resource: of which list.
            query: what was asked for.
            seen: the condition, and its values, of the records that can be seen.

        Raises:
            StripeError: the id to go on from is unknown, or what was asked cannot be expanded.
        """
        where, values = _conditions(resource, query)
        where.append(seen[0])
        values += seen[1]
        order = "created desc, id desc"
        if (id_ := query.after or query.before) is not None:
            mark = self._mark(resource, id_, "starting_after" if query.after else "ending_before")
            where.append(f"(created, id) {'<' if query.after else '>'} (?, ?)")
            values += [mark.created, mark.id]
        if query.before is not None:
            order = "created, id"
        found = self.store.select(
            SYSTEM, resource.name, " and ".join(where), values, order=order, limit=query.limit + 1
        )
        has_more, found = len(found) > query.limit, found[: query.limit]
        if query.before is not None:
            found.reverse()
        return envelope(
            f"/v1/{resource.name}",
            (self._expanded(resource, record.body, query.expand, "data.") for record in found),
            has_more=has_more,
        )

    def one(self, resource: Resource, id_: str, expand: list[str]) -> Body:
        """Return an object, or what is left of a deleted one.

        Raises:
            StripeError: there is none.
        """
        record = self.store.get(SYSTEM, resource.name, id_)
        if record is None:
            raise missing(resource, id_)
        if record.deleted:
            return deleted(resource, id_)
        return self._expanded(resource, record.body, expand)

    def nested(self, resource: Resource, id_: str, field: str, query: Query) -> dict[str, Any]:
        """Return a page of a list that belongs to an object.

        Raises:
            StripeError: there is no such object, or no such item to go on from.
        """
        record = self.store.get(SYSTEM, resource.name, id_)
        if record is None or record.deleted:
            raise missing(resource, id_)
        items = nested_items(record.body, field)
        ids = [item.get("id") for item in items]
        start, end = 0, len(items)
        if query.after is not None:
            start = _position(ids, query.after, "starting_after") + 1
        if query.before is not None:
            end = _position(ids, query.before, "ending_before")
            start = max(0, end - query.limit)
            has_more = start > 0
        else:
            end = min(end, start + query.limit)
            has_more = end < len(items)
        url = resource.nested[field].format(id=id_)
        return envelope(url, items[start:end], has_more=has_more)

    def _mark(self, resource: Resource, id_: str, param: str) -> Stored:
        record = self.store.get(SYSTEM, resource.name, id_)
        if record is None or record.deleted:
            raise missing(resource, id_, param)
        return record

    def _expanded(
        self, resource: Resource, record: Body, paths: list[str], prefix: str = ""
    ) -> Body:
        names = {path: path.removeprefix(prefix).split(".") for path in paths}
        body = shown(resource, record, {first for first, *_ in names.values()})
        for path, inner in names.items():
            if not path.startswith(prefix):
                raise invalid("expand", f"This property cannot be expanded ({path}).")
            self._expand(body, inner, path)
        return body

    def _expand(self, body: Body, names: list[str], path: str) -> None:
        """Put objects in the place of their ids; what is a list is shown anyway."""
        name, *rest = names
        target = refers_to(name)
        value = body.get(name)
        if isinstance(value, str) and target is not None:
            value = body[name] = self.one(RESOURCES[target], value, [])
        elif target is None and name != DISCOUNTS and not isinstance(value, dict | list):
            raise invalid("expand", f"This property cannot be expanded ({path}).")
        inner = value if isinstance(value, list) else [value]
        for item in inner if rest else ():
            if isinstance(item, dict):
                self._expand(item, rest, path)


def _conditions(resource: Resource, query: Query) -> tuple[list[str], list[Any]]:
    where, values = ["deleted = 0"], list[Any]()
    for comparison, second in query.created:
        where.append(f"created / {_SECOND} {comparison} ?")
        values.append(second)
    for field, value in query.equal.items():
        where.append("body ->> ? = ?")
        values += [f"$.{field}", _literal(value)]
    if query.types:
        where.append("(" + " or ".join(["body ->> '$.type' glob ?"] * len(query.types)) + ")")
        values += query.types
    if resource.name == "subscriptions" and query.status != "all":
        if query.status is None:
            where.append("body ->> '$.status' not in (?, ?)")
            values += _ENDED
        elif query.status == "ended":
            where.append("body ->> '$.status' in (?, ?)")
            values += _ENDED
        else:
            where.append("body ->> '$.status' = ?")
            values.append(query.status)
    return where, values


def _literal(value: str) -> str | int:
    """Return a value as SQLite shows it: it has no booleans."""
    return {"true": 1, "false": 0}.get(value, value)


def _position(ids: list[Any], id_: str, param: str) -> int:
    if id_ not in ids:
        raise invalid(param, f"No such item: '{id_}'", code="resource_missing")
    return ids.index(id_)
