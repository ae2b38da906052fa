"""SOQL: as much of it as readers need, made into SQL over the store.

SELECT <fields> | FIELDS(ALL | STANDARD | CUSTOM) | COUNT() FROM <object>
[WHERE <field> <= | != | < | > | <= | >= | IN | NOT IN | LIKE> <value> AND | OR | NOT (…)]
[ORDER BY <field> [ASC | DESC] [NULLS FIRST | LAST], …] [LIMIT <n>]
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulators.salesforce.answers import Refusal, malformed
from simulators.salesforce.fields import COMPOUND, NUMBERS
from simulators.store import milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulators.salesforce.fields import Field

    FieldsOf = Callable[[str], Mapping[str, Field]]

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')"
    r"|(?P<moment>\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))?)"
    r"|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_][\w.]*)"
    r"|(?P<sign><=|>=|!=|<>|[=<>(),]))"
)
_COMPARED = frozenset({"=", "!=", "<>", "<", ">", "<=", ">="})
_COLUMNS = {"Id": "id", "CreatedDate": "created", "SystemModstamp": "modified"}
_FIELDS = frozenset({"ALL", "STANDARD", "CUSTOM"})
_UNSUPPORTED = frozenset({"GROUP", "OFFSET", "TYPEOF"})


@dataclass
class Query:
    """A query that has been read.

    Attributes:
        object: its name.
        fields: what is selected; empty for COUNT().
        where: SQL.
        values: of its parameters.
        order: SQL.
        limit: negative for none.
        has_count: whether the number of records is all that is asked for.
    """

    object: str = ""
    fields: list[str] = field(default_factory=list)
    where: str = "true"
    values: list[Any] = field(default_factory=list)
    order: str = "position"
    limit: int = -1
    has_count: bool = False


def parse(text: str, fields_of: FieldsOf) -> Query:
    """Read a query.

    Args:
        text: SOQL.
        fields_of: gives the fields of an object; refuses one that is not there.

    Raises:
        Refusal: it is malformed, or asks for what is not there.
    """
    return _Parser(_tokens(text), fields_of).query()


def _tokens(text: str) -> list[tuple[str, str]]:
    found, position = [], 0
    text = text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise malformed(f"unexpected token at position {position}")
        found.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]], fields_of: FieldsOf) -> None:
        self._tokens, self._position, self._fields_of = tokens, 0, fields_of
        self._known: Mapping[str, Field] = {}
        self._query = Query()

    def query(self) -> Query:
        self._expect("SELECT")
        selected = self._selected()
        self._expect("FROM")
        self._query.object = self._take("name")
        self._known = self._fields_of(self._query.object)
        self._query.fields = [name for one in selected for name in self._resolved(one)]
        if self._accept("WHERE"):
            self._query.where = self._either()
        if self._accept("ORDER"):
            self._expect("BY")
            self._query.order = ", ".join([*self._listed(self._ordered), "position"])
        if self._accept("LIMIT"):
            self._query.limit = int(self._take("number"))
        if self._position < len(self._tokens):
            raise malformed(f"unexpected token: {self._tokens[self._position][1]!r}")
        return self._query

    def _selected(self) -> list[str]:
        if self._accept("COUNT"):
            self._expect("(")
            self._expect(")")
            self._query.has_count = True
            return []
        return self._listed(self._one_selected)

    def _one_selected(self) -> str:
        name = self._take("name")
        if name.upper() in _UNSUPPORTED:
            raise malformed(f"{name} is not supported here")
        if name.upper() != "FIELDS":
            return name
        self._expect("(")
        which = self._take("name").upper()
        self._expect(")")
        if which not in _FIELDS:
            raise malformed(f"FIELDS({which}) is not known")
        return f"FIELDS({which})"

    def _resolved(self, selected: str) -> list[str]:
        if selected.startswith("FIELDS"):
            whether = {"STANDARD": False, "CUSTOM": True}.get(selected[7:-1])
            return [name for name in self._known if whether in {None, name.endswith("__c")}]
        return [self._field(selected).name]

    def _field(self, name: str) -> Field:
        for known, found in self._known.items():
            if known.lower() == name.lower():
                return found
        raise Refusal(
            400,
            "INVALID_FIELD",
            f"No such column '{name}' on entity '{self._query.object}'. If you are attempting to "
            "use a custom field, be sure to append the '__c' after the custom field name.",
        )

    def _either(self) -> str:
        parts = [self._both()]
        while self._accept("OR"):
            parts.append(self._both())
        return f"({' or '.join(parts)})"

    def _both(self) -> str:
        parts = [self._condition()]
        while self._accept("AND"):
            parts.append(self._condition())
        return f"({' and '.join(parts)})"

    def _condition(self) -> str:
        if self._accept("NOT"):
            return f"(not {self._condition()})"
        if self._accept("("):
            inner = self._either()
            self._expect(")")
            return inner
        found = self._field(self._take("name"))
        if self._accept("LIKE"):
            self._query.values.append(_unquoted(self._take("text")))
            return f"{_sql(found)} like ?"
        is_not = self._accept("NOT")
        if self._accept("IN"):
            self._expect("(")
            values = self._listed(lambda: self._value(found))
            self._expect(")")
            self._query.values += values
            return f"{_sql(found)} {'not in' if is_not else 'in'} ({', '.join('?' * len(values))})"
        sign = self._take("sign")
        if sign not in _COMPARED or is_not:
            raise malformed(f"unexpected token: {sign!r}")
        value = self._value(found)
        if value is None:
            return f"{_sql(found)} is {'' if sign == '=' else 'not '}null"
        self._query.values.append(value)
        # In SOQL what is empty differs from every value.
        return f"{_sql(found)} {'is not' if sign in {'!=', '<>'} else sign} ?"

    def _value(self, found: Field) -> Any:  # noqa: ANN401  # what SQLite takes
        kind, text = (
            self._tokens[self._position] if self._position < len(self._tokens) else ("", "")
        )
        self._position += 1
        if kind == "name" and text.lower() == "null":
            return None
        if found.type == "boolean":
            if text.lower() not in {"true", "false"}:
                raise self._mismatch(found, "BOOLEAN")
            return text.lower() == "true"
        if found.type in {"datetime", "date"}:
            if kind != "moment" or ("T" in text) is not (found.type == "datetime"):
                raise self._mismatch(found, found.type.upper())
            return milliseconds(text) if found.type == "datetime" else text
        if found.type in NUMBERS:
            if kind != "number":
                raise self._mismatch(found, "NUMBER")
            return float(text)
        if kind != "text":
            raise self._mismatch(found, "STRING")
        return _unquoted(text)

    def _mismatch(self, found: Field, kind: str) -> Refusal:
        return Refusal(
            400,
            "INVALID_QUERY_FILTER_OPERATOR",
            f"filter criterion for field '{found.name}' must be of type {kind}",
        )

    def _ordered(self) -> str:
        found = self._field(self._take("name"))
        way = "desc" if self._accept("DESC") else "asc"
        self._accept("ASC")
        nulls = "first"
        if self._accept("NULLS"):
            nulls = "last" if self._accept("LAST") else "first"
            self._accept("FIRST")
        return f"{_sql(found)} {way} nulls {nulls}"

    def _listed(self, one: Callable[[], Any]) -> list[Any]:
        found = [one()]
        while self._accept(","):
            found.append(one())
        return found

    def _accept(self, word: str) -> bool:
        there = self._position < len(self._tokens)
        if there and self._tokens[self._position][1].upper() == word:
            self._position += 1
            return True
        return False

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            raise malformed(f"expecting {word}")

    def _take(self, kind: str) -> str:
        if self._position < len(self._tokens) and self._tokens[self._position][0] == kind:
            self._position += 1
            return self._tokens[self._position - 1][1]
        raise malformed(f"expecting a {kind}")


def _sql(found: Field) -> str:
    """Return a field as SQL; the name is one that the object has."""
    if found.type in COMPOUND:
        raise Refusal(400, "INVALID_FIELD", f"field '{found.name}' can not be filtered")
    if found.name in _COLUMNS:
        return _COLUMNS[found.name]
    if found.name == "IsDeleted":
        return "deleted"
    value = f"nullif(body ->> '$.\"{found.name}\"', '')"
    if found.type == "boolean":
        return f"({value} in ('true', 1))"
    if found.type == "datetime":
        seconds = f"substr({value}, 1, 19)"
        return (
            f"(unixepoch({seconds}) * 1000 + coalesce(cast(substr({value}, 21, 3) as integer), 0))"
        )
    return f"cast({value} as real)" if found.type in NUMBERS else value


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])
