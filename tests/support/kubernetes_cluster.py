"""A small Kubernetes without its API: Jobs, the pods that they run, and those who watch both.

A Job's pod is a process of this machine: the container's arguments, with the variables of its `env`
and `envFrom`. Paths below a mount become folders, since nothing is mounted here.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hardening import Manifest

Key = tuple[str, str]  # API group, resource
Call = tuple[str, str, str]  # API group, resource, verb

JOBS, PODS = ("batch", "jobs"), ("", "pods")
MISSING_IMAGE = "crmhouse:missing"
_POD = "POD_OF_THE_TEST"


@dataclass
class Cluster:
    """The cluster and what it has seen.

    Attributes:
        namespace: the only one.
        role: verbs that are granted, by API group and resource.
        keys: content of the Secrets, by name and key.
        folders: where the mount paths of pods are, but for those that this machine has.
        environment: what the image sets.
        asked: calls that were let through.
        refused: calls that the Role does not grant.
        manifests: the Jobs as they were sent.
        faults: of the cluster itself, in starting pods.
        url: of its API, once that is served.
        objects: the Jobs and pods that exist, by kind and name.
        version: of the newest change.
        loop: in which all changes happen.
    """

    namespace: str
    role: Mapping[tuple[str, str], set[str]]
    keys: Mapping[str, Mapping[str, str]]
    folders: Mapping[str, Path]
    environment: Mapping[str, str]
    log: Path
    asked: set[Call] = field(default_factory=set)
    refused: set[Call] = field(default_factory=set)
    manifests: list[Manifest] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)
    url: str = ""
    objects: dict[Key, dict[str, Manifest]] = field(default_factory=lambda: {JOBS: {}, PODS: {}})
    version: int = 1
    loop: asyncio.AbstractEventLoop | None = None
    _watchers: list[tuple[Key, str, asyncio.Queue[Any]]] = field(default_factory=list)
    _processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    _reasons: dict[str, str] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def kubeconfig(self, file: Path) -> Path:
        """Write a file by which a client finds the cluster."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": {"server": self.url}}],
            "users": [{"name": "worker", "user": {"token": "of-the-worker"}}],
            "contexts": [
                {
                    "name": "here",
                    "context": {"cluster": "here", "user": "worker", "namespace": self.namespace},
                }
            ],
            "current-context": "here",
        }
        file.write_text(json.dumps(content), encoding="utf-8")
        return file

    def environment_of(self, container: Mapping[str, Any]) -> dict[str, str]:
        """Return the variables of a container, as the kubelet would set them."""
        found = dict(self.environment)
        for source in container.get("envFrom") or ():
            found |= self.keys[source["secretRef"]["name"]]
        for entry in container["env"]:
            if reference := entry.get("valueFrom"):
                asked = reference["secretKeyRef"]
                found[entry["name"]] = self.keys[asked["name"]][asked["key"]]
            elif entry.get("value") is not None:
                found[entry["name"]] = entry["value"]
        mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
        return {name: self._here(value, mounts) for name, value in found.items()}

    def _here(self, value: str, mounts: list[str]) -> str:
        """Return a value that is a path below a mount as the path that it has here."""
        for mount in mounts:
            if mount in self.folders and (value == mount or value.startswith(f"{mount}/")):
                return f"{self.folders[mount]}{value.removeprefix(mount)}"
        return value

    def run(self, container: Mapping[str, Any], **changed: str) -> subprocess.CompletedProcess[str]:
        """Run a container's command to its end, with some variables changed."""
        command = list(container["command"])
        for mount, folder in self.folders.items():
            command = [argument.replace(f"{mount}/", f"{folder}/") for argument in command]
        env = {**self.environment_of(container), **changed}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    def jobs_of(self, run_id: str) -> list[Manifest]:
        """Return the Jobs of a flow run, the oldest first."""
        return [
            job
            for job in list(self.objects[JOBS].values())
            if job["metadata"]["labels"].get("prefect.io/flow-run-id") == run_id
        ]

    def pod_of(self, run_id: str) -> Manifest | None:
        """Return the newest pod of a flow run."""
        pods = [
            pod
            for pod in list(self.objects[PODS].values())
            if pod["metadata"]["labels"].get("prefect.io/flow-run-id") == run_id
        ]
        return pods[-1] if pods else None

    def phase_of(self, run_id: str) -> str | None:
        """Return the phase of a flow run's newest pod."""
        pod = self.pod_of(run_id)
        return pod["status"]["phase"] if pod else None

    def end(self, run_id: str, number: int, reason: str) -> None:
        """Send a signal to the process of a run's newest pod; say why it ended."""

        def act() -> None:
            pod = self.pod_of(run_id)
            assert pod
            name = pod["metadata"]["name"]
            self._reasons[name] = reason
            _send(name, self._processes[name].pid, number)

        self._call(act)

    def run_out_of_memory(self, run_id: str) -> None:
        self.end(run_id, signal.SIGKILL, "OOMKilled")

    def evict(self, run_id: str) -> None:
        self.end(run_id, signal.SIGTERM, "Evicted")

    def delete_job(self, run_id: str) -> None:
        """Delete the Job of a run, as somebody with kubectl would."""
        self._call(lambda: self.delete(self.jobs_of(run_id)[-1]["metadata"]["name"]))

    def _call(self, act: Callable[[], None]) -> None:
        async def acted() -> None:
            act()

        assert self.loop
        asyncio.run_coroutine_threadsafe(acted(), self.loop).result(timeout=30)

    # What follows runs in the loop.

    def found(self, key: Key, selector: str) -> list[Manifest]:
        """Return the objects of a kind that a label selector means."""
        return [o for o in self.objects[key].values() if _matches(o, selector)]

    @contextmanager
    def watched(self, key: Key, selector: str, since: int) -> Iterator[asyncio.Queue[Any]]:
        """Give the events after a version as they happen; None is the last one."""
        queue: asyncio.Queue[Any] = asyncio.Queue()
        for found in self.found(key, selector):
            if int(found["metadata"]["resourceVersion"]) > since:
                queue.put_nowait({"type": "ADDED", "object": found})
        watcher = (key, selector, queue)
        self._watchers.append(watcher)
        try:
            yield queue
        finally:
            self._watchers.remove(watcher)

    def create_job(self, sent: Manifest) -> Manifest:
        """Create a Job and its pod, and start that; return the Job."""
        self.manifests.append(json.loads(json.dumps(sent)))
        name = f"{sent['metadata'].pop('generateName')}{secrets.token_hex(3)}"
        sent["metadata"] |= {"name": name, "namespace": self.namespace, **_born()}
        sent["status"] = {"active": 1}
        self._store(JOBS, sent, "ADDED")
        template = sent["spec"]["template"]
        labels = {**template["metadata"].get("labels", {}), "job-name": name}
        pod = {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {
                "name": f"{name}-{secrets.token_hex(2)}", "namespace": self.namespace,
                "labels": labels, **_born(),
            },
            "spec": template["spec"],
            "status": {"phase": "Pending"},
        }  # fmt: skip
        self._store(PODS, pod, "ADDED")
        task = asyncio.get_running_loop().create_task(self._run(sent, pod))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return sent

    def log_of(self, pod: str) -> str:
        """Return what a pod has written so far."""
        file = self.log / f"{pod}.log"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    async def end_all(self) -> None:
        """Tell the watchers that nothing more comes, and kill the pods."""
        for _, _, queue in self._watchers:
            queue.put_nowait(None)
        for name in self._processes:
            _sweep(name)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def delete(self, name: str) -> None:
        """Delete a Job with its pod, whose process is asked to end."""
        self._remove(JOBS, name)
        for pod in [*self.objects[PODS].values()]:
            if pod["metadata"]["labels"].get("job-name") == name:
                self._remove(PODS, pod["metadata"]["name"])
                if process := self._processes.get(pod["metadata"]["name"]):
                    _send(pod["metadata"]["name"], process.pid, signal.SIGTERM)

    async def _run(self, job: Manifest, pod: Manifest) -> None:
        container = pod["spec"]["containers"][0]
        name = pod["metadata"]["name"]
        if container["image"] == MISSING_IMAGE:
            waiting = {"reason": "ErrImagePull", "message": "not found"}
            self._set(pod, "Pending", {"waiting": waiting})
            return
        started = _now()
        with (self.log / f"{name}.log").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *container["args"], env={**self.environment_of(container), _POD: name},
                stdout=output, stderr=output, stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
            self._processes[name] = process
            self._set(pod, "Running", {"running": {"startedAt": started}})
            code = await process.wait()
        _sweep(name)
        del self._processes[name]
        if name not in self.objects[PODS]:
            return
        reason = self._reasons.get(name, "Error" if code else "Completed")
        ended = {
            "exitCode": 128 - code if code < 0 else code, "reason": reason, "startedAt": started,
            "finishedAt": _now(),
        }  # fmt: skip
        if reason == "Evicted":
            pod["status"] |= {"reason": "Evicted", "message": "The node was low on memory."}
        failed = code != 0 or reason == "Evicted"
        self._set(pod, "Failed" if failed else "Succeeded", {"terminated": ended})
        self._finish(job, "Failed" if failed else "Complete", reason)

    def _set(self, pod: Manifest, phase: str, state: dict[str, Any]) -> None:
        container = {
            "name": "prefect-job", "image": pod["spec"]["containers"][0]["image"], "imageID": "",
            "ready": "running" in state, "restartCount": 0, "state": state,
        }  # fmt: skip
        pod["status"] |= {"phase": phase, "containerStatuses": [container]}
        self._store(PODS, pod, "MODIFIED")

    def _finish(self, job: Manifest, kind: str, reason: str) -> None:
        counted = "failed" if kind == "Failed" else "succeeded"
        condition = {"type": kind, "status": "True", "reason": reason}
        job["status"] = {"active": 0, counted: 1, "conditions": [condition]}
        self._store(JOBS, job, "MODIFIED")

    def _store(self, key: Key, found: Manifest, event: str) -> None:
        self.version += 1
        found["metadata"]["resourceVersion"] = str(self.version)
        self.objects[key][found["metadata"]["name"]] = found
        self._tell(key, found, event)

    def _remove(self, key: Key, name: str) -> None:
        self.version += 1
        found = self.objects[key].pop(name)
        found["metadata"]["resourceVersion"] = str(self.version)
        self._tell(key, found, "DELETED")

    def _tell(self, key: Key, found: Manifest, event: str) -> None:
        copy = json.loads(json.dumps(found))
        for wanted, selector, queue in self._watchers:
            if wanted == key and _matches(found, selector):
                queue.put_nowait({"type": event, "object": copy})

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.faults.append(error)


def _send(pod: str, process: int, number: int) -> None:
    """Signal a container's first process; the others of the pod get SIGKILL alone."""
    if number == signal.SIGKILL:
        _sweep(pod)
    else:
        os.kill(process, number)


def _sweep(pod: str) -> None:
    """Kill what belongs to a pod, also what has left the first process's group."""
    mark = f"{_POD}={pod}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
        except OSError:  # it has just ended, or is somebody else's
            continue


def _born() -> dict[str, str]:
    return {"uid": str(uuid.uuid4()), "creationTimestamp": _now()}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _matches(found: Manifest, selector: str) -> bool:
    labels = found["metadata"].get("labels", {})
    for part in filter(None, selector.split(",")):
        key, _, value = part.partition("=")
        if key not in labels or (value and labels[key] != value.lstrip("=")):
            return False
    return True
