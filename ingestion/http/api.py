"""An API: requests that are limited, tried again, and told of without their query."""

from __future__ import annotations

import logging
import random
import time
import zlib
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx
import msgspec
import tenacity

from crmhouse.errors import QuotaExhaustedError, SourceRefusedError, SourceUnavailableError
from ingestion.http.failures import failure
from ingestion.http.limits import Limit, Rule, limit_of
from ingestion.http.verdicts import Verdict, by_status, retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType
    from urllib.parse import SplitResult

    from ingestion.http.credentials import Credentials

T = TypeVar("T")

logger = logging.getLogger(__name__)

_AGENT = "crmhouse"
_CHUNK_BYTES = 1 << 18
_GZIP = 31  # as zlib's `wbits`


@dataclass(frozen=True)
class Patience:
    """How long a request is waited for, and how often it is tried.

    Attributes:
        connect_seconds: for a connection.
        silence_seconds: between two pieces of an answer.
        tries: at most so many.
        first_pause: seconds before the second try, at most; doubled from try to try, with jitter.
        longest_pause: seconds; an API that asks for more is asked again in the next run.
    """

    connect_seconds: float = 10
    silence_seconds: float = 60
    tries: int = 7
    first_pause: float = 1
    longest_pause: float = 120


IMPATIENT = Patience(connect_seconds=5, silence_seconds=30, tries=2)
"""Where somebody waits for the answer: for a check."""


class _TryAgain(Exception):  # noqa: N818  # never leaves this module
    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.why)
        self.verdict = verdict


@dataclass
class Api:
    """The API of one account.

    Proxies and certificates are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`,
    `SSL_CERT_FILE`). Redirects are not followed: credentials stay with the configured host.

    Attributes:
        place: source, for messages.
        url: where paths start.
        credentials: lets requests in; None where the path or the body does.
        judge: says what an answer means.
        limits: rules by the name of a class of requests; `default` holds for all others.
        account: whom the limits belong to: the same text for all who share them.
        headers: of every request.
        patience: how long and how often.
    """

    place: str
    url: str
    credentials: Credentials | None = None
    judge: Callable[[httpx.Response], Verdict] = by_status
    limits: Mapping[str, Rule] = field(default_factory=dict)
    account: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    patience: Patience = field(default_factory=Patience)
    _client: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        patience = self.patience
        self._client = httpx.Client(
            headers={"User-Agent": _AGENT, **self.headers},
            timeout=httpx.Timeout(patience.silence_seconds, connect=patience.connect_seconds),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=16),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def json(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        limit: str = "default",
        cost: float = 1,
        **request: Any,  # noqa: ANN401  # httpx's own arguments
    ) -> T:
        """Send a request and read the JSON of its answer.

        Args:
            method: of HTTP.
            path: below the URL of the API, or a URL of the same host.
            kind: the type that the answer has, as msgspec knows types.
            limit: the class of requests that this one is of.
            cost: what it takes of the limit.
            **request: what `httpx.Client.build_request` takes.

        Raises:
            SourceUnavailableError: there was no proper answer, however often it was tried.
            SourceRefusedError: it was refused for good, or the answer is of another type.
            QuotaExhaustedError: there will be none today.
        """

        def read(response: httpx.Response) -> T:
            try:
                return msgspec.json.decode(response.content, type=kind)
            except msgspec.ValidationError:
                raise SourceRefusedError(
                    f"{self._named(method, path)} has answered something else than its "
                    f"documentation says ({response.status_code}). Nothing of it was taken over."
                ) from None
            except msgspec.DecodeError:
                what = f"{response.status_code}, which is no complete JSON"
                raise _TryAgain(retry(what)) from None

        return self._tried(method, path, read, limit=limit, cost=cost, **request)

    def send(
        self,
        method: str,
        path: str,
        *,
        limit: str = "default",
        **request: Any,  # noqa: ANN401
    ) -> httpx.Response:
        """Send a request and return its whole answer; see `json`."""
        return self._tried(method, path, lambda response: response, limit=limit, **request)

    def download(
        self,
        path: str,
        file: BinaryIO,
        *,
        limit: str = "default",
        **request: Any,  # noqa: ANN401
    ) -> httpx.Headers:
        """Write an answer into a file, however large it is; see `json`.

        A try that fails on the way leaves nothing of it in the file.

        Returns:
            The headers of the answer.
        """
        start = file.tell()

        def read(response: httpx.Response) -> httpx.Headers:
            file.seek(start)
            file.truncate()
            file.writelines(_unzipped(response))
            return response.headers

        return self._tried("GET", path, read, limit=limit, is_stream=True, **request)

    def _tried(
        self,
        method: str,
        path: str,
        read: Callable[[httpx.Response], T],
        *,
        limit: str,
        cost: float = 1,
        is_stream: bool = False,
        **request: Any,  # noqa: ANN401
    ) -> T:
        url = self._absolute(path)
        headers = request.pop("headers", {})

        def build(credentials: dict[str, str]) -> httpx.Request:
            return self._client.build_request(
                method, url, headers={**headers, **credentials}, **request
            )

        def tell(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            seconds = state.next_action.sleep if state.next_action else 0
            logger.info("%s: %s; again in %.1f s", self._named(method, path), error, seconds)

        began = time.monotonic()
        tries = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.patience.tries),
            wait=self._pause,
            retry=tenacity.retry_if_exception_type(_TryAgain),
            before_sleep=tell,
            reraise=True,
        )
        try:
            found: T = tries(self._once, build, read, self._limit(limit), cost, is_stream=is_stream)
        except _TryAgain as error:
            why = error.verdict.why
            raise SourceUnavailableError(
                f"{self._named(method, path)} gave no proper answer in {self.patience.tries} tries "
                f"({time.monotonic() - began:.0f} s). The last one: {why}"
                f"{'' if why.endswith('?') else '.'} What has landed stays; sync again."
            ) from None
        return found

    def _once(
        self,
        request: Callable[[dict[str, str]], httpx.Request],
        read: Callable[[httpx.Response], T],
        limit: Limit | None,
        cost: float,
        *,
        is_stream: bool,
    ) -> T:
        """Send the request; with renewed credentials once more, where they were refused."""
        for is_last in (False, True):
            carried = self.credentials.headers() if self.credentials else {}
            sent = request(carried)
            try:
                with (
                    limit.place(cost) if limit else nullcontext(),
                    self._opened(sent) as response,
                ):
                    if not (is_stream and response.is_success):
                        response.read()
                    verdict = self.judge(response)
                    if verdict.does == "accept":
                        return read(response)
            except (httpx.TransportError, httpx.DecodingError) as error:
                raise _TryAgain(retry(failure(error))) from None
            can_renew = verdict.does == "renew" and not is_last and self.credentials is not None
            if not (can_renew and self.credentials and self.credentials.renew(carried)):
                break
        raise self._given_up(sent, verdict, limit)

    @contextmanager
    def _opened(self, request: httpx.Request) -> Iterator[httpx.Response]:
        response = self._client.send(request, stream=True)
        try:
            yield response
        finally:
            response.close()

    def _given_up(self, request: httpx.Request, verdict: Verdict, limit: Limit | None) -> Exception:
        """Return what a verdict other than to accept is raised as."""
        if verdict.does == "retry" and (verdict.after or 0) <= self.patience.longest_pause:
            if limit and verdict.after:
                limit.pause(verdict.after)
            return _TryAgain(verdict)
        said = f"{self._named(request.method, str(request.url))} answered {verdict.why}. "
        if verdict.does in {"retry", "exhaust"}:
            wait = verdict.help or f"It is to be asked again in {verdict.after:.0f} s."
            return QuotaExhaustedError(
                f"{said}{wait} What has landed stays; the next sync goes on from there.",
                verdict.after,
            )
        return SourceRefusedError(said + verdict.help)

    def _limit(self, name: str) -> Limit | None:
        known = name if name in self.limits else "default"
        rule = self.limits.get(known)
        return limit_of(self.account or self.url, known, rule) if rule else None

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Wait as long as the API says and a little longer, or longer from try to try."""
        error = state.outcome.exception() if state.outcome else None
        jitter = random.random()  # noqa: S311  # spreads requests, keeps no secret
        if isinstance(error, _TryAgain) and error.verdict.after is not None:
            return error.verdict.after + jitter * self.patience.first_pause
        longest = self.patience.first_pause * 2.0 ** (state.attempt_number - 1)
        return min(longest, self.patience.longest_pause) * (1 + jitter) / 2

    def _named(self, method: str, path: str) -> str:
        """Name a request without what may be secret or of a person: query, user and fragment."""
        parts = urlsplit(self._absolute(path))
        return f"{self.place}: {method} {parts.scheme}://{parts.hostname}{_port(parts)}{parts.path}"

    def _absolute(self, path: str) -> str:
        """Return the URL of a path.

        Raises:
            SourceRefusedError: it is a URL of another host, which must not get the credentials.
        """
        base = self.url.rstrip("/") + "/"
        url = urljoin(base, path if "://" in path else path.lstrip("/"))
        if _origin(url) != _origin(base):
            raise SourceRefusedError(
                f"{self.place}: {urlsplit(base).hostname} sends to another host, "
                f"{urlsplit(url).hostname}. Nothing was asked of it."
            )
        return url


def _unzipped(response: httpx.Response) -> Iterator[bytes]:
    """Yield a body piece by piece; httpx would take one whose gzip ends early for whole."""
    if response.is_stream_consumed or response.headers.get("Content-Encoding") != "gzip":
        yield from response.iter_bytes(_CHUNK_BYTES)
        return
    unzip = zlib.decompressobj(_GZIP)
    try:
        for piece in response.iter_raw(_CHUNK_BYTES):
            yield unzip.decompress(piece)
    except zlib.error:
        raise _TryAgain(retry("the answer is no proper gzip")) from None
    if not unzip.eof:
        raise _TryAgain(retry("the answer ends too early"))


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _port(parts: SplitResult) -> str:
    return f":{parts.port}" if parts.port else ""
