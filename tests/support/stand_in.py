"""The stand-ins, running on a port of this machine."""

from __future__ import annotations

import json
import threading
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Queue
from typing import TYPE_CHECKING, Any

from simulators.hubspot import HubSpot, Limits
from simulators.server import Server, Simulator, simulator
from simulators.shopify import Shopify

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from simulators.server import System


@dataclass(frozen=True)
class StandIn:
    """Running stand-ins.

    Attributes:
        url: of the server; a system is below it, by its name.
        simulator: what it serves.
    """

    url: str
    simulator: Simulator

    def advance(self) -> None:
        """Load the next batch."""
        self._call("POST", "advance")

    def fault(self, kind: str, **options: Any) -> None:
        """Show a fault from now on."""
        self._call("POST", "faults", {"kind": kind, **options})

    def heal(self) -> None:
        """Show no fault any more."""
        self._call("DELETE", "faults")

    def lift_limits(self) -> None:
        """Let HubSpot and Shopify be asked as fast as anybody can: they are the slow ones."""
        for system in self.simulator.systems.values():
            if isinstance(system, HubSpot):
                system.access.limits = Limits(*[1_000_000] * 3)
            if isinstance(system, Shopify):
                system.bucket.size = system.bucket.restore_rate = 100_000

    def requests(self) -> dict[str, int]:
        """What was asked since the last time, and how often."""
        asked: dict[str, int] = self._call("DELETE", "requests")
        return asked

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310  # our own loopback
            f"{self.url}/_simulator/{path}", data, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            return json.load(response)


@contextmanager
def standing_in(
    folder: Path, home: Path, systems: Mapping[str, type[System]], until: int | None = None
) -> Iterator[StandIn]:
    """Serve a folder by stand-ins of these systems until the end of the block."""
    made = simulator(folder, home / "simulator.db", systems, until)
    urls: Queue[str] = Queue()
    server = Server(made, "127.0.0.1", 0, urls.put)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield StandIn(urls.get(timeout=30), made)
    finally:
        server.should_exit = True
        thread.join()
        made.store.close()
