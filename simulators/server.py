"""The server: the stand-ins of all systems over one folder, and what steers them.

`/salesforce`, `/hubspot`, `/stripe` and `/shopify` answer as the services do. `/_simulator` is
ours: `POST advance` loads the next batch, `POST faults` shows a fault and `DELETE faults` none any
more, `GET requests` counts what was asked, `DELETE requests` begins anew, `GET state` tells the
batch.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

import pydantic
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from simulators.faults import Fault, Faults, Faulty
from simulators.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from socket import socket

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

    from simulators.store import Shape, Stored

# Parts of a path that name one thing: they are counted as one path.
_ID = re.compile(r"/(?=[^/]*\d)[A-Za-z0-9_=%:.-]{6,}(?=/|$)")


class System(Protocol):
    """A stand-in of one service.

    Attributes:
        shape: where its records have what the store has to know.
        credentials: what opens it, as options of a source.
    """

    shape: Shape
    credentials: ClassVar[Mapping[str, str]]

    def __init__(self, store: Store, faults: Faults) -> None:
        """Serve the records of a store."""

    @property
    def passing(self) -> Sequence[str]:
        """Return its own faults that pass: the same request succeeds later."""

    def routes(self) -> list[BaseRoute]:
        """Return what it answers to."""

    def error(self, fault: Fault) -> Response:
        """Return the answer with which the service fails like that."""

    def changed(self, object_: str, before: Stored | None, after: Stored) -> None:
        """Hear of a record that a batch after the first has brought."""


@dataclass
class Simulator:
    """All stand-ins over one folder.

    Attributes:
        store: the records.
        faults: what is to fail.
        systems: the stand-ins by name.
        asked: how often each method and path was asked for, ids in it left out.
    """

    store: Store
    faults: Faults
    systems: Mapping[str, System]
    asked: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def app(self) -> ASGIApp:
        """Return the web application."""
        own = [
            Route("/advance", self._advance, methods=["POST"]),
            Route("/state", self._state),
            Route("/faults", self._fault, methods=["POST", "DELETE"]),
            Route("/requests", self._requests, methods=["GET", "DELETE"]),
        ]
        return Starlette(
            routes=[
                Mount("/_simulator", routes=own),
                *(Mount(f"/{name}", app=self._served(name)) for name in self.systems),
            ]
        )

    def _served(self, name: str) -> ASGIApp:
        system = self.systems[name]
        app = Starlette(routes=system.routes())
        inner = Faulty(app, name, system.passing, self.faults, system.error)

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                path = _ID.sub("/*", scope["path"])
                with self._lock:
                    self.asked[f"{scope['method']} {path}"] += 1
            await inner(scope, receive, send)

        return counted

    def _advance(self, request: Request) -> Response:  # noqa: ARG002  # the signature of a route
        batch = self.store.advance()
        if batch is None:
            return JSONResponse({"error": "there is no further batch"}, 409)
        return JSONResponse({"batch": f"batch_{batch}"})

    def _state(self, request: Request) -> Response:  # noqa: ARG002
        counts = {
            name: {object_: self.store.count(name, object_) for object_ in self.store.objects(name)}
            for name in self.systems
        }
        return JSONResponse(
            {
                "batch": f"batch_{self.store.batch}",
                "records": counts,
                "faults_shown": dict(self.faults.shown),
            }
        )

    async def _fault(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.faults.clear()
            return JSONResponse({})
        try:
            fault = Fault.model_validate_json(await request.body())
        except pydantic.ValidationError as error:
            return JSONResponse({"error": error.errors(include_url=False)}, 422)
        self.faults.add(fault)
        return JSONResponse(fault.model_dump(), 201)

    def _requests(self, request: Request) -> Response:
        with self._lock:
            asked = dict(sorted(self.asked.items()))
            if request.method == "DELETE":
                self.asked.clear()
        return JSONResponse(asked)


def simulator(
    folder: Path, database: Path, systems: Mapping[str, type[System]], until: int | None = None
) -> Simulator:
    """Load a folder, up to a batch, and return the stand-ins over it.

    Args:
        folder: of the batches.
        database: where the store is put.
        systems: the stand-ins by name.
        until: the last batch that is loaded now; the first one when left out.

    Raises:
        ConfigurationError: the folder has no batches.
    """
    store = Store(folder, database, {name: system.shape for name, system in systems.items()})
    faults = Faults()
    built = {name: system(store, faults) for name, system in systems.items()}
    for name, system in built.items():
        store.listen(name, system.changed)
    while store.batch < (until or store.batches[0]) and store.advance():
        pass
    return Simulator(store, faults, built)


class Server(uvicorn.Server):
    """Serves the stand-ins until it is told to end, or the process is.

    Args:
        made: the stand-ins.
        host: address to listen on.
        port: 0 takes a free one.
        ready: is told the URL once it answers.
    """

    def __init__(
        self, made: Simulator, host: str, port: int, ready: Callable[[str], object]
    ) -> None:
        super().__init__(
            # Without uvicorn's Date: a stand-in may have a clock of its own.
            uvicorn.Config(
                made.app, host=host, port=port, log_level="error", lifespan="off", date_header=False
            )
        )
        self._ready = ready

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        for server in self.servers if self.started else ():
            host, port = server.sockets[0].getsockname()[:2]
            self._ready(f"http://{host}:{port}")
