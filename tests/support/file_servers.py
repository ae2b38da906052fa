"""Servers on this machine that hold files: one speaks S3, one is a plain web server."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

KEY, SECRET = "AKIATESTTESTTESTTEST", "s3cr3t-of-the-test"  # a key and a secret of nobody


class _Silent(WSGIRequestHandler):
    def log(self, *_: Any, **__: Any) -> None:
        """Say nothing."""


@dataclass
class S3Server:
    """An S3 server with one bucket.

    Attributes:
        requests: method and path of what was asked for since the test began.
        failures: the status that a path is answered with.
        on_download: is called when the content of a file was asked for.
    """

    url: str
    bucket: str
    client: Any
    requests: list[tuple[str, str]] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    on_download: Callable[[], object] = lambda: None

    def put(self, name: str, content: str | bytes) -> None:
        """Write a file."""
        body = content if isinstance(content, bytes) else content.encode()
        self.client.put_object(Bucket=self.bucket, Key=name, Body=body)
        self.requests.clear()

    def delete(self, name: str) -> None:
        """Take a file away."""
        self.client.delete_object(Bucket=self.bucket, Key=name)
        self.requests.clear()

    @contextmanager
    def demanding_credentials(self) -> Iterator[None]:
        """Let nobody in whom the server does not know, while the block runs."""
        self._post("/moto-api/reset-auth", b"0")
        try:
            yield
        finally:
            self._post("/moto-api/reset-auth", b"inf")

    def _post(self, path: str, body: bytes) -> None:
        with closing(HTTPConnection("127.0.0.1", int(self.url.rpartition(":")[2]))) as connection:
            connection.request("POST", path, body)
            assert connection.getresponse().status == 200

    def downloads(self) -> list[str]:
        """Return the files whose content was asked for; forget what was asked for."""
        prefix = f"/{self.bucket}/"
        found = [
            path.removeprefix(prefix)
            for method, path in self.requests
            if method == "GET" and path.startswith(prefix) and path != prefix
        ]
        self.requests.clear()
        return found


@contextmanager
def s3_server(bucket: str) -> Iterator[S3Server]:
    """Run an S3 server while the block runs."""
    inner = DomainDispatcherApplication(create_backend_app)
    server: S3Server

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        server.requests.append((method, path))
        if path in server.failures:
            start(f"{server.failures[path]} Failed", [("Content-Length", "0")])
            return []
        answer = inner(environ, start)
        if method == "GET" and path.count("/") > 1 and not path.endswith("/"):
            server.on_download()
        return answer

    listening = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Silent)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{listening.server_port}"
    client = boto3.client(
        "s3", endpoint_url=url, aws_access_key_id=KEY, aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )  # fmt: skip
    server = S3Server(url, bucket, client)
    try:
        client.create_bucket(Bucket=bucket)
        yield server
    finally:
        client.close()
        listening.shutdown()
        thread.join()
        listening.server_close()


@dataclass
class WebServer:
    """A web server; it lists nothing.

    Attributes:
        files: content by path, without the first slash.
        tells: headers that say which version a file has: ETag, Last-Modified, Content-Length.
        requests: method and path of what was asked for.
        failures: the status that a path is answered with.
        cut: files whose connection breaks off in the middle.
        wanted: headers that a request must have.
        on_download: is called when a file was sent.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    tells: set[str] = field(default_factory=lambda: {"ETag", "Last-Modified", "Content-Length"})
    requests: list[tuple[str, str]] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    wanted: dict[str, str] = field(default_factory=dict)
    on_download: Callable[[], object] = lambda: None

    def downloads(self) -> list[str]:
        """Return the files that were sent; forget what was asked for."""
        found = [path for method, path in self.requests if method == "GET"]
        self.requests.clear()
        return found


@contextmanager
def web_server() -> Iterator[WebServer]:
    """Run a web server while the block runs."""
    server = WebServer()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def do_HEAD(self) -> None:
            self._answer(is_get=False)

        def do_GET(self) -> None:
            self._answer(is_get=True)

        def _answer(self, *, is_get: bool) -> None:
            path = self.path.lstrip("/")
            server.requests.append((self.command, path))
            content = server.files.get(path)
            status = server.failures.get(path, 200 if content is not None else 404)
            if any(self.headers.get(name) != value for name, value in server.wanted.items()):
                status = 401
            self.send_response(status)
            if status != 200 or content is None:
                self.end_headers()
                return
            headers = {
                "ETag": f'"{md5(content, usedforsecurity=False).hexdigest()}"',
                "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
                "Content-Length": str(len(content)),
            }
            for name in server.tells:
                self.send_header(name, headers[name])
            self.end_headers()
            if is_get:
                self.wfile.write(content[: len(content) // 2] if path in server.cut else content)
                server.on_download()

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
