"""The difference between what is declared and what a server holds, field by field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from crmhouse.errors import ConfigurationError
from crmhouse.literal_secrets import looks_secret
from flows.deployment.resources import KINDS, FromEnvironment, Kind, Resource, State

if TYPE_CHECKING:
    from collections.abc import Iterator

Action = Literal["create", "change", "remove"]
HIDDEN = "(hidden)"
_NOTHING = "(nothing)"


@dataclass(frozen=True)
class FieldChange:
    """One value that changes."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Change:
    """One resource that is made, changed or removed.

    Attributes:
        declared: what it is to be; None where it is removed.
        present: what it is; None where it is made.
    """

    action: Action
    kind: Kind
    name: str
    fields: tuple[FieldChange, ...]
    declared: Resource | None
    present: Resource | None


@dataclass(frozen=True)
class Plan:
    """What an apply would do.

    Attributes:
        changes: in the order of the apply.
        unchanged: how many resources are as declared.
        paused: what somebody has paused, and what therefore stays paused.
        left: what is ours and no longer declared; removed with `prune` only.
    """

    changes: tuple[Change, ...]
    unchanged: int
    paused: tuple[str, ...]
    left: tuple[str, ...]


def compare(declared: State, present: State, *, prune: bool) -> Plan:
    """Find what has to change.

    Raises:
        ConfigurationError: the work pool is of another type, which Prefect cannot change.
    """
    changes: list[Change] = []
    paused: list[str] = []
    unchanged = 0
    for wanted in sorted(declared.values(), key=lambda one: KINDS.index(one.kind)):
        held = present.get(wanted.key)
        if held is None:
            changes.append(Change("create", wanted.kind, wanted.name, (), wanted, None))
            continue
        _refuse_other_type(wanted, held)
        if held.paused and not wanted.paused:
            paused.append(f"{wanted.kind} {wanted.name}")
        if fields := (*_fields(wanted, held),):
            changes.append(Change("change", wanted.kind, wanted.name, fields, wanted, held))
        else:
            unchanged += 1
    gone = [one for key, one in present.items() if one.ours and key not in declared]
    gone.sort(key=lambda one: -KINDS.index(one.kind))
    if prune:
        changes += [Change("remove", one.kind, one.name, (), None, one) for one in gone]
    left = () if prune else tuple(f"{one.kind} {one.name}" for one in gone)
    return Plan(tuple(changes), unchanged, tuple(paused), left)


def _refuse_other_type(wanted: Resource, held: Resource) -> None:
    if wanted.kind == "work pool" and wanted.fields["type"] != held.fields["type"]:
        raise ConfigurationError(
            f"The work pool {wanted.name} is of type {held.fields['type']}, and "
            f"orchestration.work_pool_type says {wanted.fields['type']}. Prefect cannot change the "
            f"type of a pool. Stop its workers and remove it (prefect work-pool delete "
            f"{wanted.name}), then deploy again."
        )


def _fields(wanted: Resource, held: Resource) -> Iterator[FieldChange]:
    # A queue without a declared priority keeps the one that Prefect gave it.
    defaults = {"priority"} if wanted.fields.get("priority", 0) is None else set()
    for path, old, new in _leaves(held.fields, wanted.fields, ""):
        if path in defaults:
            continue
        if wanted.hidden:
            yield FieldChange(path, HIDDEN, HIDDEN)
        else:
            # What was there before was filled in, too.
            hide = _is_filled(new) and old not in (None, _NOTHING)
            yield FieldChange(path, HIDDEN if hide else _shown(path, old), _shown(path, new))
    if wanted.paused and not held.paused:
        yield FieldChange("paused", old=False, new=True)
    if held.twins:
        yield FieldChange("copies", len(held.twins) + 1, 1)


def _leaves(old: Any, new: Any, at: str) -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401
    """Go down to the smallest parts that differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            inner = f"{at}.{key}".lstrip(".")
            yield from _leaves(old.get(key, _NOTHING), new.get(key, _NOTHING), inner)
    elif old != new:
        yield at, old, new


def _is_filled(value: Any) -> bool:  # noqa: ANN401
    """Say whether the environment filled in a part of this."""
    if isinstance(value, dict | list):
        return any(
            _is_filled(one) for one in (value.values() if isinstance(value, dict) else value)
        )
    return isinstance(value, FromEnvironment)


def _shown(at: str, value: Any) -> Any:  # noqa: ANN401  # any JSON
    """Hide what is or may be a secret."""
    if isinstance(value, dict):
        return {key: _shown(f"{at}.{key}", item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shown(at, item) for item in value]
    if isinstance(value, FromEnvironment):
        return HIDDEN
    return HIDDEN if value is not None and looks_secret(at, value) else value
