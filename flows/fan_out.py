"""Has sub-runs on the work pool land the parts of a large sync, and waits for them.

Each part is a flow run of the deployment `sync-slice`. PostgreSQL alone knows what has landed, so a
part whose run is lost is started again, and a parent that is started again goes on with what is
missing.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import httpx
import psycopg
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.runtime import deployment
from prefect.runtime import flow_run as this_run
from prefect.states import Cancelled

from crmhouse.errors import ConfigurationError, RunFailedError, WarehouseError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

logger = logging.getLogger(__name__)

DEPLOYMENT = "sync-slice/sync-slice"
TAG = "slice"
"""Every sub-run has it, so that the pages tell it from the others."""

_TRIES = 3
_POLL_SECONDS = 2.0
_SECONDS_WITHOUT_ANSWER = 900.0
_SECONDS_WITHOUT_START = 3600.0
_NOT_STARTED = frozenset({"SCHEDULED", "PENDING"})

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """What one sub-run lands.

    Attributes:
        name: tells it from the other parts of its parent; the same whenever the parent is started.
        parameters: of the flow `flows.slices.sync_slice`; its `config` is the parent's.
    """

    name: str
    parameters: Mapping[str, Any]


def is_deployed() -> bool:
    """Say whether this run is of a deployment, and the server has and tells the sub-runs', too."""
    if deployment.id is None:
        return False
    with get_client(sync_client=True) as client:
        try:
            client.read_deployment_by_name(DEPLOYMENT)
        except (ObjectNotFound, httpx.HTTPError):
            return False
    return True


def land(
    parts: Sequence[Part],
    *,
    missing: Callable[[], Collection[str]],
    at_once: int,
    tell: Callable[[str, float], None],
) -> dict[str, str]:
    """Land parts by sub-runs, and wait for the end of all.

    A sub-run that crashed is started again, three times in all; one that failed has had its
    retries, and one that was cancelled is not started again. Where none of them has started for an
    hour, they are cancelled: the runs that fill the work pool may be waiting for slices, too.

    Args:
        parts: what is to land.
        missing: asks the warehouse for the names of the parts that have not landed.
        at_once: how many sub-runs there are at once at most.
        tell: is told how far it is: a few words, and a share.

    Returns:
        Why each part is still missing, by its name.

    Raises:
        ConfigurationError: the server has no deployment for the sub-runs.
        RunFailedError: the server or the warehouse does not answer for a quarter of an hour.
    """
    named = {part.name: part for part in parts}
    first = set(_patiently(missing))
    waiting = deque(name for name in named if name in first)
    running: dict[UUID, str] = {}
    tries: Counter[str] = Counter()
    failures: dict[str, str] = {}
    started_at = time.monotonic()
    with get_client(sync_client=True) as client:
        while waiting or running:
            done = len(parts) - len(waiting) - len(running) - len(failures)
            tell(f"{done} of {len(parts)} slices, {len(running)} at work", done / len(parts))
            while waiting and len(running) < at_once:
                name = waiting.popleft()
                tries[name] += 1
                running[_patiently(partial(_start, named[name]))] = name
            time.sleep(_POLL_SECONDS)
            known = {run.id: run for run in _patiently(partial(_read, client, running))}
            ended = {run_id: known.get(run_id) for run_id in running if _has_ended(run_id, known)}
            left = set(_patiently(missing)) if ended else set()
            for run_id, run in ended.items():
                name = running.pop(run_id)
                if name not in left:
                    continue
                if (run is None or run.state_type == "CRASHED") and tries[name] < _TRIES:
                    logger.warning("slice %s: its run was lost, it is started again", name)
                    waiting.append(name)
                else:
                    failures[name] = _reason(run)
            if ended or any(run.state_type not in _NOT_STARTED for run in known.values()):
                started_at = time.monotonic()
            elif time.monotonic() - started_at > _SECONDS_WITHOUT_START:
                _patiently(partial(_cancel, client, running))
                names = [*running.values(), *waiting]
                return failures | dict.fromkeys(names, "the work pool has had no room for an hour")
    return failures


def _start(part: Part) -> UUID:
    """Start the sub-run of a part; one that a lost try of the parent has started goes on.

    The key names the try: a run of it that has ended was in vain, for the part is missing.
    """
    for number in range(1, 1000):
        try:
            run = cast(  # a coroutine only where the caller is one
                "FlowRun",
                run_deployment(
                    DEPLOYMENT,
                    parameters={**part.parameters, "config": this_run.parameters.get("config")},
                    flow_run_name=part.name,
                    idempotency_key=f"{this_run.id} {part.name} {number}",
                    tags=[TAG],
                    timeout=0,
                ),
            )
        except ObjectNotFound:
            raise ConfigurationError(
                f"There is no deployment {DEPLOYMENT}, whose runs land the slices: "
                "`crmhouse deploy --apply` makes it."
            ) from None
        if run.state is None or not run.state.is_final():
            return run.id
    raise RunFailedError(f"Slice {part.name}: a thousand runs have not landed it. Look at one.")


def _read(client: SyncPrefectClient, running: Collection[UUID]) -> list[FlowRun]:
    """Read the sub-runs; one that somebody has deleted is not among them."""
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=list(running)))
    )


def _has_ended(run_id: UUID, known: Mapping[UUID, FlowRun]) -> bool:
    return run_id not in known or ((state := known[run_id].state) is not None and state.is_final())


def _cancel(client: SyncPrefectClient, running: Collection[UUID]) -> None:
    for run_id in running:
        client.set_flow_run_state(run_id, Cancelled(message="No worker had room for it."))


def _patiently(ask: Callable[[], T]) -> T:
    """Ask the server or the warehouse, and again while it is away."""
    deadline = time.monotonic() + _SECONDS_WITHOUT_ANSWER
    while True:
        try:
            return ask()
        except (httpx.HTTPError, psycopg.OperationalError, WarehouseError) as error:
            if isinstance(error, httpx.HTTPStatusError) and error.response.is_client_error:
                raise RunFailedError(
                    "Prefect's server refuses what the slices need: it answered "
                    f"{error.response.status_code}. See its log."
                ) from None
            if time.monotonic() > deadline:
                raise RunFailedError(
                    "Prefect's server or the warehouse has not answered for a quarter of an hour. "
                    "The slices that are at work go on; run again to land what is missing then."
                ) from None
            logger.warning("waiting for an answer: %s", type(error).__name__)
            time.sleep(_POLL_SECONDS)


def _reason(run: FlowRun | None) -> str:
    if run is None:
        return "its flow run was deleted"
    message = run.state.message if run.state else None
    return f"flow run {run.name!r} ended as {run.state_name}: {message or 'without a word'}"
