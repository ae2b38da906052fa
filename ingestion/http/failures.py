"""Failures: what kept a request from being answered, in words that help."""

from __future__ import annotations

import errno
import socket
import ssl

import httpx


def failure(error: httpx.RequestError) -> str:
    """Say what kept a request from being answered."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            is_unknown = cause.errno in {socket.EAI_NONAME, socket.EAI_NODATA}
            return (
                "there is no such host: see that its name is right"
                if is_unknown
                else "names of hosts cannot be looked up: is there a network?"
            )
        if isinstance(cause, ConnectionRefusedError):
            return "nothing listens there: see that host and port are right"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "its certificate is not trusted: SSL_CERT_FILE names further authorities"
        if isinstance(cause, OSError) and cause.errno in {errno.ENETUNREACH, errno.EHOSTUNREACH}:
            return "the host cannot be reached: is there a network?"
        cause = cause.__cause__ or cause.__context__
    match error:
        case httpx.ConnectTimeout():
            return "no connection in time: is there a network, or a firewall in between?"
        case httpx.TimeoutException():
            return "no answer in time"
        case httpx.ProxyError():
            return "the proxy refused"
        case _:
            return f"the answer was cut off ({type(error).__name__})"
