"""Each rule complains when it is broken: a good release is spoilt in one place at a time."""

from __future__ import annotations

import copy
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from chart import EVERYTHING, VALUES, rendered
from flow_jobs import deployments, job_of, template_of
from hardening import RULES as POD_RULES
from hardening import complaints, pods_of
from kubernetes_schemas import VERSIONS, faults
from release_rules import RULES as RELEASE_RULES
from release_rules import release_complaints

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardening import Manifest

pytestmark = pytest.mark.xdist_group("kubernetes-chart")


@cache
def _good() -> list[Manifest]:
    manifests = rendered({**VALUES["evaluation"], "metrics": EVERYTHING["metrics"]})
    return [*manifests, job_of(template_of(manifests), deployments()["refresh"])]


@pytest.fixture
def release() -> list[Manifest]:
    return copy.deepcopy(_good())


def find(release: list[Manifest], kind: str, name: str) -> Manifest:
    return next(
        m for m in release if m["kind"] == kind and m["metadata"]["name"].startswith(name)
    )  # fmt: skip


def pod(release: list[Manifest], name: str = "crmhouse-server") -> dict[str, Any]:
    for kind in ("Deployment", "Job"):
        for manifest in release:
            if manifest["kind"] == kind and manifest["metadata"]["name"].startswith(name):
                found: dict[str, Any] = manifest["spec"]["template"]["spec"]
                return found
    raise AssertionError(name)


def box(release: list[Manifest], name: str = "crmhouse-server") -> dict[str, Any]:
    found: dict[str, Any] = pod(release, name)["containers"][0]
    return found


def flow(release: list[Manifest]) -> Manifest:
    return next(m for m in release if m["metadata"]["name"].startswith("refresh-of-everything"))


def rule_of(release: list[Manifest], name: str) -> dict[str, Any]:
    found: dict[str, Any] = find(release, "NetworkPolicy", name)["spec"]
    return found


Spoil = "Callable[[list[Manifest]], object]"

OF_A_POD: list[tuple[str, Spoil]] = [
    ("runs as nobody", lambda r: pod(r)["securityContext"].pop("runAsNonRoot")),
    ("runs as nobody", lambda r: pod(r)["securityContext"].update(runAsUser=0)),
    ("runs as nobody", lambda r: box(r)["securityContext"].update(runAsUser=0)),
    ("runs as nobody", lambda r: box(r)["securityContext"].update(runAsNonRoot=False)),
    ("seccomp", lambda r: pod(r)["securityContext"].pop("seccompProfile")),
    ("seccomp", lambda r: box(r)["securityContext"].update(seccompProfile={"type": "Unconfined"})),
    ("no rights", lambda r: box(r)["securityContext"].pop("allowPrivilegeEscalation")),
    ("no rights", lambda r: box(r)["securityContext"].update(capabilities={})),
    ("no rights", lambda r: box(r)["securityContext"]["capabilities"].update(add=["NET_ADMIN"])),
    ("no rights", lambda r: box(r)["securityContext"].update(privileged=True)),
    ("no rights", lambda r: pod(r)["initContainers"][0].pop("securityContext")),
    ("nothing of the host", lambda r: pod(r).update(hostNetwork=True)),
    ("nothing of the host", lambda r: pod(r).update(hostPID=True)),
    ("nothing of the host", lambda r: box(r)["ports"][0].update(hostPort=4200)),
    ("nothing of the host",
     lambda r: pod(r)["volumes"].append({"name": "x", "hostPath": {"path": "/"}})),
    ("nothing of the host",
     lambda r: pod(r)["securityContext"].update(sysctls=[{"name": "a", "value": "b"}])),
    ("read-only root", lambda r: box(r)["securityContext"].update(readOnlyRootFilesystem=False)),
    ("read-only root", lambda r: box(r)["volumeMounts"][0].update(name="misspelt")),
    ("read-only root", lambda r: pod(r)["volumes"][0].update(emptyDir={})),
    ("scratch", lambda r: box(r)["volumeMounts"].pop(0)),
    ("scratch", lambda r: box(r)["volumeMounts"][1].update(readOnly=True)),
    ("resources", lambda r: box(r).pop("resources")),
    ("resources", lambda r: box(r)["resources"]["limits"].pop("memory")),
    ("resources", lambda r: box(r)["resources"]["limits"].update(memory="4Gigs")),
    ("resources", lambda r: box(r)["resources"]["requests"].update(cpu="64")),
    ("resources", lambda r: pod(r)["volumes"][0]["emptyDir"].update(sizeLimit="1 GB")),
    ("image", lambda r: box(r).update(image="crmhouse:latest")),
    ("image", lambda r: box(r).update(image="registry:5000/crmhouse")),
    ("no secret in clear",
     lambda r: box(r)["env"].append({"name": "SHOPIFY_ACCESS_TOKEN", "value": "shpat_1"})),
    ("no secret in clear",
     lambda r: box(r)["env"].append({"name": "PREFECT_API_AUTH_STRING", "value": "a:b"})),
    ("no secret in clear",
     lambda r: box(r)["env"].append({"name": "PROXY", "value": "http://me:word@proxy:3128"})),
    ("no secret in clear", lambda r: box(r)["command"].append("--db=postgresql://a:b@host/db")),
    ("token", lambda r: pod(r).update(automountServiceAccountToken=True)),
    ("token", lambda r: flow(r)["spec"]["template"]["spec"].pop("automountServiceAccountToken")),
    ("token", lambda r: pod(r, "crmhouse-worker").update(automountServiceAccountToken=False)),
    ("token", lambda r: pod(r).pop("serviceAccountName")),
    ("no service links", lambda r: pod(r).pop("enableServiceLinks")),
    ("probes", lambda r: box(r).pop("livenessProbe")),
    ("probes", lambda r: box(r).pop("readinessProbe")),
    ("probes", lambda r: box(r)["livenessProbe"]["httpGet"].update(port="htpp")),
    ("enums", lambda r: box(r).update(imagePullPolicy="Sometimes")),
    ("enums", lambda r: pod(r, "crmhouse-database").update(restartPolicy="Always")),
    ("enums", lambda r: pod(r).update(restartPolicy="Never")),
    ("enums", lambda r: box(r)["ports"][0].update(protocol="HTTP")),
    ("ends by itself",
     lambda r: find(r, "Job", "crmhouse-deploy")["spec"].pop("ttlSecondsAfterFinished")),
    ("ends by itself", lambda r: flow(r)["spec"].pop("activeDeadlineSeconds")),
    ("resumable", lambda r: flow(r)["spec"].update(backoffLimit=1)),
    ("resumable",
     lambda r: flow(r)["spec"]["template"]["spec"].update(terminationGracePeriodSeconds=30)),
    ("resumable", lambda r: flow(r)["spec"]["template"]["spec"].update(restartPolicy="OnFailure")),
    ("spread", lambda r: pod(r, "crmhouse-worker").pop("topologySpreadConstraints")),
    ("spread", lambda r: flow(r)["spec"]["template"]["metadata"]["labels"].clear()),
]  # fmt: skip

OF_A_RELEASE: list[tuple[str, Spoil]] = [
    ("only known kinds", lambda r: find(r, "Role", "crmhouse").update(kind="ClusterRole")),
    ("only known kinds", lambda r: r[0]["metadata"].update(namespace="default")),
    ("no secret in configuration",
     lambda r: find(r, "ConfigMap", "crmhouse")["data"].update(x="postgresql://a:word@host/db")),
    ("default deny", lambda r: r.remove(find(r, "NetworkPolicy", "crmhouse-default-deny"))),
    ("default deny",
     lambda r: rule_of(r, "crmhouse-default-deny").update(policyTypes=["Ingress"])),
    ("default deny",
     lambda r: flow(r)["spec"]["template"]["metadata"]["labels"].pop("app.kubernetes.io/instance")),
    ("policies select",
     lambda r: rule_of(r, "crmhouse-worker-egress")["podSelector"]["matchLabels"].update(a="b")),
    ("policies select", lambda r: rule_of(r, "crmhouse-worker-egress")["egress"][0].pop("ports")),
    ("policies select", lambda r: rule_of(r, "crmhouse-dns")["egress"][0].pop("to")),
    ("both ends agree",
     lambda r: rule_of(r, "crmhouse-server-ingress")["ingress"][0]["from"].pop()),
    ("both ends agree", lambda r: rule_of(r, "crmhouse-flow-run-egress")["egress"].pop()),
    ("least rights",
     lambda r: find(r, "Role", "crmhouse")["rules"][1]["verbs"].append("delete")),
    ("least rights",
     lambda r: find(r, "Role", "crmhouse")["rules"].append(
         {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]})),
    ("least rights", lambda r: find(r, "Role", "crmhouse")["rules"][0]["verbs"].remove("watch")),
    ("least rights",
     lambda r: find(r, "RoleBinding", "crmhouse")["roleRef"].update(kind="ClusterRole")),
    ("least rights",
     lambda r: find(r, "RoleBinding", "crmhouse")["subjects"].append(
         {"kind": "ServiceAccount", "name": "crmhouse-flow-run", "namespace": "crm"})),
    ("accounts",
     lambda r: find(r, "ServiceAccount", "crmhouse-server").pop("automountServiceAccountToken")),
    ("accounts", lambda r: pod(r).update(serviceAccountName="default")),
    ("references", lambda r: r.remove(find(r, "ConfigMap", "crmhouse-scripts"))),
    ("references",
     lambda r: find(r, "Deployment", "crmhouse-server")["spec"]["selector"]["matchLabels"].update(
         a="b")),
    ("services", lambda r: find(r, "Service", "crmhouse-server")["spec"].update(type="NodePort")),
    ("services",
     lambda r: find(r, "Service", "crmhouse-server")["spec"]["ports"][0].update(targetPort="x")),
    ("services",
     lambda r: find(r, "Service", "crmhouse-server")["spec"]["selector"].update(a="b")),
    ("budgets",
     lambda r: find(r, "PodDisruptionBudget", "crmhouse-server")["spec"].update(maxUnavailable=0)),
    ("budgets", lambda r: r.remove(find(r, "PodDisruptionBudget", "crmhouse-worker"))),
    ("template is JSON",
     lambda r: find(r, "ConfigMap", "crmhouse-config")["data"].update({"x.json": "{,}"})),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "spoil"), OF_A_POD, ids=[name for name, _ in OF_A_POD])
def test_a_pod_that_breaks_a_rule_is_found(
    rule: str, spoil: Callable[[list[Manifest]], object], release: list[Manifest]
) -> None:
    assert complaints(pods_of(release)) == []
    spoil(release)
    assert [said for said in complaints(pods_of(release)) if said.startswith(f"{rule}:")]


@pytest.mark.parametrize(("rule", "spoil"), OF_A_RELEASE, ids=[name for name, _ in OF_A_RELEASE])
def test_a_release_that_breaks_a_rule_is_found(
    rule: str, spoil: Callable[[list[Manifest]], object], release: list[Manifest]
) -> None:
    assert release_complaints(release) == []
    spoil(release)
    assert [said for said in release_complaints(release) if said.startswith(f"{rule}:")]


def test_a_database_cluster_of_no_size_is_found() -> None:
    release = rendered(VALUES["cloudnativepg"])
    find(release, "Cluster", "crmhouse")["spec"]["storage"]["size"] = "50GiB"
    assert any(said.startswith("storage:") for said in release_complaints(release))


def test_every_rule_is_broken_by_some_test() -> None:
    assert {name for name, _ in OF_A_POD} == POD_RULES.keys()
    assert {name for name, _ in OF_A_RELEASE} | {"storage"} == RELEASE_RULES.keys()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_misspelt_field_is_found_by_the_schema_of_every_version(
    version: str, release: list[Manifest]
) -> None:
    box(release)["imagePullPolcy"] = "Always"
    assert any(
        "imagePullPolcy" in said
        for said in faults(find(release, "Deployment", "crmhouse-server"), version)
    )


@pytest.mark.parametrize(
    ("orchestration", "ports"),
    [
        ({}, {5432}),
        ({"notifications": {}}, {5432}),
        ({"work_pool_limit": 2}, {5432}),
        ({"notifications": {"webhook": "${ALERTS_WEBHOOK}"}}, {5432, 443, 587}),
        ({"notifications": {"mail": {"host": "smtp.example.com"}}}, {5432, 443, 587}),
    ],
)
def test_the_server_has_a_way_out_where_it_has_alerts_to_send(
    orchestration: dict[str, Any], ports: set[int]
) -> None:
    release = rendered({"config": {"orchestration": orchestration}})
    rules = rule_of(release, "crmhouse-server-egress")["egress"]
    assert {port["port"] for rule in rules for port in rule["ports"]} == ports
    for rule in rules[1:]:
        assert rule["to"][0]["ipBlock"]["cidr"] == "0.0.0.0/0"
        assert "169.254.0.0/16" in rule["to"][0]["ipBlock"]["except"]


def test_alerts_go_where_the_values_say_and_nowhere_else() -> None:
    to = [{"ipBlock": {"cidr": "10.0.0.25/32"}}]
    config = {"orchestration": {"notifications": {"mail": {"host": "mail", "port": 25}}}}
    policy = {"notifications": {"to": to, "ports": [25]}}
    release = rendered({"config": config, "networkPolicy": policy})
    egress = rule_of(release, "crmhouse-server-egress")["egress"]
    assert egress[1:] == [{"to": to, "ports": [{"protocol": "TCP", "port": 25}]}]
