"""The search: filters, one sort, pages by offset up to a ceiling, and an index that lags behind."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from simulators.hubspot.answers import bad, body_of, following, number_of
from simulators.hubspot.catalogue import SYSTEM, changed_of, created_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from simulators.faults import Faults
    from simulators.hubspot.catalogue import Catalogue
    from simulators.hubspot.objects import Objects

_MOST, _USUAL = 200, 10
_GROUPS, _FILTERS, _FILTERS_OF_ALL = 5, 10, 25
_LISTED = "select value from json_each(?)"
_PRESENT = f"not deleted and id not in ({_LISTED})"
_NAME = re.compile(r"[A-Za-z0-9_]+")
_COMPARED = {"EQ": "=", "NEQ": "<>", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}
_DIRECTIONS = {"ASCENDING": "asc", "DESCENDING": "desc"}


@dataclass
class Search:
    """Answers searches.

    Attributes:
        catalogue: the types.
        objects: shows records.
        faults: what is to fail.
        ceiling: no search goes beyond so many results.
    """

    catalogue: Catalogue
    objects: Objects
    faults: Faults
    ceiling: int = 10_000
    _late: dict[str, set[str]] = field(default_factory=dict)

    def changed(self, object_: str, id_: str) -> None:
        """Hear of a record that is new or changed; the index may learn of it late."""
        if zlib.crc32(id_.encode()) % 2:
            self._late.setdefault(object_, set()).add(id_)

    async def answer(self, request: Request) -> Response:
        """Answer `POST /crm/v3/objects/{type}/search`."""
        object_ = self.catalogue.object_of(request.path_params["type"])
        body = await body_of(request)
        limit = number_of(body.get("limit"), "limit", default=_USUAL, most=_MOST, least=0)
        offset = number_of(body.get("after") or 0, "after", default=0, least=0, most=1 << 31)
        if offset + limit > self.ceiling:
            raise bad(f"Paging through the results beyond {self.ceiling} is not supported")
        where, values = self._where(object_, body.get("filterGroups") or [])
        hidden = set(self.catalogue.census(object_).hidden)
        if self.faults.take(SYSTEM, request.url.path, "late_rows"):
            hidden |= self._late.get(object_, set())
        where = f"{_PRESENT} and ({where})"
        values = [json.dumps(sorted(hidden)), *values]
        store = self.catalogue.store
        total = store.count(SYSTEM, object_, where, values)
        if self.faults.take(SYSTEM, request.url.path, "short_page"):
            limit = 0 if offset else limit // 2
        found = store.select(
            SYSTEM, object_, where, values,
            order=self._order(object_, body.get("sorts") or []), limit=limit, offset=offset,
        )  # fmt: skip
        wanted = [str(name) for name in body.get("properties") or []]
        results = [self.objects.shown(object_, record, wanted) for record in found]
        after = offset + len(found)
        is_last = after >= total
        if not is_last and self.faults.take(SYSTEM, request.url.path, "duplicate_page"):
            after = offset
        if self.faults.take(SYSTEM, request.url.path, "dropped_row"):
            results = results[:-1]
        return JSONResponse(
            {"total": total, "results": results, **({} if is_last else following(after, request))}
        )

    def _where(self, object_: str, groups: object) -> tuple[str, list[Any]]:
        """Turn filters into SQL: groups are alternatives, the filters of one hold together."""
        if not isinstance(groups, list) or len(groups) > _GROUPS:
            raise bad(f"A maximum of {_GROUPS} filterGroups is supported")
        counts = [len(group.get("filters") or []) for group in groups]
        if max(counts, default=0) > _FILTERS or sum(counts) > _FILTERS_OF_ALL:
            raise bad(f"A maximum of {_FILTERS} filters in a group is supported")
        values: list[Any] = []
        texts = []
        for group in groups:
            parts = [self._filter(object_, one, values) for one in group.get("filters") or []]
            texts.append(" and ".join(f"({part})" for part in parts) or "true")
        return " or ".join(f"({text})" for text in texts) or "true", values

    def _filter(self, object_: str, one: Mapping[str, Any], values: list[Any]) -> str:
        operator, name = one.get("operator"), str(one.get("propertyName"))
        column, is_number = self._column(object_, name)
        if operator in _COMPARED:
            is_range = operator not in {"EQ", "NEQ"}
            values.append(_value(one.get("value"), is_number=is_number or is_range))
            compared = column if is_number or not is_range else f"cast({column} as real)"
            return f"{compared} {_COMPARED[operator]} ?"
        if operator == "BETWEEN":
            values += [_value(one.get(end), is_number=True) for end in ("value", "highValue")]
            return f"{column if is_number else f'cast({column} as real)'} between ? and ?"
        if operator in {"IN", "NOT_IN"}:
            listed = [_value(value, is_number=is_number) for value in one.get("values") or []]
            values.append(json.dumps(listed))
            no = "not " if operator == "NOT_IN" else ""
            return f"{column} {no}in ({_LISTED})"
        if operator in {"HAS_PROPERTY", "NOT_HAS_PROPERTY"}:
            has = f"coalesce({column}, '') <> ''"
            return has if operator == "HAS_PROPERTY" else f"not ({has})"
        if operator in {"CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"}:
            values.append(str(one.get("value")).lower().strip("*"))
            has = f"instr(lower(coalesce({column}, '')), ?) > 0"
            return has if operator == "CONTAINS_TOKEN" else f"not ({has})"
        raise bad(f"operator {operator} is not valid")

    def _column(self, object_: str, name: str) -> tuple[str, bool]:
        """Return the SQL of a property, and whether it is a number: times are, and ids."""
        if name == changed_of(object_):
            return "modified", True
        if name == created_of(object_):
            return "created", True
        if name == "hs_object_id":
            return "cast(id as integer)", True
        if not _NAME.fullmatch(name) or name not in self.catalogue.census(object_).properties:
            raise bad(f"There was a problem with the request: property {name} does not exist")
        return f"body ->> '$.properties.{name}'", False

    def _order(self, object_: str, sorts: object) -> str:
        if not isinstance(sorts, list) or len(sorts) > 1:
            raise bad("Only one sort is supported")
        if not sorts:
            return "created, cast(id as integer)"
        one = {"propertyName": sorts[0]} if isinstance(sorts[0], str) else sorts[0]
        direction = _DIRECTIONS.get(one.get("direction", "ASCENDING"))
        if direction is None:
            raise bad("direction must be ASCENDING or DESCENDING")
        column, _ = self._column(object_, str(one.get("propertyName")))
        return f"{column} {direction}, cast(id as integer)"


def _value(value: object, *, is_number: bool) -> Any:  # noqa: ANN401  # of SQL
    if value is None:
        raise bad("value must not be null")
    if not is_number:
        return str(value)
    try:
        return int(str(value))
    except ValueError:
        try:
            return float(str(value))
        except ValueError:
            raise bad("value is not a number") from None
