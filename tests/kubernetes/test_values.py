"""The values: what is misspelt or wrong is refused, and what is set arrives where it should."""

from __future__ import annotations

import copy
import re
import shutil
from typing import TYPE_CHECKING, Any

import helm_python
import pytest
import yaml
from chart import CHART, EVERYTHING, NAMESPACE, ROOT, VALUES, evaluation, rendered
from flow_jobs import deployments, job_of, packaged_template, template_of
from hardening import amount
from project import KEYS

from crmhouse.literal_secrets import refuse_literal_secrets
from crmhouse.settings import load_settings
from ingestion.sources import connector

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("kubernetes-chart")

WRONG: dict[str, dict[str, Any]] = {
    "misspelt": {"imgae": {"tag": "1"}},
    "misspelt inside": {"server": {"resuorces": {}}},
    "latest": {"image": {"tag": "latest"}},
    "no policy": {"image": {"pullPolicy": "Sometimes"}},
    "no digest": {"image": {"digest": "sha256:abc"}},
    "no quantity": {"flows": {"resources": {"limits": {"memory": "4Gigs"}}}},
    "no mode": {"postgresql": {"mode": "bundled"}},
    "no worker": {"worker": {"replicas": 0}},
    "a number as text": {"flows": {"activeDeadlineSeconds": "600"}},
    "no name": {"secrets": {"warehouse": {"name": "Not_A_Name"}}},
    "a password": {"server": {"env": {"PREFECT_SERVER_DATABASE_PASSWORD": "word"}}},
    "a token": {"flows": {"env": {"HUBSPOT_TOKEN": "pat"}}},
    "DNS for nobody": {"networkPolicy": {"dns": {"to": []}}},
    "a peer that is none": {"networkPolicy": {"serverFrom": [{"ip": "10.0.0.1"}]}},
    "two times": {
        "schedules": {"refresh": {"cron": "0 1 * * *", "interval": 60, "timezone": "UTC"}}
    },
    "no time zone": {"schedules": {"refresh": {"cron": "0 1 * * *"}}},
    "no cron": {"schedules": {"refresh": {"cron": "daily", "timezone": "UTC"}}},
}  # fmt: skip


@pytest.mark.parametrize("values", WRONG.values(), ids=WRONG)
def test_wrong_values_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(helm_python.HelmValuesError):
        rendered(values)


def test_a_schedule_of_no_deployment_is_refused() -> None:
    with pytest.raises(helm_python.HelmRenderError, match="no deployment refesh"):
        rendered({"schedules": {"refesh": {"cron": "0 1 * * *", "timezone": "UTC"}}})


def test_the_schema_lets_no_key_through_that_the_chart_does_not_have() -> None:
    """Each object of values.yaml is closed in the schema, but for maps of the user's own names."""
    with helm_python.Chart.load(CHART) as chart:
        schema, values = chart.schema, chart.values
    assert schema
    own = {"config", "schedules", "nodeSelector", "affinity", "env", "labels", "podAnnotations",
           "parameters", "serviceAccountAnnotations"}  # fmt: skip

    def closed(of: dict[str, Any], there: dict[str, Any], at: str) -> None:
        if "$ref" in of:
            of = schema["$defs"][of["$ref"].rpartition("/")[2]]
        assert of.get("additionalProperties") is False, at
        for key, value in there.items():
            assert key in of["properties"], f"{at}.{key}"
            if isinstance(value, dict) and key not in own:
                closed(of["properties"][key], value, f"{at}.{key}")

    closed(schema, values, "values")


def config_of(values: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = next(
        m["data"] for m in rendered(values) if m["metadata"]["name"] == "crmhouse-config"
    )
    return found


@pytest.mark.parametrize("name", VALUES)
def test_the_rendered_configuration_is_one_that_crmhouse_takes(name: str, tmp_path: Path) -> None:
    file = tmp_path / "crmhouse.yaml"
    file.write_text(config_of(VALUES[name])["crmhouse.yaml"], encoding="utf-8")
    settings = load_settings(file)
    assert settings.orchestration.work_pool_type == "kubernetes"
    assert str(settings.orchestration.base_job_template) == "/etc/crmhouse/base-job-template.json"
    refuse_literal_secrets(yaml.safe_load(file.read_text(encoding="utf-8")), file)


def test_every_source_of_the_evaluation_is_one_that_its_connector_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = config_of(evaluation())["crmhouse.yaml"]
    (tmp_path / "crmhouse.yaml").write_text(text, encoding="utf-8")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(tmp_path / "crmhouse.yaml")
    assert len(settings.sources) == 5
    for source in settings.sources:
        assert connector(settings, source)


def test_schedules_of_the_values_replace_those_of_the_deployments_and_nothing_else() -> None:
    assert "prefect.yaml" not in config_of({})
    changed = yaml.safe_load(config_of(evaluation())["prefect.yaml"])
    wanted = {"slug": "chart", "cron": "*/5 * * * *", "timezone": "Etc/UTC"}
    for deployment in changed["deployments"]:
        before = copy.deepcopy(deployments()[deployment["name"]])
        if deployment["name"] == "refresh":
            before["schedules"] = [wanted]
        assert deployment == before


def test_the_templates_variables_have_the_values_of_the_chart() -> None:
    job = job_of(template_of(rendered(EVERYTHING)), deployments()["refresh"])
    spec = job["spec"]["template"]["spec"]
    container = spec["containers"][0]
    assert job["metadata"]["namespace"] == NAMESPACE
    assert container["image"] == f"registry.example/team/crmhouse@sha256:{'a' * 64}"
    assert container["imagePullPolicy"] == "Always"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["priorityClassName"] == "loads"
    assert spec["nodeSelector"] == {"pool": "loads"}
    assert spec["tolerations"][0]["key"] == "loads"
    assert container["envFrom"] == [{"secretRef": {"name": n}} for n in ("crm", "billing")]
    assert {"name": "data", "mountPath": "/data", "readOnly": True} in container["volumeMounts"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert environment["CRMHOUSE_LOG_LEVEL"] == "DEBUG"
    assert environment["DO_NOT_TRACK"] == "1"
    assert environment["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] == "reschedule"


def test_a_job_without_a_priority_class_has_no_empty_one() -> None:
    job = job_of(packaged_template(), deployments()["refresh"])
    assert "priorityClassName" not in job["spec"]["template"]["spec"]


def test_an_image_that_was_imported_by_hand_is_not_pulled() -> None:
    manifests = rendered(evaluation())
    jobs = [job_of(template_of(manifests), d) for d in deployments().values()]
    for manifest in [*manifests, *jobs]:
        template = manifest.get("spec", {}).get("template", {}).get("spec", {})
        for container in [*template.get("initContainers", []), *template.get("containers", [])]:
            assert container["image"] == "docker.io/library/crmhouse:dev"
            assert container["imagePullPolicy"] == "IfNotPresent"


def test_a_changed_configuration_makes_a_new_deploy_and_an_unchanged_one_none() -> None:
    def jobs(values: dict[str, Any]) -> set[str]:
        return {m["metadata"]["name"] for m in rendered(values) if m["kind"] == "Job"}

    before = jobs({})
    assert before == jobs({})
    changed = jobs({"config": {"log_level": "DEBUG"}})
    assert {name.rpartition("-")[0] for name in before ^ changed} == {"crmhouse-deploy"}
    assert not before & jobs({"image": {"tag": "0.2.0"}})


def test_a_postgresql_that_may_be_empty_makes_both_jobs_new() -> None:
    def jobs(**values: Any) -> set[str]:
        release = rendered({"postgresql": {"mode": "evaluation", "evaluation": values}})
        return {m["metadata"]["name"] for m in release if m["kind"] == "Job"}

    assert jobs() == jobs()
    assert not jobs() & jobs(persistentVolumeClaim="data")


def test_another_version_of_the_chart_makes_new_jobs_whatever_the_image(tmp_path: Path) -> None:
    """The version is in the labels of the pod, which nobody can change."""
    copied = shutil.copytree(CHART, tmp_path / "crmhouse")
    about = copied / "Chart.yaml"

    def jobs() -> set[str]:
        with helm_python.Chart.load(copied) as chart:
            files = chart.render({"image": {"tag": "pinned"}}, name="crmhouse", namespace=NAMESPACE)
        manifests = yaml.safe_load_all(files["crmhouse/templates/jobs.yaml"])
        return {manifest["metadata"]["name"] for manifest in manifests if manifest}

    before = jobs()
    assert len(before) == 2
    text = about.read_text(encoding="utf-8")
    about.write_text(text.replace('appVersion: "0.1.0"', 'appVersion: "0.1.1"'), encoding="utf-8")
    assert not before & jobs()


def test_the_evaluation_fits_beside_the_system_pods_of_a_node_with_two_processors() -> None:
    """Those of kubeadm and kind reserve 950m; the page says what ours need to be free."""
    manifests = rendered(evaluation())
    pods: dict[str, list[dict[str, Any]]] = {"Deployment": [], "Job": []}
    for manifest in manifests:
        if manifest["kind"] in pods:
            assert manifest["spec"].get("replicas", 1) == 1
            pods[manifest["kind"]].append(manifest["spec"]["template"]["spec"])
    run = job_of(template_of(manifests), deployments()["refresh"])["spec"]["template"]["spec"]
    needed, lasting = {}, {}
    for kind in ("cpu", "memory"):
        lasting[kind] = sum(requested(pod, kind) for pod in pods["Deployment"])
        beginning = sum(requested(pod, kind) for pod in pods["Job"])
        needed[kind] = lasting[kind] + max(beginning, requested(run, kind))
    assert needed["cpu"] <= 1.0
    page = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    for cpu, memory in (needed.values(), lasting.values()):
        assert re.search(f"{cpu * 1000:.0f}m (of CPU )?and {memory / 2**20:.0f} MiB", page)


def requested(pod: dict[str, Any], kind: str) -> float:
    """Return what the scheduler looks for: all containers', or the largest of those before them."""

    def of(container: dict[str, Any]) -> float:
        return amount(container["resources"]["requests"][kind]) or 0

    first = max((of(container) for container in pod.get("initContainers", [])), default=0)
    return max(first, sum(of(container) for container in pod["containers"]))
