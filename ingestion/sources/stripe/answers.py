"""Answers of the API: their types, and what they mean for the request."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from ingestion.http.verdicts import Verdict, accept, by_status, refuse, retry, retry_after

if TYPE_CHECKING:
    import httpx

_MISSING = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND})
_PERMISSION = re.compile(r"'(rak_\w+)'")


class Problem(msgspec.Struct):
    """What stands below `error`. The message may name ids and a part of the key: it is not shown.

    Attributes:
        type: class of the error.
        code: what it is, for programs.
        param: parameter that it is about.
        message: for people.
    """

    type: str = ""
    code: str | None = None
    param: str | None = None
    message: str | None = None


class Head(msgspec.Struct):
    """What every answer and every object may have of what the connector looks at."""

    id: str = ""
    created: int | None = None
    deleted: bool = False
    error: Problem | None = None


class Page(msgspec.Struct):
    """A list; without `data` it is an error."""

    data: list[msgspec.Raw] | None = None
    has_more: bool = False
    error: Problem | None = None


@dataclass
class Clock:
    """Stripe's clock, which events are of, as the answers tell it.

    Attributes:
        behind: seconds that it is behind ours; the whole second of an answer is up to one more.
    """

    behind: float = 0

    def judge(self, response: httpx.Response) -> Verdict:
        """Say what an answer means, and note when it was given."""
        with suppress(KeyError, ValueError):
            said = parsedate_to_datetime(response.headers["Date"])
            self.behind = time.time() - said.timestamp()
        return judge(response)

    def second(self, ours: float) -> int:
        """Return the second that Stripe's clock shows at a time of ours, or the one before."""
        return int(ours - self.behind)


def judge(response: httpx.Response) -> Verdict:
    """Say what an answer means. That an object is not there is an answer like others."""
    problem = _problem(response)
    if response.is_success:
        return accept() if _is_json(response) else _elsewhere(response)
    if problem is None:
        is_found = response.is_server_error or response.status_code != HTTPStatus.NOT_FOUND
        return by_status(response) if is_found else _elsewhere(response)
    why = " ".join(filter(None, (str(response.status_code), problem.code or problem.type)))
    if problem.code == "resource_missing" and response.status_code in _MISSING:
        return accept()
    if response.headers.get("Stripe-Should-Retry") == "true":
        return retry(why, retry_after(response))
    return _by_problem(response, problem, why)


def _by_problem(response: httpx.Response, problem: Problem, why: str) -> Verdict:
    match response.status_code:
        case HTTPStatus.UNAUTHORIZED:
            return refuse(
                why,
                "The key is none of this account, or was revoked. Set the option api_key to one "
                "that is valid (Stripe's dashboard, Developers, API keys).",
            )
        case HTTPStatus.FORBIDDEN:
            named = _PERMISSION.search(problem.message or "")
            needs = f"the permission {named[1]}" if named else "a permission"
            return refuse(
                why,
                f"The restricted key lacks {needs}: give it read access in Stripe's dashboard, or "
                "leave the stream out.",
            )
        case HTTPStatus.CONFLICT:
            return retry(why, retry_after(response))
        case HTTPStatus.BAD_REQUEST:
            about = f"the parameter {problem.param}" if problem.param else "the request"
            return refuse(
                why,
                f"Stripe does not take {about}. See that the option version is one that the "
                "account may use.",
            )
        case HTTPStatus.NOT_FOUND:
            return refuse(why, "This API has no such list: see that the option url is right.")
    return by_status(response)._replace(why=why)


def _elsewhere(response: httpx.Response) -> Verdict:
    return refuse(
        str(response.status_code),
        "That is not how Stripe answers: see that the option url is right.",
    )


def _is_json(response: httpx.Response) -> bool:
    return "json" in response.headers.get("Content-Type", "json")


def _problem(response: httpx.Response) -> Problem | None:
    if response.is_success:
        return None
    try:
        return msgspec.json.decode(response.content, type=Head).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
