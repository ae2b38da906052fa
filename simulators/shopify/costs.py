"""Costs: what a query may take of the bucket of an app, told before it runs by its page sizes."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    VariableNode,
    get_named_type,
    is_composite_type,
)

if TYPE_CHECKING:
    from graphql import DocumentNode, GraphQLSchema, SelectionSetNode

_CONNECTION, _MUTATION = 2, 10
_PLAIN = frozenset({"edges", "nodes", "node", "pageInfo"})


def requested(schema: GraphQLSchema, document: DocumentNode, variables: dict[str, Any]) -> int:
    """Return the cost of a query: one for each object, two for a connection, and its records."""
    fragments = {
        part.name.value: part
        for part in document.definitions
        if isinstance(part, FragmentDefinitionNode)
    }
    counter = _Counter(schema, fragments, variables)
    total = 0
    for part in document.definitions:
        if isinstance(part, OperationDefinitionNode):
            if part.operation.value == "mutation":
                total += _MUTATION * len(part.selection_set.selections)
                continue
            total += counter.of(part.selection_set, "QueryRoot")
    return total


@dataclass(frozen=True)
class _Counter:
    schema: GraphQLSchema
    fragments: dict[str, FragmentDefinitionNode]
    variables: dict[str, Any]

    def of(self, selection: SelectionSetNode | None, kind: str) -> int:
        total = 0
        for part in selection.selections if selection else ():
            match part:
                case FieldNode():
                    total += self._field(part, kind)
                case InlineFragmentNode():
                    on = part.type_condition.name.value if part.type_condition else kind
                    total += self.of(part.selection_set, on)
                case FragmentSpreadNode():
                    spread = self.fragments[part.name.value]
                    total += self.of(spread.selection_set, spread.type_condition.name.value)
        return total

    def _field(self, node: FieldNode, kind: str) -> int:
        known = getattr(self.schema.get_type(kind), "fields", {})
        if node.name.value not in known:
            return 0
        type_ = get_named_type(known[node.name.value].type)
        if not is_composite_type(type_):
            return 0
        inner = self.of(node.selection_set, type_.name)
        if node.name.value == "nodes" and node.arguments:
            return (1 + inner) * len(self.variables.get("ids") or ())
        if node.name.value in _PLAIN:
            return inner + (node.name.value in {"node", "nodes"})
        if type_.name.endswith("Connection"):
            return _CONNECTION + self._first(node) * inner
        return 1 + inner

    def _first(self, node: FieldNode) -> int:
        for argument in node.arguments or ():
            if argument.name.value in {"first", "last"}:
                value = argument.value
                if isinstance(value, VariableNode):
                    return int(self.variables.get(value.name.value) or 0)
                if isinstance(value, IntValueNode):
                    return int(value.value)
        return 0


@dataclass
class Bucket:
    """What an app may spend.

    Attributes:
        size: points that it holds.
        restore_rate: points that come back in a second.
        single: the most that one query may cost.
    """

    size: float = 2000
    restore_rate: float = 100
    single: float = 1000
    _left: float = field(default=-1, init=False)
    _at: float = field(default_factory=time.monotonic, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def take(self, cost: float) -> bool:
        """Take the cost of a query, if there is so much."""
        with self._lock:
            left = self._now()
            if left < cost:
                return False
            self._left = left - cost
            return True

    def give_back(self, points: float) -> None:
        """Put back what a query did not need."""
        with self._lock:
            self._left = min(self.size, self._now() + points)

    def status(self) -> dict[str, float]:
        """Tell what there is."""
        with self._lock:
            left = self._now()
        return {
            "maximumAvailable": float(self.size),
            "currentlyAvailable": int(left),
            "restoreRate": float(self.restore_rate),
        }

    def _now(self) -> float:
        now = time.monotonic()
        left = self.size if self._left < 0 else self._left
        self._left = min(self.size, left + (now - self._at) * self.restore_rate)
        self._at = now
        return self._left
