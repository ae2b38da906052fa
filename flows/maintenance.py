"""The maintenance: the upkeep of the warehouse and of what Prefect's server leaves lying."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow, get_client
from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run

from crmhouse import maintenance
from crmhouse.errors import OrchestratorError
from crmhouse.log import about
from crmhouse.settings import load_settings
from crmhouse.warehouse import open_warehouse
from flows import prefect_upkeep
from flows.artifacts import if_the_server_is_there
from flows.work import let_our_loggers_speak

if TYPE_CHECKING:
    from crmhouse.settings import Settings

logger = logging.getLogger(__name__)

TABLE = "maintenance"
_TIMEOUT = 4 * 3600


@dataclass(frozen=True)
class PrefectUpkeep:
    """What was done in Prefect.

    Attributes:
        ended: names of flow runs that had been left behind.
        forgotten_workers: names of workers that are gone.
    """

    ended: tuple[str, ...]
    forgotten_workers: tuple[str, ...]


@flow(name="maintain", persist_result=False, timeout_seconds=_TIMEOUT)
def maintain(config: str | None = None) -> None:
    """Sum up and remove old records of past work, vacuum, and clear up after dead runs.

    Syncs and refreshes may run meanwhile: it gives way to them. How long what is kept, the settings
    `retention` say. What Prefect's own database keeps of runs that have ended, and for how long,
    its server decides (PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED).

    Args:
        config: The configuration file; CRMHOUSE_CONFIG or ./crmhouse.yaml when left out.

    Raises:
        AlreadyRunningError: another process maintains this warehouse.
        WarehouseError: the warehouse refused a step; those before it are done.
        OrchestratorError: Prefect's server did not do its part; that of the warehouse is done.
    """
    settings = load_settings(Path(config) if config else None)
    let_our_loggers_speak(settings)
    in_prefect, failure = PrefectUpkeep((), ()), None
    try:
        in_prefect = _in_prefect(settings)  # first: it helps runs that wait, and takes no time
    except Exception as error:  # noqa: BLE001  # raised when the warehouse has its part, too
        failure = error
        logger.warning("Prefect's server did not do its part: %s", type(error).__name__)
    with about(flow_run_id=flow_run.id), open_warehouse(settings) as warehouse:
        in_warehouse = maintenance.maintain(warehouse, settings)
    with if_the_server_is_there():
        create_table_artifact(
            key=TABLE,
            table=[*_of_warehouse(in_warehouse), *_of_prefect(in_prefect)],
            description="What the maintenance did",
        )
    if failure:
        raise OrchestratorError(
            f"Prefect's server did not do its part of the maintenance ({type(failure).__name__}). "
            "The warehouse's is done; the next maintenance does the other."
        ) from failure


def _in_prefect(settings: Settings) -> PrefectUpkeep:
    keep = settings.retention
    with get_client(sync_client=True) as client:
        return PrefectUpkeep(
            prefect_upkeep.end_abandoned(client, keep.open_flow_runs, flow_run.id),
            prefect_upkeep.forget_workers(client, keep.gone_workers),
        )


def _of_warehouse(done: maintenance.Upkeep) -> list[dict[str, Any]]:
    rows = [
        _row(f"ops.{one.table}", "summed up" if one.summed_up else "removed", one.rows)
        for one in done.forgotten
    ]
    rows += [_row(name, "dropped, left by a dbt that was stopped") for name in done.dropped]
    return rows + [_row(one.table, one.outcome, one.dead_rows) for one in done.vacuumed]


def _of_prefect(done: PrefectUpkeep) -> list[dict[str, Any]]:
    rows = [_row(f"flow run {name}", "ended, left behind") for name in done.ended]
    return rows + [_row(f"worker {name}", "forgotten") for name in done.forgotten_workers]


def _row(what: str, outcome: str, count: int = 1) -> dict[str, Any]:
    return {"what": what, "outcome": outcome, "count": count}
