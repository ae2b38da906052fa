"""Faults on command: answers that fail as real ones do, a share of them or so many."""

from __future__ import annotations

import asyncio
import random
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HALF = 2


class Fault(BaseModel):
    """A fault that is to be shown.

    `status` answers with that status, `timeout` after so many seconds, `reset` cuts the connection
    in the middle of the body, `truncate` ends the body early as if it were whole. Any other kind
    is one that a system knows itself; its documentation says which.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    system: str | None = Field(default=None, description="One of the systems; all when left out.")
    path: str = Field(default="", description="Regular expression that the path contains.")
    status: int = Field(default=503, ge=400, le=599)
    code: str | None = Field(default=None, description="What the service calls it.")
    retry_after: float | None = Field(default=None, description="Seconds, as a header.")
    seconds: float = Field(default=5, description="How long a `timeout` takes.")
    share: float = Field(default=1, ge=0, le=1, description="Of the requests.")
    times: int | None = Field(default=None, description="How often; without end when left out.")


@dataclass
class Faults:
    """The faults that are to be shown now.

    Attributes:
        seed: of the choice of requests.
    """

    seed: int = 1
    shown: int = 0
    _waiting: list[tuple[Fault, list[int]]] = field(default_factory=list)
    _chance: random.Random = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311  # chooses requests, keeps no secret

    def add(self, fault: Fault) -> None:
        """Show a fault from now on."""
        with self._lock:
            self._waiting.append((fault, [fault.times if fault.times is not None else -1]))

    def clear(self) -> None:
        """Show none."""
        with self._lock:
            self._waiting.clear()

    def take(self, system: str, path: str, *kinds: str) -> Fault | None:
        """Return the fault that a request is to have, of one of these kinds."""
        with self._lock:
            for fault, left in self._waiting:
                if (
                    fault.kind in kinds
                    and fault.system in {None, system}
                    and left[0]
                    and re.search(fault.path, path)
                    and self._chance.random() < fault.share
                ):
                    left[0] -= left[0] > 0
                    self.shown += 1
                    return fault
        return None


@dataclass
class Faulty:
    """An app whose answers have the general faults.

    Attributes:
        app: of a system.
        system: its name.
        error: an answer of the system with a status, a code if known, and a Retry-After.
    """

    app: ASGIApp
    system: str
    faults: Faults
    error: Callable[[Fault], Response]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = str(scope["path"])
        if fault := self.faults.take(self.system, path, "status"):
            await self.error(fault)(scope, receive, send)
            return
        if fault := self.faults.take(self.system, path, "timeout"):
            await asyncio.sleep(fault.seconds)
        cut = self.faults.take(self.system, path, "reset", "truncate")
        await self.app(scope, receive, _Cut(send, cut.kind) if cut else send)


class _Cut:
    """Sends half of a body."""

    def __init__(self, send: Send, kind: str) -> None:
        self._send, self._is_reset = send, kind == "reset"
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body") or self._start is None:
            return
        half = self._body[: len(self._body) // _HALF]
        said = len(self._body) if self._is_reset else len(half)
        headers = [(k, v) for k, v in self._start["headers"] if k.lower() != b"content-length"]
        headers.append((b"content-length", str(said).encode()))
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": half, "more_body": self._is_reset})
        if self._is_reset:
            raise ConnectionResetError
