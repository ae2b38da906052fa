"""Queries: what the parameters of a request for a list ask for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulators.stripe.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.datastructures import QueryParams

LARGEST_PAGE, _USUAL_PAGE = 100, 10
_MOST_TYPES, _DEEPEST = 20, 4
_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_PAGING = frozenset({"limit", "starting_after", "ending_before"})


@dataclass
class Query:
    """A checked query.

    Attributes:
        limit: records of a page.
        after: id that the page comes after.
        before: id that the page comes before.
        created: comparison and second, of the time of creation.
        equal: values by field.
        types: of events; `*` at the end stands for anything.
        status: of subscriptions.
        expand: paths of fields.
    """

    limit: int = _USUAL_PAGE
    after: str | None = None
    before: str | None = None
    created: list[tuple[str, int]] = field(default_factory=list)
    equal: dict[str, str] = field(default_factory=dict)
    types: list[str] = field(default_factory=list)
    status: str | None = None
    expand: list[str] = field(default_factory=list)


def query_of(parameters: QueryParams, filters: Iterable[str], more: Iterable[str] = ()) -> Query:
    """Check the parameters of a list.

    Args:
        parameters: of the request.
        filters: fields that can be asked for.
        more: of `type`, `status` and `created`, what the list knows.

    Raises:
        StripeError: one is unknown, or not what it should be.
    """
    query, known = Query(), {*filters}
    for name, value in parameters.multi_items():
        base, _, key = name.rstrip("]").partition("[")
        if base == "expand":
            query.expand.append(_path(value))
        elif name in _PAGING:
            _page(query, name, value)
        elif (base if base in more else base.removesuffix("s")) in more:
            _special(query, base, key, value)
        elif name in known:
            query.equal[name] = value
        else:
            raise invalid(name, f"Received unknown parameter: {name}", code="parameter_unknown")
    if query.after and query.before:
        raise invalid(
            "ending_before", "You cannot parameterize both starting_after and ending_before."
        )
    if len(query.types) > _MOST_TYPES:
        raise invalid("types", f"You may only specify up to {_MOST_TYPES} types.")
    return query


def expansions(parameters: QueryParams) -> list[str]:
    """Return what a request for one object asks to expand."""
    return query_of(parameters, ()).expand


def _special(query: Query, name: str, key: str, value: str) -> None:
    """Take a parameter that is no field of the objects."""
    if name == "created":
        query.created.append(_second(name, key, value))
    elif name == "status":
        query.status = value
    else:
        query.types.append(value)


def _page(query: Query, name: str, value: str) -> None:
    if name == "limit":
        query.limit = _limit(value)
    elif name == "starting_after":
        query.after = value
    else:
        query.before = value


def _limit(value: str) -> int:
    if not value.isdecimal():
        raise invalid("limit", f"Invalid integer: {value}", code="parameter_invalid_integer")
    number = int(value)
    if number > LARGEST_PAGE:
        raise invalid(
            "limit",
            f"This value must be less than or equal to {LARGEST_PAGE} (it currently is '{value}').",
            code="parameter_invalid_integer",
        )
    if number < 1:
        raise invalid(
            "limit",
            "This value must be greater than or equal to 1.",
            code="parameter_invalid_integer",
        )
    return number


def _second(name: str, key: str, value: str) -> tuple[str, int]:
    if (key and key not in _COMPARISONS) or not value.isdecimal():
        raise invalid(name, f"Invalid integer: {value}", code="parameter_invalid_integer")
    return _COMPARISONS.get(key, "="), int(value)


def _path(value: str) -> str:
    if value.removeprefix("data.").count(".") >= _DEEPEST:
        raise invalid(
            "expand",
            f"You cannot expand more than {_DEEPEST} levels of a property. Property: {value}",
        )
    return value
