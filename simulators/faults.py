"""Faults on command: answers that fail as real ones do, a share of them or so many."""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HALF = 2
_ANY = "any"
_TOO_MANY = 429
_GENERAL: tuple[dict[str, Any], ...] = (
    {"kind": "status", "status": _TOO_MANY},
    {"kind": "status", "status": _TOO_MANY, "retry_after": 1},
    *({"kind": "status", "status": status} for status in (500, 502, 503)),
    {"kind": "timeout"},
    {"kind": "reset"},
    {"kind": "truncate"},
)
# What the request at hand is to have of `any`, until it is shown.
_owed: ContextVar[list[Fault]] = ContextVar("owed")


class Fault(BaseModel):
    """A fault that is to be shown.

    `status` answers with that status, `timeout` after so many seconds, `reset` cuts the connection
    in the middle of the body, `truncate` ends the body early as if it were whole. `any` is one of
    these (429 with and without Retry-After, 500, 502 and 503 among them) or of those of the system
    that pass, chosen at random for each request. Any other kind is one that a system knows itself;
    its documentation says which.
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
    seed: int | None = Field(default=None, description="Begin all random choices anew, with this.")

    @property
    def name(self) -> str:
        """Return what it is counted as."""
        after = "" if self.retry_after is None else " with Retry-After"
        return f"{self.status}{after}" if self.kind == "status" else self.kind


@dataclass
class Faults:
    """The faults that are to be shown now.

    Attributes:
        seed: of the choice of requests.
        shown: how often, by name.
    """

    seed: int = 1
    shown: Counter[str] = field(default_factory=Counter)
    _waiting: list[tuple[Fault, list[int]]] = field(default_factory=list)
    _chance: random.Random = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311  # chooses requests, keeps no secret

    def add(self, fault: Fault) -> None:
        """Show a fault from now on."""
        with self._lock:
            if fault.seed is not None:
                self._chance.seed(fault.seed)
            self._waiting.append((fault, [fault.times if fault.times is not None else -1]))

    def clear(self) -> None:
        """Show none."""
        with self._lock:
            self._waiting.clear()

    def begin(self, system: str, path: str, passing: Sequence[str]) -> bool:
        """Choose what the request that begins is to have of `any`; say whether it has something.

        Args:
            system: that is asked.
            path: of the request.
            passing: its own faults that pass.
        """
        _owed.set([])
        fault = self._due(system, path, _ANY)
        if fault:
            kinds = (*_GENERAL, *({"kind": kind} for kind in passing))
            _owed.set([fault.model_copy(update=self._chance.choice(kinds))])
        return fault is not None

    def take(self, system: str, path: str, *kinds: str) -> Fault | None:
        """Return the fault that a request is to have, of one of these kinds."""
        owed = _owed.get([])
        is_owed = bool(owed) and owed[0].kind in kinds
        fault = owed.pop() if is_owed else self._due(system, path, *kinds)
        if fault:
            self.shown[fault.name] += 1
        return fault

    def take_overdue(self) -> Fault | None:
        """Return a fault in place of one that this request has no place for."""
        owed = _owed.get([])
        if not owed:
            return None
        fault = owed.pop().model_copy(update={"kind": "reset"})
        self.shown[fault.name] += 1
        return fault

    def _due(self, system: str, path: str, *kinds: str) -> Fault | None:
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
                    return fault
        return None


@dataclass
class Faulty:
    """An app whose answers have the general faults.

    Attributes:
        app: of a system.
        system: its name.
        passing: its own faults that pass: the same request succeeds later.
        error: an answer of the system with a status, a code if known, and a Retry-After.
    """

    app: ASGIApp
    system: str
    passing: Sequence[str]
    faults: Faults
    error: Callable[[Fault], Response]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = str(scope["path"])
        is_chosen = self.faults.begin(self.system, path, self.passing)
        if fault := self.faults.take(self.system, path, "status"):
            await self.error(fault)(scope, receive, send)
            return
        if fault := self.faults.take(self.system, path, "timeout"):
            await asyncio.sleep(fault.seconds)
        cut = self.faults.take(self.system, path, "reset", "truncate")
        if cut or is_chosen:
            send = _Cut(send, lambda: cut or self.faults.take_overdue())
        await self.app(scope, receive, send)


class _Cut:
    """Sends half of a body, where it is to be cut: that is asked when the body is whole."""

    def __init__(self, send: Send, fault: Callable[[], Fault | None]) -> None:
        self._send, self._fault = send, fault
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body") or self._start is None:
            return
        fault = self._fault()
        if fault is None:
            await self._send(self._start)
            await self._send({"type": "http.response.body", "body": self._body})
            return
        is_reset = fault.kind == "reset"
        half = self._body[: len(self._body) // _HALF]
        said = len(self._body) if is_reset else len(half)
        headers = [(k, v) for k, v in self._start["headers"] if k.lower() != b"content-length"]
        headers.append((b"content-length", str(said).encode()))
        await self._send({**self._start, "headers": headers})
        # Where more is promised and does not come, the server closes the connection.
        await self._send({"type": "http.response.body", "body": half, "more_body": is_reset})
