"""Verdicts: what an answer means for the request that it is the answer to."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import httpx

_TRANSIENT = frozenset({
    HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS,
})  # fmt: skip


class Verdict(NamedTuple):
    """What is to be done.

    Attributes:
        does: `accept` the answer, `retry` the request, `renew` the credentials and try again,
            `refuse`: it will never work, or `exhaust`: not before the next day or so.
        why: status and code, for the message; no value of a record and no secret.
        help: what the user can do, as a sentence.
        after: seconds to wait before the next try, where the API says so.
    """

    does: Literal["accept", "retry", "renew", "refuse", "exhaust"]
    why: str = ""
    help: str = ""
    after: float | None = None


def accept() -> Verdict:
    """Take the answer."""
    return Verdict("accept")


def retry(why: str, after: float | None = None) -> Verdict:
    """Try again, not before so many seconds."""
    return Verdict("retry", why, "", after)


def renew(why: str, help_: str) -> Verdict:
    """Get new credentials and try again; where there are none, or they do not help, refuse."""
    return Verdict("renew", why, help_)


def refuse(why: str, help_: str) -> Verdict:
    """Give up for good."""
    return Verdict("refuse", why, help_)


def exhaust(why: str, help_: str) -> Verdict:
    """Give up for today: the run ends as partial."""
    return Verdict("exhaust", why, help_)


def by_status(response: httpx.Response) -> Verdict:
    """Judge by what the status alone says; APIs add what they know better."""
    status, why = response.status_code, str(response.status_code)
    if response.is_success:
        return accept()
    if status in _TRANSIENT or response.is_server_error:
        return retry(why, retry_after(response))
    if status == HTTPStatus.UNAUTHORIZED:
        return renew(why, "See that the credentials are those of this account and still valid.")
    if status == HTTPStatus.FORBIDDEN:
        return refuse(why, "Give the credentials the right to read this.")
    if status == HTTPStatus.NOT_FOUND:
        return refuse(why, "See that host and account are right.")
    if response.is_redirect:
        return refuse(why, "The host sends requests elsewhere: configure the host that answers.")
    return refuse(why, "The request was not accepted: the configuration of the source may be off.")


def retry_after(response: httpx.Response) -> float | None:
    """Return the seconds that `Retry-After` asks for, given as seconds or as a date."""
    text = str(response.headers.get("Retry-After", "")).strip()
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
