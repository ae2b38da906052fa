"""The API of a small Kubernetes on a port of this machine: what Prefect's worker and observer need.

It lets through what a Role grants and refuses the rest, as the real one does.
"""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web
from kubernetes_cluster import JOBS, PODS, Call, Cluster, Key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_KINDS = {JOBS: ("Job", "batch/v1"), PODS: ("Pod", "v1")}
_RESOURCES = {
    "/api/v1": [
        ("Namespace", "namespaces", False), ("Pod", "pods", True), ("Event", "events", True),
        ("Secret", "secrets", True),
    ],
    "/apis/batch/v1": [("Job", "jobs", True)],
    "/apis/apiextensions.k8s.io/v1": [
        ("CustomResourceDefinition", "customresourcedefinitions", False)
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Api:
    """The routes over a cluster; they run in its loop."""

    cluster: Cluster

    def app(self) -> web.Application:
        """Return the application that serves it."""
        app = web.Application()
        app.router.add_get("/version", _always({"major": "1", "minor": "30"}))
        app.router.add_get("/api", _always({"kind": "APIVersions", "versions": ["v1"]}))
        app.router.add_get("/apis", self._groups)
        for path in _RESOURCES:
            app.router.add_get(path, self._resources)
        for (group, resource), prefix in ((JOBS, "/apis/batch/v1"), (PODS, "/api/v1")):
            at = f"{prefix}/namespaces/{self.cluster.namespace}/{resource}"
            app.router.add_get(at, self._guarded(group, resource, self._list_or_watch))
            app.router.add_get(f"{at}/{{name}}", self._guarded(group, resource, self._get, "get"))
        jobs = f"/apis/batch/v1/namespaces/{self.cluster.namespace}/jobs"
        app.router.add_post(jobs, self._guarded(*JOBS, self._create, "create"))
        app.router.add_delete(f"{jobs}/{{name}}", self._guarded(*JOBS, self._deleted, "delete"))
        log = f"/api/v1/namespaces/{self.cluster.namespace}/pods/{{name}}/log"
        app.router.add_get(log, self._guarded("", "pods/log", self._read_log, "get"))
        app.router.add_route("*", "/{rest:.*}", self._anything_else)
        return app

    async def _groups(self, _: web.Request) -> web.Response:
        groups = []
        for path in _RESOURCES:
            if path.startswith("/apis/"):
                _, _, name, version = path.split("/")
                given = {"groupVersion": f"{name}/{version}", "version": version}
                groups.append({"name": name, "versions": [given], "preferredVersion": given})
        return _json({"kind": "APIGroupList", "groups": groups})

    async def _resources(self, request: web.Request) -> web.Response:
        verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
        found = [
            {"kind": kind, "name": name, "singularName": kind.lower(), "namespaced": inside,
             "verbs": verbs}
            for kind, name, inside in _RESOURCES[request.path]
        ]  # fmt: skip
        return _json({"kind": "APIResourceList", "resources": found})

    def _guarded(
        self, group: str, resource: str, handler: Callable[..., Any], verb: str = ""
    ) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            asked = verb or ("watch" if request.query.get("watch") else "list")
            if asked not in self.cluster.role.get((group, resource), set()):
                return self._refuse((group, resource, asked))
            self.cluster.asked.add((group, resource, asked))
            answer: web.StreamResponse = await handler(request, (group, resource))
            return answer

        return handle

    def _refuse(self, call: Call) -> web.Response:
        self.cluster.refused.add(call)
        return _status(403, "Forbidden", f"{call} is not granted")

    async def _anything_else(self, request: web.Request) -> web.Response:
        verbs = {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}
        return self._refuse(("?", request.path, verbs.get(request.method, "get")))

    async def _list_or_watch(self, request: web.Request, key: Key) -> web.StreamResponse:
        selector = request.query.get("labelSelector", "")
        if request.query.get("watch"):
            return await self._watch(request, key, selector)
        kind, version = _KINDS[key]
        return _json({
            "kind": f"{kind}List", "apiVersion": version,
            "metadata": {"resourceVersion": str(self.cluster.version)},
            "items": self.cluster.found(key, selector),
        })  # fmt: skip

    async def _watch(self, request: web.Request, key: Key, selector: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        since = int(request.query.get("resourceVersion") or 0)
        with self.cluster.watched(key, selector, since) as events:
            try:
                while (event := await events.get()) is not None:
                    await response.write(json.dumps(event).encode() + b"\n")
            except (ConnectionError, asyncio.CancelledError):
                pass
        return response

    async def _get(self, request: web.Request, key: Key) -> web.Response:
        found = self.cluster.objects[key].get(request.match_info["name"])
        return _json(found) if found else _status(404, "NotFound", "there is none of that name")

    async def _read_log(self, request: web.Request, _: Key) -> web.Response:
        if request.query.get("previous"):
            return _status(400, "BadRequest", "no previous container")
        return web.Response(text=self.cluster.log_of(request.match_info["name"]))

    async def _create(self, request: web.Request, _: Key) -> web.Response:
        return _json(self.cluster.create_job(await request.json()), 201)

    async def _deleted(self, request: web.Request, _: Key) -> web.Response:
        name = request.match_info["name"]
        if name not in self.cluster.objects[JOBS]:
            return _status(404, "NotFound", "there is no such job")
        self.cluster.delete(name)
        return _json({"kind": "Status", "apiVersion": "v1", "status": "Success"})


async def _serve(cluster: Cluster, ready: threading.Event, done: asyncio.Event) -> None:
    runner = web.AppRunner(Api(cluster).app(), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    cluster.url = f"http://{host}:{port}"
    ready.set()
    await done.wait()
    await cluster.end_all()
    await runner.cleanup()


@contextmanager
def running(cluster: Cluster) -> Iterator[Cluster]:
    """Serve the cluster until the end of the block; its pods end with it."""
    ready, done = threading.Event(), asyncio.Event()

    def serve() -> None:
        loop = asyncio.new_event_loop()
        cluster.loop = loop
        loop.run_until_complete(_serve(cluster, ready, done))
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(timeout=30)
    try:
        yield cluster
    finally:
        assert cluster.loop
        cluster.loop.call_soon_threadsafe(done.set)
        thread.join(timeout=60)
    if cluster.faults:
        raise cluster.faults[0]


def _json(content: Any, status: int = 200) -> web.Response:
    return web.json_response(content, status=status)


def _always(content: Any) -> Callable[[web.Request], Any]:
    async def answer(_: web.Request) -> web.Response:
        return _json(content)

    return answer


def _status(code: int, reason: str, message: str) -> web.Response:
    content = {
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": message,
    }  # fmt: skip
    return _json(content, code)
