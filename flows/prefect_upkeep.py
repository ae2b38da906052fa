"""What Prefect's server does not clear away by itself, done through its API.

With `PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED=events,flow_runs` the server deletes flow runs that
have ended, with their task runs, logs and artifacts, and events. It looks neither at runs that
never end nor at workers that are gone.

The server may have other users: only runs with our tag and the workers of our pool are looked at.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx
from prefect.client.schemas.filters import FlowRunFilter, WorkerFilter
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectNotFound

from flows.names import POOL, TAG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, Worker

logger = logging.getLogger(__name__)

ABANDONED = "Abandoned"
# Paused ones wait for somebody, and the server ends them when their time is over.
_NOT_ENDED = [
    StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.CANCELLING
]  # fmt: skip
_SIGN_OF_LIFE = timedelta(days=1)
_PAGE = 200


def end_abandoned(client: SyncPrefectClient, days: int | None, this_run: UUID) -> tuple[str, ...]:
    """End the flow runs of ours that will not end by themselves any more.

    They get the state Abandoned, of the type cancelled: they give back their slots, the vacuum
    takes them in its time, and no automation for crashed runs starts work of last week again.

    Args:
        client: of Prefect's API.
        days: for how long nothing has happened to such a run; None leaves all as they are.
        this_run: is never one of them.

    Returns:
        Their names.
    """
    if days is None:
        return ()
    since = datetime.now(UTC) - timedelta(days=days)
    condition = {
        "tags": {"all_": [TAG]},
        "state": {"type": {"any_": _NOT_ENDED}},
        "expected_start_time": {"before_": since},
    }
    state = State(
        type=StateType.CANCELLED,
        name=ABANDONED,
        message=f"It had not ended for {days} days and gave no sign of life.",
    )
    ended = []
    for run in list(_runs(client, FlowRunFilter.model_validate(condition))):
        changed = run.state.timestamp if run.state else run.created
        if run.id == this_run or (changed and changed > since) or _lives(client, run):
            continue
        with _unless_it_is_gone():
            client.set_flow_run_state(run.id, state, force=True)
            logger.warning("ended flow run %s (%s), which was left behind", run.name, run.id)
            ended.append(run.name)
    return tuple(ended)


def forget_workers(
    client: SyncPrefectClient, days: int | None, pool: str = POOL
) -> tuple[str, ...]:
    """Delete the records of workers that are gone: each pod and each restart makes a new one.

    Args:
        client: of Prefect's API.
        days: for how long they have not been heard of; None keeps all.
        pool: the work pool whose workers these are.

    Returns:
        Their names.
    """
    if days is None:
        return ()
    before = datetime.now(UTC) - timedelta(days=days)
    condition = WorkerFilter.model_validate({"last_heartbeat_time": {"before_": before}})
    workers: list[Worker] = []
    with _unless_it_is_gone():
        workers = client.read_workers_for_work_pool(pool, condition, limit=_PAGE)
    gone = []
    for worker in workers:
        with _unless_it_is_gone():
            client.request(
                "DELETE",
                "/work_pools/{work_pool_name}/workers/{name}",
                path_params={"work_pool_name": pool, "name": worker.name},
            )
            gone.append(worker.name)
    return tuple(gone)


@contextmanager
def _unless_it_is_gone() -> Iterator[None]:
    """Pass over what is not there any more: the server's own vacuum may have been faster."""
    try:
        yield
    except ObjectNotFound:
        return
    except httpx.HTTPStatusError as error:
        if error.response.status_code != HTTPStatus.NOT_FOUND:
            raise


def _runs(client: SyncPrefectClient, condition: FlowRunFilter) -> Iterator[FlowRun]:
    offset = 0
    while page := client.read_flow_runs(flow_run_filter=condition, limit=_PAGE, offset=offset):
        yield from page
        offset += len(page)


def _lives(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Say whether a run that began long ago has sent a heartbeat lately."""
    answer = client.request(
        "POST",
        "/events/filter",
        json={
            "limit": 1,
            "filter": {
                "event": {"name": ["prefect.flow-run.heartbeat"]},
                "resource": {"id": [f"prefect.flow-run.{run.id}"]},
                "occurred": {"since": (datetime.now(UTC) - _SIGN_OF_LIFE).isoformat()},
            },
        },
    )
    return answer.status_code == HTTPStatus.OK and bool(answer.json()["events"])
