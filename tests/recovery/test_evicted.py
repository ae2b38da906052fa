"""A pod that is told to go, and a run that two of them work on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from project import EXPORTED
from recovery import (
    WAITS_FOR_A_LOCK,
    Deployment,
    everything,
    evict,
    execute,
    held,
    no_more_than,
    states,
    take_slot,
    wait_for_state,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Company
    from faults import Faults
    from prefect_server import PrefectServer

    from crmhouse.warehouse import Warehouse

pytestmark = [pytest.mark.xdist_group("recovery"), pytest.mark.timeout(1800)]

LATE = EXPORTED["shopify"][-1].name


def test_a_sync_that_is_told_to_go_leaves_in_time_and_goes_on_where_it_was(
    deployments: dict[str, Deployment], prefect: PrefectServer,
    new_company: Callable[[str], Company], golden: Callable[[], dict[str, str]],
    tmp_path: Path, faults: Faults,
) -> None:  # fmt: skip
    evicted = new_company("evicted")
    warehouse = evicted.warehouse
    run = deployments["pod-syncs"].run_by_hand(source="shopify")
    with held(warehouse, f"sync shopify.{LATE}"):
        seconds = evict(
            prefect, run, warehouse, WAITS_FOR_A_LOCK, tmp_path,
            home=evicted.project.folder / ".crmhouse", **evicted.variables,
        )  # fmt: skip
        # Its statements are gone, too, though what they waited for is still held, by us.
        wait_until(warehouse, no_more_than(1))
        landed = versions(warehouse)
        assert landed["raw_shopify.customers"][0] > 0
    faults.inject("SIGTERM")
    faults.notes.append(f"a sync that was told to go was gone after {seconds:.1f} s")

    take_slot(prefect, run)
    assert execute(prefect, run, tmp_path / "pod.log", **evicted.variables).wait(600) == 0
    run = wait_for_state(prefect, run, "Completed", seconds=10)
    assert run["run_count"] == 2
    kept = versions(warehouse)
    assert {table: kept[table] for table in landed} == landed, "rows were landed again"
    found = everything(warehouse)
    shop = {table: digest for table, digest in golden().items() if table.startswith("raw_shopify.")}
    assert {table: found[table] for table in shop} == shop


def test_a_run_that_prefect_starts_twice_at_once_changes_nothing(
    deployments: dict[str, Deployment], prefect: PrefectServer, calm: Company,
    tmp_path: Path, faults: Faults,
) -> None:  # fmt: skip
    before = versions(calm.warehouse, "marts", "identity")
    run = deployments["pods"].run_by_hand()
    take_slot(prefect, run)
    with held(calm.warehouse, f"sync shopify.{LATE}"):
        first = execute(prefect, run, tmp_path / "first.log", **calm.variables)
        wait_until(calm.warehouse, WAITS_FOR_A_LOCK)
        second = execute(prefect, run, tmp_path / "second.log", **calm.variables)
        second.wait(600)
        assert first.poll() is None, "the first one goes on"
    first.wait(600)
    faults.inject("run started twice")
    assert versions(calm.warehouse, "marts", "identity") == before
    with calm.warehouse.connect() as connection:
        outcomes = connection.execute(
            "select status, outcome from ops.pipeline_runs order by started_at desc limit 1"
        ).fetchall()
    assert outcomes == [("succeeded", "nothing new")]
    seen = [(state["name"], state["message"]) for state in states(prefect, run)]
    assert seen[-1][0] == "Completed", seen


def versions(warehouse: Warehouse, *more: str) -> dict[str, tuple[Any, ...]]:
    """Return what shows of each raw table whether any row of it was written since."""
    with warehouse.connect() as connection:
        tables = connection.execute(
            "select schemaname, tablename from pg_tables "
            "where schemaname like 'raw%%' or schemaname = any(%s)",
            [list(more)],
        ).fetchall()
        return {
            f"{schema}.{table}": tuple(
                connection.execute(
                    f"select count(*), md5(string_agg(xmin::text || ctid, '' order by ctid)) "
                    f'from "{schema}"."{table}"'
                ).fetchone()
                or ()
            )
            for schema, table in tables
        }
