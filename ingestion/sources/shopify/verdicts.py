"""What an answer of Shopify means: most errors come with the status 200."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from ingestion.http import Verdict, by_status, refuse, retry

if TYPE_CHECKING:
    import httpx

TOO_DEAR = "MAX_COST_EXCEEDED"
_TRANSIENT = frozenset({"INTERNAL_SERVER_ERROR", "TIMEOUT"})
_SCOPE = re.compile(r"`?\b((?:read|write)_[a-z_]+)`?")
_SHORTEST_PAUSE = 0.05
_HELP = {
    401: "The access token is not one of this shop, or it was revoked: create one for the app and "
    "configure it as access_token.",
    402: "The shop is frozen: its bill is to be paid first.",
    403: "The app may not use the API of this shop: see that it is installed and the shop is open.",
    404: "There is no such shop, or no such version of the API: see that shop and version are "
    "right.",
    423: "The shop is locked: ask Shopify's support why.",
}


class Failure(msgspec.Struct):
    """The part of an answer that tells of failures; the data are passed over."""

    errors: Any = None
    extensions: Any = None


def codes_of(errors: object) -> list[str]:
    """Return the codes of the errors in an answer."""
    if not isinstance(errors, list):
        return ["an error"] if errors else []
    return [str((error.get("extensions") or {}).get("code", "an error")) for error in errors]


def judge(response: httpx.Response) -> Verdict:
    """Say what is to be done with an answer of the API."""
    status = response.status_code
    if status in _HELP:
        return refuse(str(status), _HELP[status])
    verdict = by_status(response)
    if verdict.does != "accept" or response.request.method != "POST":
        return verdict
    try:
        failure = msgspec.json.decode(response.content, type=Failure)
    except msgspec.DecodeError:
        return verdict  # whoever reads the answer tries again
    codes = codes_of(failure.errors)
    if not codes or TOO_DEAR in codes:
        return verdict
    if "THROTTLED" in codes:
        return retry("THROTTLED", _pause(failure.extensions))
    if _TRANSIENT.intersection(codes):
        return retry(codes[0])
    if "ACCESS_DENIED" in codes:
        return refuse("ACCESS_DENIED", _missing(failure.errors))
    return refuse(
        codes[0],
        "The query was not accepted: this version of the API may lack a field. Configure another "
        "version.",
    )


def judge_file(response: httpx.Response) -> Verdict:
    """Say what is to be done with an answer of the host that keeps the files."""
    verdict = by_status(response)
    if verdict.does in {"accept", "retry"}:
        return verdict
    return refuse(verdict.why, "The file of the bulk operation is not to be had any more.")


def _missing(errors: list[dict[str, Any]]) -> str:
    """Name the scope that the token lacks."""
    scopes = {
        scope
        for error in errors
        for text in (error.get("message"), (error.get("extensions") or {}).get("requiredAccess"))
        for scope in _SCOPE.findall(str(text))
    }
    what = f"the scope {', '.join(sorted(scopes))}" if scopes else "a scope"
    return f"The access token lacks {what}: add it to the app and install the app anew."


def _pause(extensions: object) -> float:
    """Return after how many seconds the bucket has what the query costs."""
    cost: Any = extensions.get("cost") if isinstance(extensions, dict) else None
    try:
        status = cost["throttleStatus"]
        lacking = cost["requestedQueryCost"] - status["currentlyAvailable"]
        return max(_SHORTEST_PAUSE, float(lacking / status["restoreRate"]))
    except (KeyError, TypeError, ZeroDivisionError):
        return 1.0
