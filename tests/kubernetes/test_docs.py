"""docs/kubernetes.md is followed to the letter: its names are those of the chart."""

from __future__ import annotations

import re

import pytest
import yaml
from chart import ROOT, evaluation, rendered
from hardening import pods_of
from project import KEYS

pytestmark = pytest.mark.xdist_group("kubernetes-chart")

PAGE = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [text.replace("\\\n", " ") for language, text in BLOCKS if not language]
SCRIPT = "\n".join(COMMANDS)


def made() -> dict[str, dict[str, str]]:
    """The Secrets that the commands make, by name and key."""
    found: dict[str, dict[str, str]] = {}
    for name, rest in re.findall(r"kubectl create secret generic (\S+)(.*)", SCRIPT):
        pairs = re.findall(r"--from-literal=([\w-]+)=(\"[^\"]*\"|\S+)", rest)
        found[name] = {key: value.strip('"') for key, value in pairs}
    return found


def needed() -> dict[str, set[str]]:
    """The keys that the evaluation's pods take from each Secret."""
    found: dict[str, set[str]] = {}
    for pod in pods_of(rendered(evaluation())):
        for container in pod.containers:
            for entry in container.get("env", []):
                if reference := entry.get("valueFrom", {}).get("secretKeyRef"):
                    found.setdefault(reference["name"], set()).add(reference["key"])
    variables = set(re.findall(r"\$\{(\w+)\}", str(evaluation()["config"])))
    return {**found, "crmhouse-sources": variables}


def test_every_secret_that_the_evaluation_needs_is_made_and_no_other() -> None:
    assert {name: set(keys) for name, keys in made().items()} == needed()


def test_the_secrets_of_the_sources_open_the_stand_ins() -> None:
    assert made()["crmhouse-sources"] == KEYS


def test_the_urls_lead_to_services_of_the_chart() -> None:
    services = {
        (m["metadata"]["name"], port["port"])
        for m in rendered(evaluation())
        if m["kind"] == "Service"
        for port in m["spec"]["ports"]
    }
    urls = [value for keys in made().values() for value in keys.values() if "://" in value]
    assert len(urls) == 3
    hosts = re.findall(r"(?:@|http://)([\w-]+):(\d+)", " ".join(urls) + str(evaluation()))
    assert {(name, int(port)) for name, port in hosts} <= services


def test_every_object_that_a_command_names_is_there() -> None:
    kinds = {"deployment": "Deployment", "service": "Service"}
    there = {(m["kind"], m["metadata"]["name"]) for m in rendered(evaluation())}
    named = set(re.findall(r"\b(deployment|service)/([\w-]+)", SCRIPT))
    assert len(named) >= 6
    assert {(kinds[kind], name) for kind, name in named} <= there
    components = set(re.findall(r"app\.kubernetes\.io/component=([\w-]+)", SCRIPT))
    assert components - {"flow-run"} <= {
        m["metadata"]["labels"]["app.kubernetes.io/component"] for m in rendered(evaluation())
    }


def test_every_file_that_a_command_takes_is_there() -> None:
    files = set(re.findall(r"deployments/[\w./-]+", SCRIPT))
    assert len(files) >= 2
    assert all((ROOT / file).exists() for file in files)


def test_the_values_of_the_production_example_are_taken() -> None:
    example = re.search(
        r"^## In production\n.*?^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL
    )
    assert example
    assert len(rendered(yaml.safe_load(example[1]))) > 20


def test_a_command_that_does_not_end_by_itself_stands_alone() -> None:
    assert "--watch" not in SCRIPT
    assert "until " not in SCRIPT
    for block in COMMANDS:
        assert "port-forward" not in block or block.count("\n") == 1


def test_helm_template_is_told_a_version_that_the_chart_takes() -> None:
    lines = [line for line in SCRIPT.splitlines() if line.startswith("helm template")]
    assert len(lines) == 3
    assert all(" --kube-version 1.30.0 " in line for line in lines)


def test_the_page_shows_every_pod_that_there_is() -> None:
    kinds = {"Deployment", "Job"}
    there = {
        m["metadata"]["labels"]["app.kubernetes.io/component"]
        for m in rendered(evaluation())
        if m["kind"] in kinds
    }
    assert set(re.findall(r"^crmhouse-(\w+)-… ", PAGE, re.MULTILINE)) == there


def test_the_commands_of_other_pages_are_for_deployments_of_the_chart() -> None:
    there = {m["metadata"]["name"] for m in rendered(evaluation()) if m["kind"] == "Deployment"}
    named = set()
    for page in (ROOT / "docs").rglob("*.md"):
        named |= set(re.findall(r"\bdeployment/([\w-]+)", page.read_text(encoding="utf-8")))
    assert {"crmhouse-metrics", "crmhouse-postgresql", "crmhouse-worker"} <= named <= there


def test_what_the_pods_of_the_commands_need_is_there() -> None:
    """`crmhouse status` in the metrics pod, `prefect deployment run` in the worker's."""
    environment = {
        pod.component: {entry["name"] for entry in pod.spec["containers"][0]["env"]}
        for pod in pods_of(rendered())
        if pod.component in {"metrics", "worker"}
    }
    assert environment["metrics"] >= {"CRMHOUSE_WAREHOUSE_URL", "CRMHOUSE_CONFIG"}
    assert environment["worker"] >= {"PREFECT_API_URL", "PREFECT_API_AUTH_STRING"}


def test_the_image_that_is_built_and_imported_is_the_one_that_the_evaluation_takes() -> None:
    image = evaluation()["image"]
    short = f"{image['repository'].removeprefix('docker.io/library/')}:{image['tag']}"
    assert f"docker build -t {short} ." in SCRIPT
    assert f"docker save {short} -o crmhouse.tar" in SCRIPT
    assert f"`docker.io/library/{short}`" in PAGE
