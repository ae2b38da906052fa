"""What the manifests of a release must be to each other: networks, rights, references."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from hardening import Manifest, Pod, amount, pods_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# What the worker may ask; tests/kubernetes/test_worker.py holds it against what it does ask.
WORKER_MAY = {
    ("batch", "jobs"): {"create", "delete", "get", "list", "watch"},
    ("", "pods"): {"list", "watch"},
    ("", "pods/log"): {"get"},
}
_KINDS = {
    "ConfigMap", "CronJob", "Cluster", "Database", "Deployment", "Job", "NetworkPolicy",
    "PodDisruptionBudget", "Role", "RoleBinding", "Service", "ServiceAccount", "ServiceMonitor",
}  # fmt: skip
_USER_AND_PASSWORD = re.compile(r"://[^/\s:@$]+:[^/\s@$]+@")


def release_complaints(manifests: Sequence[Manifest]) -> list[str]:
    """Return what all rules say, each line begun by the rule's name."""
    pods = pods_of(manifests)
    return [f"{name}: {said}" for name, rule in RULES.items() for said in rule(manifests, pods)]


def granted(manifests: Sequence[Manifest]) -> dict[tuple[str, str], set[str]]:
    """Return the verbs by API group and resource, over all Roles."""
    found: dict[tuple[str, str], set[str]] = {}
    for role in _of(manifests, "Role"):
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


def _of(manifests: Sequence[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def _names(manifests: Sequence[Manifest], kind: str) -> set[str]:
    return {manifest["metadata"]["name"] for manifest in _of(manifests, kind)}


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "the rules know no other selectors"
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def _only_known_kinds(manifests: Sequence[Manifest], pods: Sequence[Pod]) -> Iterator[str]:  # noqa: ARG001
    for manifest in manifests:
        if manifest["kind"] not in _KINDS:
            yield f"{manifest['kind']} is no part of a release in one namespace"
        if manifest["metadata"].get("namespace") != "crm":
            yield f"{manifest['kind']} {manifest['metadata']['name']} is not in the namespace"


def _no_secret_in_configuration(
    manifests: Sequence[Manifest],
    pods: Sequence[Pod],  # noqa: ARG001
) -> Iterator[str]:
    for manifest in _of(manifests, "ConfigMap"):
        for name, text in manifest["data"].items():
            if _USER_AND_PASSWORD.search(text):
                yield f"ConfigMap {manifest['metadata']['name']}: {name} has a URL with a password"


def _default_deny(manifests: Sequence[Manifest], pods: Sequence[Pod]) -> Iterator[str]:
    policies = _of(manifests, "NetworkPolicy")
    closed = [
        policy["spec"]["podSelector"]
        for policy in policies
        if set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        and not policy["spec"].get("ingress")
        and not policy["spec"].get("egress")
    ]
    for pod in pods:
        if not any(_selects(selector, pod.labels) for selector in closed):
            yield f"{pod.owner} is open: no default-deny selects it"


def _policies_select(manifests: Sequence[Manifest], pods: Sequence[Pod]) -> Iterator[str]:
    for policy in _of(manifests, "NetworkPolicy"):
        name = policy["metadata"]["name"]
        if not any(_selects(policy["spec"]["podSelector"], pod.labels) for pod in pods):
            yield f"{name} selects no pod"
        for direction in ("ingress", "egress"):
            for rule in policy["spec"].get(direction, []):
                if not rule.get("from", rule.get("to")) or not rule.get("ports"):
                    yield f"{name} opens {direction} for everybody or every port"


def _both_ends_agree(manifests: Sequence[Manifest], pods: Sequence[Pod]) -> Iterator[str]:
    """Find traffic between our own pods that one end allows and the other does not."""
    allowed: dict[str, set[tuple[str, str, int]]] = {"ingress": set(), "egress": set()}
    for policy in _of(manifests, "NetworkPolicy"):
        here = [p for p in pods if _selects(policy["spec"]["podSelector"], p.labels)]
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(direction, []):
                for peer in rule.get(peers, []):
                    if set(peer) != {"podSelector"}:
                        continue
                    there = [p for p in pods if _selects(peer["podSelector"], p.labels)]
                    for one in here:
                        for other in there:
                            ends = (one, other) if direction == "egress" else (other, one)
                            allowed[direction] |= {
                                (ends[0].component, ends[1].component, port["port"])
                                for port in rule.get("ports", [])
                            }
    for source, target, port in sorted(allowed["ingress"] ^ allowed["egress"]):
        yield f"{source} to {target}:{port} is open at one end only"


def _least_rights(manifests: Sequence[Manifest], pods: Sequence[Pod]) -> Iterator[str]:  # noqa: ARG001
    for resource, verbs in granted(manifests).items():
        if more := verbs - WORKER_MAY.get(resource, set()):
            yield f"{'/'.join(resource)}: {', '.join(sorted(more))} is granted"
    for resource, verbs in WORKER_MAY.items():
        if missing := verbs - granted(manifests).get(resource, set()):
            yield f"{'/'.join(resource)}: {', '.join(sorted(missing))} is missing"
    for binding in _of(manifests, "RoleBinding"):
        reference = binding["roleRef"]
        if reference["kind"] != "Role" or reference["name"] not in _names(manifests, "Role"):
            yield f"{binding['metadata']['name']} is not to a Role of the release"
        for subject in binding["subjects"]:
            if not subject["name"].endswith("-worker") or subject["kind"] != "ServiceAccount":
                yield f"{binding['metadata']['name']}: {subject['name']} is not the worker"


def _accounts(manifests: Sequence[Manifest], pods: Sequence[Pod]) -> Iterator[str]:
    for account in _of(manifests, "ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"{account['metadata']['name']} mounts its token by default"
    for pod in pods:
        if pod.spec.get("serviceAccountName") not in _names(manifests, "ServiceAccount"):
            yield f"{pod.owner}: there is no account {pod.spec.get('serviceAccountName')}"


def _references(manifests: Sequence[Manifest], pods: Sequence[Pod]) -> Iterator[str]:
    there = _names(manifests, "ConfigMap")
    for pod in pods:
        for volume in pod.spec.get("volumes", []):
            if (name := volume.get("configMap", {}).get("name")) and name not in there:
                yield f"{pod.owner}: there is no ConfigMap {name}"
    for workload in _of(manifests, "Deployment"):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        if not _selects(workload["spec"]["selector"], labels):
            yield f"Deployment {workload['metadata']['name']} does not select its own pods"


def _services(manifests: Sequence[Manifest], pods: Sequence[Pod]) -> Iterator[str]:
    for service in _of(manifests, "Service"):
        name, spec = service["metadata"]["name"], service["spec"]
        if spec.get("type", "ClusterIP") != "ClusterIP":
            yield f"Service {name} is open to the outside"
        behind = [pod for pod in pods if _selects({"matchLabels": spec["selector"]}, pod.labels)]
        ports = {
            port["name"]
            for pod in behind
            for container in pod.spec["containers"]
            for port in container.get("ports", [])
        }
        if len(behind) != 1 or not {port["targetPort"] for port in spec["ports"]} <= ports:
            yield f"Service {name} leads to no port of one kind of pod"


def _budgets(manifests: Sequence[Manifest], pods: Sequence[Pod]) -> Iterator[str]:
    guarded = set()
    for budget in _of(manifests, "PodDisruptionBudget"):
        spec = budget["spec"]
        if spec.get("minAvailable") is not None or spec.get("maxUnavailable", 0) < 1:
            yield f"{budget['metadata']['name']} blocks the drain of a node for ever"
        guarded |= {pod.component for pod in pods if _selects(spec["selector"], pod.labels)}
    if missing := {"server", "worker"} - guarded:
        yield f"{', '.join(sorted(missing))} has no disruption budget"


def _template_is_json(manifests: Sequence[Manifest], pods: Sequence[Pod]) -> Iterator[str]:  # noqa: ARG001
    for manifest in _of(manifests, "ConfigMap"):
        for name, text in manifest["data"].items():
            if name.endswith(".json"):
                try:
                    json.loads(text)
                except ValueError as error:
                    yield f"{name}: {error}"


def _storage(manifests: Sequence[Manifest], pods: Sequence[Pod]) -> Iterator[str]:  # noqa: ARG001
    for cluster in _of(manifests, "Cluster"):
        if amount(cluster["spec"]["storage"]["size"]) is None:
            yield f"{cluster['metadata']['name']}: its size is no quantity"


RULES: dict[str, Callable[[Sequence[Manifest], Sequence[Pod]], Iterator[str]]] = {
    "only known kinds": _only_known_kinds,
    "no secret in configuration": _no_secret_in_configuration,
    "default deny": _default_deny,
    "policies select": _policies_select,
    "both ends agree": _both_ends_agree,
    "least rights": _least_rights,
    "accounts": _accounts,
    "references": _references,
    "services": _services,
    "budgets": _budgets,
    "template is JSON": _template_is_json,
    "storage": _storage,
}
