"""The metrics of a whole run, and what the dashboard and the alerts make of them."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import uuid
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from project import environment
from scraping import answer, scrape

from crmhouse.metrics.definitions import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from project import Project
    from scraping import Scrape

    from crmhouse.warehouse import Warehouse

pytestmark = [pytest.mark.xdist_group("prefect-server"), pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deployments" / "monitoring"
PAGE = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
DASHBOARD = json.loads((FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8"))
RULES = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
EXPRESSIONS = {
    **{
        f"panel {panel['title']} {target['refId']}": target["expr"]
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", ())
    },
    **{f"variable {v['name']}": v["query"]["query"] for v in DASHBOARD["templating"]["list"][1:]},
    **{f"alert {rule['alert']}": rule["expr"] for rule in RULES},
}
SELECTOR = re.compile(r"\b(crmhouse_\w+)(?:\{([^}]*)\})?")
GROUPING = re.compile(r"\b(?:by|without|on|ignoring) ?\(([^)]*)\)")
FROM_PROMETHEUS = {"instance", "job"}
PANEL_KINDS = {"row", "stat", "timeseries", "bargauge", "table"}


@pytest.fixture(scope="module")
def seen(
    refreshed: dict[str, Any],  # noqa: ARG001  # there is a whole run to be seen
    project: Project,
    project_warehouse: Warehouse,
) -> Iterator[Scrape]:
    """A scrape of `crmhouse metrics` after a run, beside which a source fails and is held back."""
    content = yaml.safe_load(project.config.read_text(encoding="utf-8"))
    content["sources"][0]["late_after"] = "2d"
    content["sources"].append(
        {"name": "gone", "kind": "files", "options": content["sources"][-1]["options"]}
    )
    monitored = project.folder / "monitored.yaml"
    monitored.write_text(yaml.safe_dump(content), encoding="utf-8")
    with project_warehouse.connect() as connection:
        connection.execute(
            "insert into ops.sync_runs (run_id, source, stream, slice, status, started_at, seconds,"
            " error) values (%s, 'gone', '-', '-', 'failed', now(), 1, 'it does not answer')",
            [uuid.uuid4()],
        )
        connection.execute(
            "insert into ops.quarantine (source, stream, reason, detail, payload, payload_sha256,"
            " payload_kind, slice, run_id, first_seen_at, last_seen_at, arrived_at) values ('gone',"
            " 'files', 'invalid_json', '', '{', '', 'unreadable', '-', %s, now(), now(), now())",
            [uuid.uuid4()],
        )
    command = [sys.executable, "-m", "crmhouse.cli", "--config", str(monitored)]
    process = subprocess.Popen(
        [*command, "metrics", "--port", "0"], cwd=project.folder, env=environment(),
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        url = process.stdout.readline().strip().removesuffix("/metrics")
        assert answer(f"{url}/readyz") == (200, "ok\n")
        yield scrape(url)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0, "it ends in order"
    finally:
        process.kill()
        process.communicate()
        with project_warehouse.connect() as connection:
            connection.execute("delete from ops.sync_runs where source = 'gone'")
            connection.execute("delete from ops.quarantine where source = 'gone'")


def labels_of(series: dict[tuple[tuple[str, str], ...], float]) -> set[str]:
    return {name for labels in series for name, _ in labels}


def test_every_metric_has_a_value_after_a_run_and_no_other_is_there(seen: Scrape) -> None:
    assert set(seen) == {metric.name for metric in METRICS}
    for metric in METRICS:
        assert labels_of(seen[metric.name]) == {*metric.labels}, metric.name


def test_gates_and_marts_are_as_the_warehouse_says(
    seen: Scrape, project_warehouse: Warehouse
) -> None:
    with project_warehouse.connect() as connection:
        gates = connection.execute(
            "select boundary, severity, status, count(*) from ops.gate_results "
            "where run_id = (select run_id from ops.pipeline_runs where outcome = 'published' "
            "order by finished_at desc limit 1) group by 1, 2, 3"
        ).fetchall()
        marts = connection.execute("select mart, row_count from ops.published_marts").fetchall()
        rows = connection.execute("select count(*) from marts.dim_customers").fetchone()
    assert {
        tuple(value for _, value in labels): count
        for labels, count in seen["crmhouse_gate_results"].items()
        if count
    } == {(boundary, severity, status): count for boundary, severity, status, count in gates}
    assert seen["crmhouse_mart_rows"] == {(("mart", mart),): count for mart, count in marts}
    assert rows
    assert seen["crmhouse_mart_rows"][("mart", "dim_customers"),] == rows[0]


@pytest.mark.parametrize("place", EXPRESSIONS)
def test_the_dashboard_and_the_alerts_ask_for_series_that_are_there(
    place: str, seen: Scrape
) -> None:
    expression = EXPRESSIONS[place]
    used = SELECTOR.findall(expression)
    assert used
    for name, matchers in used:
        assert name in seen, name
        for label, operator, value in re.findall(r'(\w+)(=~|=|!=|!~)"([^"]*)"', matchers):
            assert label in labels_of(seen[name]), f"{name} has no {label}"
            if "$" in value or name.endswith("end_timestamp_seconds"):
                continue  # a variable; or a status that no run has had yet
            values = {dict(labels)[label] for labels in seen[name]}
            wanted = value.split("|") if operator == "=~" else [value]
            assert values.issuperset(wanted), f"{name} has {label} {values}"
    known = FROM_PROMETHEUS.union(*(labels_of(seen[name]) for name, _ in used))
    for names in GROUPING.findall(expression):
        assert known.issuperset(filter(None, re.split(r", *", names))), names


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {name for place, e in EXPRESSIONS.items() if place.startswith("panel")
             for name, _ in SELECTOR.findall(e)}  # fmt: skip
    assert shown == {metric.name for metric in METRICS}


def test_the_dashboard_is_one_that_grafana_can_import() -> None:
    panels = DASHBOARD["panels"]
    assert {panel["type"] for panel in panels} <= PANEL_KINDS
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(DASHBOARD["uid"]) <= 40
    assert DASHBOARD["schemaVersion"] >= 39
    assert "id" not in DASHBOARD, "Grafana gives it one"
    datasource, *others = DASHBOARD["templating"]["list"]
    assert (datasource["type"], datasource["query"]) == ("datasource", "prometheus")
    wanted = {"type": "prometheus", "uid": f"${{{datasource['name']}}}"}
    for asks in (*others, *(panel for panel in panels if panel["type"] != "row")):
        assert asks["datasource"] == wanted
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    for panel in panels:
        references = [target["refId"] for target in panel.get("targets", ())]
        assert len({*references}) == len(references), panel["title"]
        for target in panel.get("targets", ()):
            assert target["datasource"] == wanted
            used = {*re.findall(r"\$(\w+)", target["expr"])} - {"__rate_interval"}
            assert used <= variables
        for threshold in (
            panel.get("fieldConfig", {})
            .get("defaults", {})
            .get("thresholds", {})
            .get("steps", ())[1:]
        ):
            assert isinstance(threshold["value"], int)
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        apart = (
            one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        )  # fmt: skip
        assert apart, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as they are made of them."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_has_its_section_in_the_documentation(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page == "docs/monitoring.md"
    assert anchor == rule["alert"].lower()
    assert anchor in anchors(PAGE)
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert {"summary", "description"} <= rule["annotations"].keys()
    assert re.fullmatch(r"\d+[mh]", rule["for"])


def test_the_documentation_lists_every_metric_as_it_is() -> None:
    listed = re.findall(
        r"^\| `(crmhouse_\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", PAGE, re.MULTILINE
    )
    assert listed == [
        (metric.name, metric.kind, ", ".join(metric.labels) or "-", metric.meaning)
        for metric in METRICS
    ]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus' own tool is not here")
def test_prometheus_itself_takes_the_alerts_and_they_fire_when_they_should() -> None:
    for arguments in (
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "alerts.test.yaml"],
    ):
        result = subprocess.run(
            ["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
