"""Stands before an HTTP server: keeps what is written to it, and lets one write go wrong."""

from __future__ import annotations

import http.client
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

Way = Literal["refused", "answer lost", "server gone", "came second", "strange answer"]


@dataclass
class Proxy:
    """The proxy.

    Attributes:
        writes: method and path of everything that may have changed something.
        fail_at: the number of the write that goes wrong, counted from 1.
        way: `refused`: it is not passed on; `answer lost`: it is, and the connection ends before
            the answer; `server gone`: from then on nothing is answered; `came second`: somebody
            else has just written the same; `strange answer`: it is passed on, and answers `null`.
    """

    port: int
    writes: list[str] = field(default_factory=list)
    fail_at: int | None = None
    way: Way = "refused"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def reset(self, fail_at: int | None = None, way: Way = "refused") -> None:
        self.writes.clear()
        self.fail_at, self.way = fail_at, way

    @property
    def gone(self) -> bool:
        return self.way == "server gone" and len(self.writes) >= (self.fail_at or 10**9)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy
    target: int

    def handle_one(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fails = self.command != "GET" and not self.path.endswith("/filter") and self.keep()
        if self.proxy.gone:
            self.close_connection = True
        elif fails and self.proxy.way == "refused":
            self.answer(422, {"Content-Type": "application/json"}, b'{"detail": "no"}')
        else:
            response, content = self.ask(body)
            if fails and self.proxy.way == "came second":
                response, content = self.ask(body)
            if fails and self.proxy.way == "answer lost":
                self.close_connection = True
            elif fails and self.proxy.way == "strange answer":
                self.answer(response.status, response.headers, b"null")
            else:
                self.answer(response.status, response.headers, content)

    def ask(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        upstream = http.client.HTTPConnection("127.0.0.1", self.target, timeout=60)
        upstream.request(self.command, self.path, body, dict(self.headers))
        response = upstream.getresponse()
        content = response.read()
        upstream.close()
        return response, content

    def keep(self) -> bool:
        """Note a write, and say whether it is the one that goes wrong."""
        self.proxy.writes.append(f"{self.command} {self.path}")
        return len(self.proxy.writes) == self.proxy.fail_at

    def answer(self, status: int, headers: Message | dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name in ("Content-Type", "Content-Encoding", "Retry-After"):
            if name in headers:
                self.send_header(name, headers[name])
        if status != http.HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


for _method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler.handle_one)


@contextmanager
def recording_proxy(target: int) -> Iterator[Proxy]:
    """Listen on a free port, and pass everything on to the port of the target."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        _Handler.target = target
        _Handler.proxy = proxy = Proxy(server.server_port)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
