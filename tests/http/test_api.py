"""The HTTP policy, against a real server that answers as it is told."""

from __future__ import annotations

import gzip
import io
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from crmhouse.errors import QuotaExhaustedError, SourceRefusedError, SourceUnavailableError
from ingestion.http import Api, Bearer, Patience, Rule, Token, accept, exhaust

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from ingestion.http import Verdict

Answer: TypeAlias = tuple[int, dict[str, str], bytes]

QUICK = Patience(connect_seconds=2, silence_seconds=1, tries=4, first_pause=0.01, longest_pause=2)
OK: Answer = (200, {}, b'{"n": 1}')


class Page(msgspec.Struct):
    n: int


class Scripted(BaseHTTPRequestHandler):
    """Gives the answers of a script, one after the other; then the last one for ever."""

    protocol_version = "HTTP/1.1"
    script: ClassVar[list[Answer]]
    seen: ClassVar[list[dict[str, str]]]
    seconds: ClassVar[float] = 0

    def do_GET(self) -> None:
        self.seen.append({"path": self.path, **self.headers})
        status, headers, body = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        time.sleep(self.seconds)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = len(body) < int(headers.get("Content-Length", 0))

    do_POST = do_GET  # noqa: N815  # the name that the server looks for

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@contextmanager
def answering(*script: Answer, seconds: float = 0) -> Iterator[Any]:
    handler = type("H", (Scripted,), {"script": [*script], "seen": [], "seconds": seconds})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def api(server: Any, **options: Any) -> Api:
    url = f"http://127.0.0.1:{server.server_port}/v1"
    return Api("shop", url, **{"patience": QUICK, **options})


def seen(server: Any) -> list[dict[str, str]]:
    found: list[dict[str, str]] = server.RequestHandlerClass.seen
    return found


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(status: int) -> None:
    with answering((status, {}, b"<html>"), OK) as server, api(server) as asked:
        assert asked.json("GET", "things", Page) == Page(1)
        assert len(seen(server)) == 2


@pytest.mark.parametrize("status", [301, 400, 403, 404, 405, 409, 422])
def test_what_will_never_work_is_asked_once(status: int) -> None:
    elsewhere = {"Location": "http://127.0.0.1:1/"}
    with answering((status, elsewhere, b"{}")) as server, api(server) as asked:
        with pytest.raises(SourceRefusedError, match=f"answered {status}"):
            asked.json("GET", "things", Page)
        assert len(seen(server)) == 1


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_an_api_is_asked_again_when_it_says_and_not_before(form: str) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    after = {"Retry-After": "1" if form == "seconds" else when}
    with answering((429, after, b""), OK) as server, api(server) as asked:
        began = time.monotonic()
        asked.json("GET", "things", Page)
        assert time.monotonic() - began > 0.9


def test_who_asks_for_too_long_a_pause_is_asked_in_the_next_run() -> None:
    with answering((429, {"Retry-After": "86400"}, b"")) as server, api(server) as asked:
        with pytest.raises(QuotaExhaustedError, match="asked again in 86400 s"):
            asked.json("GET", "things", Page)
        assert len(seen(server)) == 1


def test_a_quota_that_is_used_up_is_no_failure_of_the_source() -> None:
    def judge(response: httpx.Response) -> Verdict:
        code = f"{response.status_code} DAILY"
        return accept() if response.is_success else exhaust(code, "The day's requests are used up.")

    with (
        answering((403, {}, b""), OK) as server,
        api(server, judge=judge) as asked,
        pytest.raises(QuotaExhaustedError, match="403 DAILY"),
    ):
        asked.json("GET", "things", Page)


def test_it_is_given_up_at_some_time_and_said_what_was_tried() -> None:
    with answering((503, {}, b"")) as server, api(server) as asked:
        with pytest.raises(SourceUnavailableError, match=r"in 4 tries .* The last one: 503"):
            asked.json("GET", "things?email=a@b.example", Page)
        assert len(seen(server)) == 4


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ((200, {}, b'{"n": '), 0),
        ((200, {}, b"<html>maintenance</html>"), 0),
        ((200, {"Content-Length": "100"}, b'{"n": 1}'), 0),
        (OK, 1.5),
    ],
    ids=["truncated", "html", "cut off", "silent"],
)
def test_an_answer_that_is_not_whole_never_counts(answer: Answer, seconds: float) -> None:
    with answering(answer, seconds=seconds) as server, api(server) as asked:
        with pytest.raises(SourceUnavailableError, match="no proper answer in 4 tries"):
            asked.json("GET", "things", Page)
        assert len(seen(server)) == 4


def test_an_answer_of_another_type_is_refused() -> None:
    with (
        answering((200, {}, b'{"n": "one"}')) as server,
        api(server) as asked,
        pytest.raises(SourceRefusedError, match="something else than its documentation"),
    ):
        asked.json("GET", "things", Page)


def test_no_message_holds_the_query_or_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "ingestion")
    with (
        answering((500, {}, b"")) as server,
        api(server, credentials=Bearer("s3cret")) as asked,
        pytest.raises(SourceUnavailableError) as caught,
    ):
        asked.json("GET", "things?email=a@b.example&key=s3cret", Page)
    said = f"{caught.value}\n{caplog.text}\n{asked}"
    assert "/v1/things" in said
    assert "s3cret" not in said
    assert "a@b.example" not in said


def test_a_download_that_was_cut_off_begins_anew(tmp_path: Any) -> None:
    whole = b"x" * 300_000
    cut = (200, {"Content-Length": str(len(whole))}, whole[:200_000])
    with answering(cut, (200, {"X-Rows": "7"}, whole)) as server, api(server) as asked:
        with (tmp_path / "file").open("w+b") as file:
            assert asked.download("file", file)["X-Rows"] == "7"
        assert (tmp_path / "file").read_bytes() == whole


@pytest.mark.parametrize("cut", [10, 40, -1], ids=["early", "halfway", "at the end"])
def test_a_download_whose_gzip_ends_early_begins_anew(cut: int) -> None:
    zipped = gzip.compress(bytes(range(256)) * 10)
    header = {"Content-Encoding": "gzip"}
    script = ((200, header, zipped[:cut]), (200, header, b"no gzip"), (200, header, zipped))
    with answering(*script) as server, api(server) as asked:
        file = io.BytesIO()
        asked.download("things", file)
        assert file.getvalue() == bytes(range(256)) * 10
        assert len(seen(server)) == 3


def test_a_zipped_answer_to_a_download_that_is_accepted_as_a_refusal_is_read() -> None:
    gone = (404, {"Content-Encoding": "gzip"}, gzip.compress(b"gone"))
    with answering(gone) as server, api(server, judge=lambda _: accept()) as asked:
        file = io.BytesIO()
        asked.download("things", file)
        assert file.getvalue() == b"gone"


def test_a_token_that_is_refused_is_renewed_once() -> None:
    tokens = iter(["old", "new"])
    refused: Answer = (HTTPStatus.UNAUTHORIZED, {}, b"")
    with (
        answering(refused, OK, refused, refused) as server,
        api(server, credentials=Token(lambda: next(tokens))) as asked,
    ):
        assert asked.json("GET", "things", Page) == Page(1)
        assert [request["Authorization"] for request in seen(server)] == [
            "Bearer old",
            "Bearer new",
        ]


def test_a_key_that_cannot_be_renewed_is_refused_at_once() -> None:
    with answering((401, {}, b"")) as server, api(server, credentials=Bearer("k")) as asked:
        with pytest.raises(SourceRefusedError, match=r"answered 401\. See that the credentials"):
            asked.json("GET", "things", Page)
        assert len(seen(server)) == 1


def test_credentials_are_sent_to_no_other_host() -> None:
    with answering(OK) as server, api(server, credentials=Bearer("k")) as asked:
        with pytest.raises(SourceRefusedError, match=r"another host, evil\.example"):
            asked.json("GET", "https://evil.example/v1/things", Page)
        assert not seen(server)


def test_requests_begin_no_faster_than_allowed_however_many_ask() -> None:
    with answering(OK) as server:
        rules = {"default": Rule(per_second=20, burst=2, at_once=3)}
        one, other = (api(server, limits=rules, account="the same") for _ in range(2))
        began = time.monotonic()
        threads = [
            threading.Thread(target=asked.json, args=["GET", "things", Page])
            for asked in (one, other)
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        one.close()
        other.close()
        assert time.monotonic() - began > 9 / 20
        assert len(seen(server)) == 12


def test_no_more_requests_are_under_way_than_allowed_whoever_sends_them() -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    class Counted(Scripted):
        script: ClassVar[list[Answer]] = [OK]
        seen: ClassVar[list[dict[str, str]]] = []

        def do_GET(self) -> None:
            nonlocal under_way, most
            with lock:
                under_way += 1
                most = max(most, under_way)
            time.sleep(0.05)
            with lock:
                under_way -= 1
            super().do_GET()

    with answering(OK) as server:
        server.RequestHandlerClass = Counted
        rules = {"default": Rule(per_second=10_000, burst=100, at_once=3)}
        with (
            api(server, limits=rules, account="a busy one") as one,
            api(server, limits=rules, account="a busy one") as other,
            ThreadPoolExecutor(12) as pool,
        ):
            answers = [pool.submit(each.json, "GET", "things", Page)
                       for each in (one, other) for _ in range(6)]  # fmt: skip
            assert [answer.result() for answer in answers] == [Page(1)] * 12
    assert most == 3


def test_a_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(OK) as proxy, answering((200, {}, b'{"n": 2}')) as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with Api("shop", "http://crm.invalid/v1", patience=QUICK) as asked:
            assert asked.json("GET", "things", Page) == Page(1)
        assert [one["path"] for one in seen(proxy)] == ["http://crm.invalid/v1/things"]
        with api(server) as asked:
            assert asked.json("GET", "things", Page) == Page(2)
        assert len(seen(proxy)) == 1


def test_an_authority_of_ones_own_is_taken_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with answering(OK) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = f"https://localhost:{server.server_port}/v1"
        hurried = Patience(connect_seconds=2, silence_seconds=2, tries=1)
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        with (
            Api("shop", url, patience=hurried) as asked,
            pytest.raises(SourceUnavailableError, match="not trusted: SSL_CERT_FILE"),
        ):
            asked.send("GET", "things")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with Api("shop", url, patience=hurried) as asked:
            assert asked.json("GET", "things", Page) == Page(1)


def self_signed(folder: Path) -> Path:
    """Write a key and a certificate for this machine that nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "authority.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_hosts_that_are_not_there_are_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    hurried = Patience(tries=1)
    with (
        Api("shop", f"http://127.0.0.1:{port}", patience=hurried) as asked,
        pytest.raises(SourceUnavailableError, match="nothing listens there"),
    ):
        asked.send("GET", "things")
    with (
        Api("shop", "http://nowhere.invalid", patience=hurried) as asked,
        pytest.raises(SourceUnavailableError, match=r"no such host|cannot be looked up"),
    ):
        asked.send("GET", "things")


def test_a_download_may_be_given_any_file() -> None:
    with answering(OK) as server, api(server) as asked:
        file = io.BytesIO()
        asked.download("things", file)
        assert file.getvalue() == OK[2]
