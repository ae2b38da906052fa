"""What the flows tell a real Prefect server besides the states of their runs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prefect_server import wait_for
from project import KEYS
from stand_in import standing_in

from crmhouse.settings import load_settings
from flows import artifacts, assets, events
from simulators.demo_data import generate
from simulators.systems import SYSTEMS

if TYPE_CHECKING:
    from pathlib import Path

    from prefect_server import PrefectServer
    from project import Project

    from crmhouse.warehouse import Warehouse

pytestmark = [pytest.mark.xdist_group("prefect-server"), pytest.mark.timeout(900)]

DBT_PHASES = ("identity inputs", "marts")
SCRIPT = """
import sys
from flows.sync import sync_source

state = sync_source("crm", config=sys.argv[1], return_state=True)
sys.exit(0 if state.is_completed() and state.name == "Partial" else 1)
"""


def told(server: PrefectServer, name: str, at_least: int = 1, **match: Any) -> list[dict[str, Any]]:
    """The events of a name, at most a page: they arrive a little later than they are emitted."""

    def found() -> list[dict[str, Any]] | None:
        answer: list[dict[str, Any]] = server.call(
            "/events/filter", {"filter": {"event": {"name": [name]}, **match}, "limit": 50}
        )["events"]
        return answer if len(answer) >= at_least else None

    return list(wait_for(found, seconds=60, what=name))


def of_run(run: dict[str, Any]) -> dict[str, Any]:
    return {"related": {"id": [f"prefect.flow-run.{run['id']}"]}}


@pytest.fixture(scope="module")
def marts_made(
    prefect: PrefectServer, refreshed: dict[str, Any], project_warehouse: Warehouse
) -> dict[str, dict[str, Any]]:
    """The event of each mart that the refresh published, by its name."""
    found = told(
        prefect, "prefect.asset.materialization.succeeded", at_least=20, **of_run(refreshed),
        resource={"id_prefix": [assets.of_table(project_warehouse, "marts", "")]},
    )  # fmt: skip
    return {
        event["resource"]["prefect.resource.name"].removeprefix("marts."): event for event in found
    }


def origins(event: dict[str, Any]) -> set[str]:
    """The raw tables that an event names."""
    keys = [
        related["prefect.resource.id"]
        for related in event["related"]
        if related["prefect.resource.role"] == "asset"
    ]
    return {".".join(key.rsplit("/", 2)[1:]) for key in keys}


def test_every_published_mart_names_the_raw_tables_that_it_is_really_made_from(
    marts_made: dict[str, dict[str, Any]], project_warehouse: Warehouse
) -> None:
    with project_warehouse.connect() as connection:
        published = connection.execute("select mart from ops.published_marts").fetchall()
    assert set(marts_made) == {mart for (mart,) in published}
    assert origins(marts_made["dim_dates"]) == set()
    assert origins(marts_made["dim_fx_rates"]) == {"raw_reference.fx_rates_monthly"}
    assert origins(marts_made["dim_accounts"]) == {"raw_salesforce.account"}
    assert origins(marts_made["fct_refunds"]) == {
        "raw_shopify.orders", "raw_shopify.customers", "raw_reference.fx_rates_monthly",
    }  # fmt: skip
    # Through identity, which dbt's own lineage does not know: who the customer of an order is
    # depends on the records of all systems.
    assert {"raw_hubspot.contacts", "raw_salesforce.contact", "raw_stripe.customers"} <= origins(
        marts_made["fct_orders"]
    )


def test_a_mart_has_its_description_its_owner_and_what_changed(
    marts_made: dict[str, dict[str, Any]],
) -> None:
    mart = marts_made["dim_customers"]
    assert "one row per resolved person" in mart["resource"]["prefect.asset.description"]
    assert json.loads(mart["resource"]["prefect.asset.owners"]) == ["Customer data"]
    assert mart["payload"]["inserted"] > 0
    assert mart["payload"]["contract"] == "created"


def test_a_raw_table_names_the_object_of_its_source(
    prefect: PrefectServer, refreshed: dict[str, Any], project_warehouse: Warehouse
) -> None:
    (orders,) = told(
        prefect, "prefect.asset.materialization.succeeded", **of_run(refreshed),
        resource={"id": [assets.of_table(project_warehouse, "raw_shopify", "orders")]},
    )  # fmt: skip
    assert orders["resource"]["prefect.resource.name"] == "raw_shopify.orders"
    assert {
        "prefect.resource.id": "shopify://shopify/orders", "prefect.resource.role": "asset"
    } in orders["related"]  # fmt: skip


def test_the_log_of_a_run_shows_each_dbt_node_as_it_finishes(
    prefect: PrefectServer, refreshed: dict[str, Any]
) -> None:
    nodes = json.loads(prefect.artifacts(refreshed)[artifacts.DBT])
    log = prefect.call(
        "/logs/filter",
        {"logs": {"flow_run_id": {"any_": [refreshed["id"]]}}, "sort": "TIMESTAMP_ASC"},
    )
    lines = [entry["message"] for entry in log if entry["message"].startswith("dbt, ")]
    if len(log) == 200:  # a page of the API
        more = prefect.call(
            "/logs/filter",
            {
                "logs": {"flow_run_id": {"any_": [refreshed["id"]]}},
                "sort": "TIMESTAMP_ASC", "offset": 200,
            },
        )  # fmt: skip
        lines += [entry["message"] for entry in more if entry["message"].startswith("dbt, ")]
    for phase in DBT_PHASES:
        of_phase = [node for node in nodes if node["phase"] == phase]
        for node in of_phase:
            said = f": {node['kind']} {node['node']}, {node['status']}, "
            assert any(said in line and f" of {len(of_phase)}:" in line for line in lines), node


def test_a_completed_refresh_is_an_event_of_its_warehouse(
    prefect: PrefectServer, refreshed: dict[str, Any], project_warehouse: Warehouse
) -> None:
    (event,) = told(prefect, events.REFRESH_COMPLETED, **of_run(refreshed))
    with project_warehouse.connect() as connection:
        first = connection.execute(
            "select run_id::text, as_of from ops.pipeline_runs order by started_at limit 1"
        ).fetchone()
    assert first
    database = project_warehouse.parameters["dbname"]
    assert event["resource"]["prefect.resource.id"] == f"crmhouse.warehouse.{database}"
    assert event["payload"]["run_id"] == first[0]
    assert event["payload"]["as_of"] == first[1].isoformat()
    assert (event["payload"]["outcome"], event["payload"]["status"]) == ("published", "succeeded")
    assert int(event["payload"]["marts_changed"]) > 10


def test_a_table_holds_the_lag_of_every_stream(
    prefect: PrefectServer, refreshed: dict[str, Any], project: Project
) -> None:
    shown = json.loads(prefect.artifacts(refreshed)[artifacts.LAG])
    settings = load_settings(project.config)
    configured = {(s.name, stream) for s in settings.sources for stream in s.streams or ()}
    assert configured <= {(row["source"], row["stream"]) for row in shown}
    assert all(row["last success"] for row in shown)
    assert any(row["lag hours"] and row["lag hours"] > 1000 for row in shown)


def test_a_used_up_quota_is_a_partial_sync_and_old_data_is_late(
    prefect: PrefectServer, warehouse: Warehouse, tmp_path: Path
) -> None:
    generate(tmp_path / "data", persons=50)
    with standing_in(tmp_path / "data", tmp_path, SYSTEMS) as apis:
        apis.lift_limits()
        options = {
            "url": f"{apis.url}/hubspot", "token": "${STAND_IN_HUBSPOT_TOKEN}",
            "objects": ["contacts", "companies"],
        }  # fmt: skip
        source = {
            "name": "crm", "kind": "hubspot", "options": options, "late_after": "6h",
            "streams": ["contacts", "companies"],
        }  # fmt: skip
        config = tmp_path / "crmhouse.yaml"
        content = {"sources": [source], "log_format": "json"}
        config.write_text(yaml.safe_dump(content), encoding="utf-8")
        apis.fault("quota_daily", path="objects/companies")
        result = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(config)], cwd=tmp_path,
            env=prefect.environment(CRMHOUSE_WAREHOUSE_URL=warehouse.url(), **KEYS),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert result.returncode == 0, result.stderr[-4000:]
    (partial,) = told(prefect, events.SYNC_PARTIAL)
    assert partial["resource"]["prefect.resource.id"] == "crmhouse.source.crm"
    assert partial["payload"]["source"] == "crm"
    assert partial["payload"]["streams"] == "companies"
    assert "answered 429" in partial["payload"]["message"]
    (late,) = told(prefect, events.DATA_LATE, resource={"id": ["crmhouse.source.crm"]})
    assert late["payload"]["late_after_seconds"] == "21600"
    assert float(late["payload"]["lag_seconds"]) > 21600
    assert "6h is allowed" in late["payload"]["message"]
    assert late["payload"]["run_id"] == partial["payload"]["run_id"]
    lines = result.stderr.splitlines()
    log = [json.loads(line) for line in lines[_first_object(lines) :] if line.startswith("{")]
    landed = next(line for line in log if line["logger"] == "ingestion.landing")
    assert (landed["source"], landed["stream"]) == ("crm", "contacts")
    assert landed["run_id"] == late["payload"]["run_id"]
    related = {one["prefect.resource.id"] for one in late["related"]}
    assert f"prefect.flow-run.{landed['flow_run_id']}" in related
    assert any(line["logger"].startswith("prefect.") for line in log), "Prefect's own lines, too"


def _first_object(lines: list[str]) -> int:
    """Where the flow begins: what comes before is Prefect's, in text."""
    return next(number for number, line in enumerate(lines) if line.startswith("{"))
