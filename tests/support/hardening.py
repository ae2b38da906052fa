"""What every pod of ours must look like. The schemas of Kubernetes do not tell any of this.

A rule takes the pods of one release and says what is wrong. `RULES` has all of them; together they
hold more than the Pod Security level "restricted".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Manifest = dict[str, Any]

WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "Job"}
USER = 10001
_UNITS = {
    "": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip
_QUANTITY = re.compile(r"^([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")
_VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "downwardAPI"}
_SECRET_NAME = re.compile(r"PASSWORD|TOKEN|SECRET|API_KEY|AUTH_STRING|CONNECTION_URL|_URL$")
_NO_SECRETS = re.compile(r"_SECRET_(NAME|KEY)$|^PREFECT_API_URL$|^PREFECT_SERVER_UI_API_URL$")
_USER_AND_PASSWORD = re.compile(r"://[^/\s:@]+:[^/\s@]+@")
_ENUMS = {
    "imagePullPolicy": {"IfNotPresent", "Always", "Never"},
    "whenUnsatisfiable": {"ScheduleAnyway", "DoNotSchedule"},
    "medium": {"", "Memory"},
    "protocol": {"TCP", "UDP"},
    "fsGroupChangePolicy": {"OnRootMismatch", "Always"},
    "terminationMessagePolicy": {"File", "FallbackToLogsOnError"},
}


@dataclass(frozen=True)
class Pod:
    """A pod as a workload makes it.

    Attributes:
        owner: kind and name of the workload.
        labels: of the pod.
        spec: its specification.
        workload: the whole manifest.
    """

    owner: str
    labels: dict[str, str]
    spec: dict[str, Any]
    workload: Manifest

    @property
    def kind(self) -> str:
        return str(self.workload["kind"])

    @property
    def component(self) -> str:
        return self.labels.get("app.kubernetes.io/component", "")

    @property
    def containers(self) -> list[dict[str, Any]]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


def pods_of(manifests: Sequence[Manifest]) -> list[Pod]:
    found = []
    for manifest in manifests:
        if manifest["kind"] in WORKLOADS:
            template = manifest["spec"]["template"]
            metadata = manifest["metadata"]
            name = metadata.get("name") or metadata.get("generateName")
            labels = template.get("metadata", {}).get("labels", {})
            found.append(Pod(f"{manifest['kind']} {name}", labels, template["spec"], manifest))
    return found


def complaints(pods: Sequence[Pod]) -> list[str]:
    """Return what all rules say, each line begun by the rule's name."""
    return [
        f"{name}: {pod.owner}: {said}"
        for name, rule in RULES.items()
        for pod in pods
        for said in rule(pod)
    ]


def amount(quantity: Any) -> float | None:
    """Return a quantity of Kubernetes as a number, or None when it is not one."""
    found = _QUANTITY.match(str(quantity))
    return float(found[1]) * _UNITS[found[2] or ""] if found else None


def _runs_as_nobody(pod: Pod) -> Iterator[str]:
    context = pod.spec.get("securityContext", {})
    if context.get("runAsNonRoot") is not True:
        yield "runAsNonRoot is not true"
    for where in (context, *(c.get("securityContext", {}) for c in pod.containers)):
        if where.get("runAsUser", USER) != USER or where.get("runAsGroup", USER) != USER:
            yield f"the user is not {USER}"
        if where.get("runAsNonRoot", True) is not True:
            yield "runAsNonRoot is taken back"
    if context.get("runAsUser") != USER:
        yield "no user is set"


def _seccomp(pod: Pod) -> Iterator[str]:
    own = [container.get("securityContext", {}) for container in pod.containers]
    overriding = [context for context in own if "seccompProfile" in context]
    for context in (pod.spec.get("securityContext", {}), *overriding):
        if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield "seccomp is not RuntimeDefault"


def _no_rights(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        context = container.get("securityContext", {})
        name = container["name"]
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: allowPrivilegeEscalation is not false"
        if context.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{name}: capabilities are not all dropped"
        if context.get("privileged") or context.get("procMount", "Default") != "Default":
            yield f"{name}: is privileged"


def _nothing_of_the_host(pod: Pod) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
        if pod.spec.get(field):
            yield f"{field} is set"
    if pod.spec.get("securityContext", {}).get("sysctls"):
        yield "sysctls are set"
    for volume in pod.spec.get("volumes", []):
        if len(kinds := set(volume) - {"name"}) != 1 or not kinds <= _VOLUMES:
            yield f"volume {volume['name']} is of kind {sorted(kinds)}"
    for container in pod.containers:
        if any("hostPort" in port for port in container.get("ports", [])):
            yield f"{container['name']}: has a port of the host"


def _read_only_root(pod: Pod) -> Iterator[str]:
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
    for container in pod.containers:
        name = container["name"]
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield f"{name}: the root file system can be written"
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                yield f"{name}: there is no volume {mount['name']}"
    for volume in volumes.values():
        if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
            yield f"volume {volume['name']} has no limit"


def _scratch(pod: Pod) -> Iterator[str]:
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
    for container in pod.containers:
        mounts = {m["mountPath"]: m for m in container.get("volumeMounts", [])}
        if container["name"] == "files":  # http.server writes nothing
            continue
        for path in ("/tmp", "/var/lib/crmhouse"):  # noqa: S108  # a mount of the pod
            mount = mounts.get(path, {"readOnly": True})
            if mount.get("readOnly") or "emptyDir" not in volumes.get(mount["name"], {}):
                yield f"{container['name']}: {path} is no volume of its own"


def _resources(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        resources = container.get("resources", {})
        for what in ("cpu", "memory"):
            asked = amount(resources.get("requests", {}).get(what))
            most = amount(resources.get("limits", {}).get(what))
            if asked is None or most is None:
                yield f"{container['name']}: no {what} is requested or limited, or is no quantity"
            elif asked > most:
                yield f"{container['name']}: more {what} is requested than allowed"
    for volume in pod.spec.get("volumes", []):
        size = volume.get("emptyDir", {}).get("sizeLimit")
        if size is not None and amount(size) is None:
            yield f"volume {volume['name']}: {size} is no quantity"


def _image(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        image = container.get("image", "")
        _, _, tag = image.rpartition("/")[2].partition(":")
        if "@sha256:" not in image and (not tag or tag == "latest"):
            yield f"{container['name']}: the image {image} has no tag that stays"


def _no_secret_in_clear(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        for entry in container.get("env", []):
            name, value = entry["name"], entry.get("value")
            if value is None:
                continue
            if _SECRET_NAME.search(name) and not _NO_SECRETS.search(name):
                yield f"{container['name']}: {name} stands there in clear"
            if _USER_AND_PASSWORD.search(value):
                yield f"{container['name']}: {name} has a URL with a password"
        for argument in (*container.get("command", []), *container.get("args", [])):
            if _USER_AND_PASSWORD.search(argument):
                yield f"{container['name']}: an argument has a URL with a password"


def _token(pod: Pod) -> Iterator[str]:
    if not pod.spec.get("serviceAccountName"):
        yield "it has no service account of its own"
    if pod.spec.get("automountServiceAccountToken") is not (pod.component == "worker"):
        yield "the token of its account is mounted, or the worker's is not"


def _no_service_links(pod: Pod) -> Iterator[str]:
    if pod.spec.get("enableServiceLinks") is not False:
        yield "enableServiceLinks is not false: a Service crmhouse-… would set CRMHOUSE_… variables"


def _probes(pod: Pod) -> Iterator[str]:
    if pod.kind == "Job":
        return
    for container in pod.spec["containers"]:
        if "livenessProbe" not in container:
            yield f"{container['name']}: has no liveness probe"
        serves = container.get("ports") and pod.component != "worker"
        if serves and "readinessProbe" not in container:
            yield f"{container['name']}: is served without a readiness probe"
        ports = {port["name"] for port in container.get("ports", [])}
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container.get(kind, {})
            asked = probe.get("httpGet", probe.get("tcpSocket", {})).get("port")
            if probe and asked not in ports:
                yield f"{container['name']}: the {kind} asks port {asked}, which is none of its own"


def _enums(pod: Pod) -> Iterator[str]:
    restart = pod.spec.get("restartPolicy")
    if restart not in ({"Never", "OnFailure"} if pod.kind == "Job" else {None, "Always"}):
        yield f"restartPolicy {restart} is none of a {pod.kind}"
    for key, value in _walk(pod.workload):
        if key in _ENUMS and value not in _ENUMS[key]:
            yield f"{key} {value} does not exist"


def _ends_by_itself(pod: Pod) -> Iterator[str]:
    if pod.kind != "Job":
        return
    spec = pod.workload["spec"]
    for field in ("ttlSecondsAfterFinished", "activeDeadlineSeconds", "backoffLimit"):
        if not isinstance(spec.get(field), int):
            yield f"{field} is not set"


def _resumable(pod: Pod) -> Iterator[str]:
    """Hold the pods of flow runs to what makes an evicted run start again."""
    if pod.component != "flow-run":
        return
    if pod.workload["spec"].get("backoffLimit") != 0:
        yield "backoffLimit is not 0: Prefect would leave an evicted run to Kubernetes"
    if pod.spec.get("terminationGracePeriodSeconds", 30) < 60:
        yield "it has less than 60 seconds to end"
    if pod.spec.get("restartPolicy") != "Never":
        yield "restartPolicy is not Never"


def _spread(pod: Pod) -> Iterator[str]:
    for constraint in pod.spec.get("topologySpreadConstraints", []):
        wanted = constraint.get("labelSelector", {}).get("matchLabels", {})
        if not wanted or not wanted.items() <= pod.labels.items():
            yield "a topology spread constraint does not select the pod itself"
    if pod.component in {"worker", "flow-run"} and not pod.spec.get("topologySpreadConstraints"):
        yield "it is not spread over the nodes"


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, str):
                yield key, item
            yield from _walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item)


RULES: dict[str, Callable[[Pod], Iterator[str]]] = {
    "runs as nobody": _runs_as_nobody,
    "seccomp": _seccomp,
    "no rights": _no_rights,
    "nothing of the host": _nothing_of_the_host,
    "read-only root": _read_only_root,
    "scratch": _scratch,
    "resources": _resources,
    "image": _image,
    "no secret in clear": _no_secret_in_clear,
    "token": _token,
    "no service links": _no_service_links,
    "probes": _probes,
    "enums": _enums,
    "ends by itself": _ends_by_itself,
    "resumable": _resumable,
    "spread": _spread,
}
