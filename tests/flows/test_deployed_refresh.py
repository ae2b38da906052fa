"""The refresh as an operator runs it: deployed from prefect.yaml, picked up by a worker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from flows import artifacts

if TYPE_CHECKING:
    from prefect_server import PrefectServer
    from project import Project

    from crmhouse.warehouse import Warehouse

pytestmark = [pytest.mark.xdist_group("prefect-server"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def shown(prefect: PrefectServer, refreshed: dict[str, Any]) -> dict[str, Any]:
    return prefect.artifacts(refreshed)


def test_it_completes_and_publishes_the_marts(
    refreshed: dict[str, Any], project_warehouse: Warehouse
) -> None:
    assert refreshed["state_name"] == "Completed"
    with project_warehouse.connect() as connection:
        run = connection.execute("select status, outcome from ops.pipeline_runs").fetchall()
        customers = connection.execute("select count(*) from marts.dim_customers").fetchone()
    assert run[-1] == ("succeeded", "published")
    assert customers
    assert customers[0] > 0


def test_a_table_holds_the_rows_of_every_stream(
    shown: dict[str, Any], project_warehouse: Warehouse
) -> None:
    table = json.loads(shown[artifacts.ROWS])
    with project_warehouse.connect() as connection:
        for row in table:
            name = f"raw_{row['source']}.{row['stream']}"
            counted = connection.execute(f"select count(*) from {name}").fetchone()
            assert counted is not None
            landed = row["inserted"] + row["unchanged"] + row["quarantined"]
            assert counted[0] <= landed, name
            assert not row["error"]
    assert {row["source"] for row in table} == {
        "salesforce", "hubspot", "stripe", "shopify", "reference"
    }  # fmt: skip
    assert sum(row["extracted"] for row in table) > 0


def test_a_table_holds_the_time_of_every_dbt_node(shown: dict[str, Any]) -> None:
    nodes = json.loads(shown[artifacts.DBT])
    assert {"identity inputs", "marts"} == {node["phase"] for node in nodes}
    assert {"stg_salesforce__contacts", "dim_customers"} <= {node["node"] for node in nodes}
    assert all(node["seconds"] >= 0 for node in nodes)
    assert {node["status"] for node in nodes} <= {"success", "pass", "warn"}


def test_the_gates_are_there_with_the_place_of_their_page(
    shown: dict[str, Any], project: Project
) -> None:
    results = json.loads(shown[artifacts.GATES])
    assert {"raw", "marts"} == {result["boundary"] for result in results}
    page = project.folder / ".crmhouse" / "gates.html"
    assert page.is_file()
    assert page.as_uri() in shown[artifacts.GATE_PAGE]


def test_progress_ends_at_a_hundred_and_the_summary_says_the_outcome(
    shown: dict[str, Any],
) -> None:
    assert shown["refresh-progress"] == 100.0
    assert shown[artifacts.SUMMARY].startswith("# Published")


def test_its_own_log_is_in_the_server(prefect: PrefectServer, refreshed: dict[str, Any]) -> None:
    assert "raw gate green" in prefect.logs(refreshed)


def test_asset_events_lead_from_the_source_to_the_mart(
    prefect: PrefectServer, refreshed: dict[str, Any]
) -> None:
    found = prefect.call(
        "/events/filter",
        {
            "filter": {
                "event": {"name": ["prefect.asset.materialization.succeeded"]},
                "related": {"id": [f"prefect.flow-run.{refreshed['id']}"]},
            },
            "limit": 50,
        },
    )["events"]
    made = {event["resource"]["prefect.resource.id"] for event in found}
    assert any(key.endswith("/raw_shopify/orders") for key in made)
    assert any(key.endswith("/marts/dim_customers") for key in made)
