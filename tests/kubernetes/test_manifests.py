"""Every manifest of the chart, and every Job of a flow run: valid, and hardened."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import helm_python
import pytest
import yaml
from chart import CHART, NAMESPACE, VALUES, rendered
from flow_jobs import deployments, job_of, packaged_template, template_of
from hardening import complaints, pods_of
from kubernetes_schemas import OLDEST, VERSIONS, faults
from release_rules import release_complaints

if TYPE_CHECKING:
    from pathlib import Path

    from hardening import Manifest

pytestmark = pytest.mark.xdist_group("kubernetes-chart")
FOREIGN = {"postgresql.cnpg.io/v1", "monitoring.coreos.com/v1"}  # of operators; no schema of them


@cache
def release(name: str) -> tuple[Manifest, ...]:
    """Everything that runs in the namespace: the chart's manifests and the flow runs' Jobs."""
    manifests = rendered(VALUES[name])
    template = template_of(manifests)
    return (*manifests, *(job_of(template, deployment) for deployment in deployments().values()))


def test_the_versions_reach_from_the_oldest_that_we_support_to_the_newest_known() -> None:
    assert VERSIONS[0] == OLDEST
    assert len(VERSIONS) >= 8
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["kubeVersion"] == f">={OLDEST}.0-0"


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid(version: str) -> None:
    checked = 0
    for name in VALUES:
        for manifest in release(name):
            if manifest["apiVersion"] not in FOREIGN:
                assert faults(manifest, version) == [], manifest["metadata"]["name"]
                checked += 1
    assert checked > 100


@pytest.mark.parametrize("name", VALUES)
def test_every_manifest_is_hardened(name: str) -> None:
    manifests = release(name)
    assert len(pods_of(manifests)) >= 6
    assert complaints(pods_of(manifests)) == []
    assert release_complaints(manifests) == []


@pytest.mark.parametrize("deployment", deployments())
def test_the_job_of_every_deployment_is_valid_and_hardened_without_the_chart_too(
    deployment: str,
) -> None:
    job = job_of(packaged_template(), deployments()[deployment])
    assert [fault for version in VERSIONS for fault in faults(job, version)] == []
    assert complaints(pods_of([job])) == []


def test_names_stand_once_and_fit_into_a_label() -> None:
    for name in VALUES:
        keys = [(m["kind"], m["metadata"]["name"]) for m in rendered(VALUES[name])]
        assert len(keys) == len(set(keys))
        assert all(len(key[1]) <= 63 for key in keys)


def test_a_release_of_another_name_shares_no_name_with_ours() -> None:
    def names(release: str) -> set[tuple[str, str]]:
        return {(m["kind"], m["metadata"]["name"]) for m in rendered(name=release)}

    assert not names("crmhouse") & names("second")


def test_the_chart_has_no_finding_of_helm_and_needs_no_other_chart() -> None:
    report = helm_python.lint(CHART, VALUES["evaluation"], strict=True, namespace=NAMESPACE)
    assert report["errors"] == []
    assert [m for m in report["messages"] if m["severity"] > 1] == []
    with helm_python.Chart.load(CHART) as chart:
        assert chart.metadata.get("dependencies") is None
        assert chart.crds == []


def test_a_release_holds_no_secret_and_nothing_that_needs_a_hook() -> None:
    for name in VALUES:
        for manifest in rendered(VALUES[name]):
            assert manifest["kind"] != "Secret"
            assert "helm.sh/hook" not in manifest["metadata"].get("annotations", {})


def test_the_packaged_chart_is_complete(tmp_path: Path) -> None:
    """Its links to files elsewhere in the repository become files."""
    with helm_python.Chart.load(CHART) as chart:
        archive = chart.save(tmp_path)
    with helm_python.Chart.load(archive) as packed:
        files = packed.render(VALUES["evaluation"], name="crmhouse", namespace=NAMESPACE)
    packed_files = [*yaml.safe_load_all(files["crmhouse/templates/configmaps.yaml"])]
    assert template_of(packed_files) == template_of(rendered(VALUES["evaluation"]))


def test_who_waits_for_others_is_not_given_up_while_it_waits() -> None:
    """The scripts wait for a quarter of an hour, and are started again after it."""
    patient = {
        manifest["metadata"]["name"]: manifest["spec"].get("progressDeadlineSeconds", 600)
        for manifest in rendered(VALUES["evaluation"])
        if manifest["kind"] == "Deployment"
        and "'wait-for-" in str(manifest["spec"]["template"]["spec"].get("initContainers"))
    }
    assert patient == {f"crmhouse-{name}": 1800 for name in ("metrics", "server", "worker")}
