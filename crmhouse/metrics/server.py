"""The HTTP service of the metrics: `/metrics`, and what a supervisor asks for."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from crmhouse.metrics.collector import WarehouseCollector
from crmhouse.warehouse import open_warehouse, warehouse_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from socket import socket

    from starlette.requests import Request

    from crmhouse.settings import Settings


def application(collector: WarehouseCollector) -> Starlette:
    """Return the service over a collector.

    `/metrics` always answers: a warehouse that is away is a metric. `/healthz` says that the
    process lives, `/readyz` that the warehouse answers, too.
    """
    registry = CollectorRegistry()
    registry.register(collector)

    # Plain functions: Starlette runs them in threads, so one that waits holds up no other.
    def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    def healthz(request: Request) -> Response:  # noqa: ARG001  # Starlette's signature
        return PlainTextResponse("ok\n")

    def readyz(request: Request) -> Response:  # noqa: ARG001
        if collector.is_up:
            return PlainTextResponse("ok\n")
        return PlainTextResponse("the warehouse does not answer\n", status_code=503)

    return Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
        ]
    )


@contextmanager
def collector_of(settings: Settings) -> Iterator[WarehouseCollector]:
    """Give a collector over the configured warehouse.

    One that a URL names may be away, and is not prepared: to read is enough. The embedded one runs
    while the block does.
    """
    of_a_url = settings.warehouse_url is not None
    with nullcontext(warehouse_of(settings)) if of_a_url else open_warehouse(settings) as warehouse:
        collector = WarehouseCollector(warehouse, settings)
        try:
            yield collector
        finally:
            collector.close()


class Server(uvicorn.Server):
    """Serves until it is told to end, or the process is.

    Args:
        collector: gives the metrics.
        host: address to listen on.
        port: 0 takes a free one.
        ready: is told the URL once it answers.
    """

    def __init__(
        self, collector: WarehouseCollector, host: str, port: int, ready: Callable[[str], object]
    ) -> None:
        super().__init__(
            uvicorn.Config(
                application(collector),
                host=host,
                port=port,
                log_config=None,
                access_log=False,
                lifespan="off",
            )
        )
        self._ready = ready

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        for server in self.servers if self.started else ():
            host, port = server.sockets[0].getsockname()[:2]
            self._ready(f"http://{host}:{port}")
