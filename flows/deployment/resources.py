"""What is declared, and what a server holds, in one form that can be compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Kind = Literal[
    "work pool",
    "work queue",
    "concurrency limit",
    "block",
    "flow",
    "deployment",
    "schedule",
    "automation",
]
# In the order in which they are made: each refers to those before it only.
KINDS: tuple[Kind, ...] = (
    "work pool",
    "work queue",
    "concurrency limit",
    "block",
    "flow",
    "deployment",
    "schedule",
    "automation",
)

AUTOMATION_PREFIX = "crmhouse-"
BLOCK_PREFIX = "crmhouse-alerts-"
LIMIT_PREFIX = "source-"
# In place of a block in the action of an automation: one action for each configured target.
ALERTS = "crmhouse-alerts"

REFERENCES: dict[str, Kind] = {
    "block_document_id": "block",
    "deployment_id": "deployment",
    "work_pool_id": "work pool",
    "work_queue_id": "work queue",
    "automation_id": "automation",
}


class FromEnvironment(str):
    """A value that the environment filled in: a plan does not show it, it may be a secret."""

    __slots__ = ()


@dataclass(frozen=True)
class Resource:
    """One thing on a Prefect server.

    Attributes:
        name: unique within the kind: of a queue `<pool>/<queue>`, of a block `<type>/<name>`, of a
            deployment `<flow>/<name>`, of a schedule `<flow>/<deployment>/<slug>`.
        fields: what is compared. Other resources stand in it by their names, not by their ids.
        paused: whether it is declared to be, or is, out of action.
        ours: whether it may be removed when nothing declares it any more.
        hidden: whether its values are secrets.
        id: of the server's.
        twins: ids of further ones with the same name, where Prefect lets that happen.
    """

    kind: Kind
    name: str
    fields: dict[str, Any]
    paused: bool = False
    ours: bool = True
    hidden: bool = False
    id: str = ""
    twins: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """What the resource is found by."""
        return self.kind, self.name


Key: TypeAlias = tuple[Kind, str]
State: TypeAlias = dict[Key, Resource]


@dataclass
class Faults:
    """Everything that is wrong with what is declared, so that all of it is said at once."""

    found: list[str] = field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        """Note a fault."""
        self.found.append(f"  {where}: {what}")
