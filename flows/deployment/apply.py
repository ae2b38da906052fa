"""Applies a difference: all of it, or nothing."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from crmhouse.errors import ConfigurationError, CrmhouseError, OrchestratorError
from flows.deployment import present as present_state
from flows.deployment.declared import declare
from flows.deployment.difference import Change, Plan, compare
from flows.deployment.server import RefusedError
from flows.deployment.writing import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crmhouse.settings import Settings
    from flows.deployment.resources import State
    from flows.deployment.server import Server

logger = logging.getLogger(__name__)

_PAUSES = (0.0, 0.5, 2.0, 0.0)  # seconds before each try to undo; the last one only looks


def plan(settings: Settings, server: Server, *, prune: bool = False) -> Plan:
    """Say what an apply would change; nothing is changed.

    Raises:
        ConfigurationError: what is declared is not valid; says every fault at once.
        OrchestratorError: the server refused or did not answer.
    """
    declared = declare(settings, server)
    return compare(declared, present_state.read(server), prune=prune)


def apply(settings: Settings, server: Server, *, prune: bool = False) -> Plan:
    """Make the server hold what is declared.

    Everything is checked first. A change that fails undoes those before it, whatever it fails of;
    an error that nobody foresaw is raised as it is, with a note of what was undone. At the end the
    server is read again, for it may have dropped a part of what it was told.

    Args:
        settings: the project's settings.
        server: the server.
        prune: whether what is ours and no longer declared is removed.

    Returns:
        What was changed.

    Raises:
        ConfigurationError: what is declared is not valid; nothing was changed.
        OrchestratorError: the server refused a change or did not answer; everything is as it was,
            unless the message says what is not.
    """
    declared = declare(settings, server)
    before = present_state.read(server)
    wanted = compare(declared, before, prune=prune)
    if not wanted.changes:
        return wanted
    writer = Writer(server, before)
    begun: list[Change] = []
    try:
        rest = wanted
        for _ in range(1 + sum(kind == "work queue" for kind, _ in declared)):
            _do_all(writer, rest.changes, begun)
            rest = compare(declared, present_state.read(server), prune=prune)
            # A queue that takes its priority moves those after it on. They get theirs again, and
            # each time the first of them keeps it.
            if not rest.changes or any(one.kind != "work queue" for one in rest.changes):
                break
        _check(rest)
    except (CrmhouseError, KeyboardInterrupt) as error:
        reason = str(error) or "interrupted"
        raise OrchestratorError(f"{reason}\n{_undo(server, before, begun)}") from error
    except Exception as error:
        error.add_note(_undo(server, before, begun))
        raise
    return wanted


def _do_all(writer: Writer, changes: Iterable[Change], begun: list[Change]) -> None:
    for change in changes:
        begun.append(change)  # before it is done: an answer that is lost may have been a yes
        try:
            _do(writer, change)
        except (RefusedError, ConfigurationError):
            if change.action == "create":  # what is there now, somebody else has made
                begun.pop()
            raise


def _do(writer: Writer, change: Change) -> None:
    if change.declared is None:
        assert change.present  # noqa: S101  # what is removed is there
        writer.remove(change.present)
    elif change.present is None:
        writer.create(change.declared)
    else:
        # An operator's pause stays: a deploy may pause something, and never wakes it.
        paused = change.declared.paused or change.present.paused
        writer.change(change.declared, change.present, paused=paused)


def _check(rest: Plan) -> None:
    """Refuse a state that is not the declared one."""
    if rest.changes:
        first = rest.changes[0]
        fields = ", ".join(field.field for field in first.fields) or first.action
        raise OrchestratorError(
            f"The Prefect server did not keep what it was told: {first.kind} {first.name} "
            f"({fields}) and {len(rest.changes) - 1} more. Is it of version 3.8?"
        )


def _undo(server: Server, before: State, begun: list[Change]) -> str:
    """Bring back what was there, the last change first; say how far that went."""
    rest = begun
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            now = present_state.read(server)
            rest = [change for change in begun if not _is_as_before(change, before, now)]
            if not rest:
                return "Everything is as it was before."
            _undo_all(Writer(server, now), rest, before, now)
        except CrmhouseError as error:
            logger.warning("%s", error)
        except Exception as error:  # noqa: BLE001  # what is left is told in any case
            logger.warning("%s while a deploy was undone", type(error).__name__)
    names = "\n".join(f"  {one.action} {one.kind} {one.name}" for one in rest)
    return (
        "Not all of what was begun could be undone. Deploy again when the server answers: it goes "
        f"on from there. Left are:\n{names}"
    )


def _is_as_before(change: Change, before: State, now: State) -> bool:
    was, held = (state.get((change.kind, change.name)) for state in (before, now))
    if was is None or held is None:
        return was is held
    return was.fields == held.fields and was.paused == held.paused


def _undo_all(writer: Writer, begun: list[Change], before: State, now: State) -> None:
    for change in reversed(begun):
        was, held = (state.get((change.kind, change.name)) for state in (before, now))
        if was is None:
            assert held  # noqa: S101  # or it would be as before
            writer.remove(held)
        elif held is None:
            writer.create(was)
        else:
            writer.change(was, held, paused=was.paused)
