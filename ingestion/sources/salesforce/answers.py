"""What answers of Salesforce mean, and their shapes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import httpx  # noqa: TC002  # msgspec and callers look at annotations
import msgspec

from ingestion.http import Verdict, accept, by_status, exhaust, refuse, renew, retry

_TRANSIENT_STATUS = frozenset({HTTPStatus.NOT_ACCEPTABLE, 420})
_TRANSIENT = frozenset({
    "QUERY_TIMEOUT", "SERVER_UNAVAILABLE", "UNABLE_TO_LOCK_ROW", "UNKNOWN_EXCEPTION",
})  # fmt: skip
_EXHAUSTED = frozenset({"REQUEST_LIMIT_EXCEEDED", "LIMIT_EXCEEDED", "EXCEEDEDQUOTA"})
_NO_BULK = frozenset({
    "INVALIDENTITY", "INVALIDENTITYTYPE", "FEATURENOTENABLED", "FEATURE_NOT_ENABLED", "API_ERROR",
})  # fmt: skip
_HELP = {
    "API_DISABLED_FOR_ORG": "Give the user the permission API Enabled; the edition must have it.",
    "API_CURRENTLY_DISABLED": "Give the user the permission API Enabled.",
    "INSUFFICIENT_ACCESS": "Give the user the right to read this object and its fields.",
    "INVALID_TYPE": "There is no such object, or the user may not read it.",
    "INVALID_FIELD": "The user may not read a field any more: sync again.",
    "NOT_FOUND": "There is no such object, the user may not read it, or api_version is too new.",
    "INVALID_QUERY_LOCATOR": "The query has expired: sync again.",
    "URI_TOO_LONG": "The object has too many fields for REST, and Bulk refuses it.",
}
_OAUTH_HELP = {
    "invalid_client_id": "The consumer key is not one of this org: see client_id and url.",
    "invalid_client": "The consumer secret is wrong: see client_secret.",
    "unsupported_grant_type": "Enable this flow in the settings of the connected app.",
    "invalid_grant": "The app is not allowed to log in as this user, or the refresh token or the "
    "assertion is not good any more: see the policies of the connected app, the user that the "
    "flow runs as, and the certificate.",
    "invalid_app_access": "Let the user use the connected app: assign its permission set.",
    "inactive_user": "Activate the user.",
    "inactive_org": "The org is locked or closed.",
}


class ApiError(msgspec.Struct):
    """An error of REST and Bulk; they come in a list."""

    errorCode: str = ""  # noqa: N815  # Salesforce's name
    message: str = ""


class Page(msgspec.Struct):
    """A page of a query."""

    totalSize: int  # noqa: N815
    done: bool
    records: list[msgspec.Raw] = []
    nextRecordsUrl: str | None = None  # noqa: N815


class Job(msgspec.Struct):
    """A query job."""

    id: str
    state: str
    numberRecordsProcessed: int = 0  # noqa: N815
    errorMessage: str | None = None  # noqa: N815

    @property
    def why(self) -> str:
        """Return the code of its failure, without what may quote the query."""
        code = (self.errorMessage or "").partition(":")[0].strip()
        return code if code.replace("_", "").isalnum() else "no code"


class ResultUrl(msgspec.Struct):
    """The address of a page of a job's results."""

    resultUrl: str  # noqa: N815


class ResultPages(msgspec.Struct):
    """Addresses of pages of a job's results, and of more of them."""

    resultPages: list[ResultUrl]  # noqa: N815
    done: bool = True
    nextRecordsUrl: str | None = None  # noqa: N815


class DeletedRecord(msgspec.Struct):
    """A record that was deleted."""

    id: str
    deletedDate: str  # noqa: N815


class Deleted(msgspec.Struct):
    """The records that were deleted within a span of time."""

    deletedRecords: list[DeletedRecord]  # noqa: N815
    latestDateCovered: str  # noqa: N815


class DescribedField(msgspec.Struct):
    """A field as describe tells it."""

    name: str
    type: str
    calculated: bool = False


class Description(msgspec.Struct):
    """An object as describe tells it."""

    name: str
    fields: list[DescribedField]
    queryable: bool = True
    replicateable: bool = False


class Part(msgspec.Struct):
    """The answer to one of the requests that were sent as one."""

    httpStatusCode: int  # noqa: N815
    body: msgspec.Raw = msgspec.Raw()


class Parts(msgspec.Struct):
    """The answers to requests that were sent as one, in their order."""

    compositeResponse: list[Part]  # noqa: N815


class Count(msgspec.Struct):
    """How many records an object has, about."""

    name: str
    count: int


class Counts(msgspec.Struct):
    """How many records objects have."""

    sObjects: list[Count]  # noqa: N815


class Granted(msgspec.Struct):
    """A token."""

    access_token: str
    refresh_token: str | None = None


def judge(response: httpx.Response) -> Verdict:
    """Judge an answer of REST or Bulk."""
    if response.is_success:
        return accept()
    status, code = response.status_code, _code(response)
    why = f"{status} {code}".strip()
    if _is_answer(response, code):
        return accept()
    if status == HTTPStatus.UNAUTHORIZED:
        return renew(why, "The session is not accepted: see that the user may use the API.")
    if code in _EXHAUSTED:
        return exhaust(why, "The org's requests or jobs of the last 24 hours are used up.")
    if code in _TRANSIENT or status in _TRANSIENT_STATUS:
        return retry(why, by_status(response).after)
    if code in _HELP:
        return refuse(why, _HELP[code])
    return by_status(response)._replace(why=why)


def judge_token(response: httpx.Response) -> Verdict:
    """Judge an answer of the token endpoint, whose errors are objects."""
    verdict = by_status(response)
    if verdict.does in {"accept", "retry"}:
        return verdict
    body = _json(response)
    code = str(body.get("error", "")) if isinstance(body, dict) else ""
    if code not in _OAUTH_HELP:
        return refuse(
            str(response.status_code),
            "This host gives out no tokens: see that url is the org's My Domain.",
        )
    return refuse(f"{response.status_code} {code}", _OAUTH_HELP[code])


def _is_answer(response: httpx.Response, code: str) -> bool:
    """Say whether an error is one that the caller goes on from."""
    method, path = response.request.method, response.request.url.path
    if method == "POST" and path.endswith("/jobs/query"):
        return code in _NO_BULK
    if method == "GET" and "/jobs/query/" in path:
        return response.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}
    return path.endswith("/deleted/") and code == "EXCEEDED_ID_LIMIT"


def _code(response: httpx.Response) -> str:
    body = _json(response)
    first = body[0] if isinstance(body, list) and body else body
    code = str(first.get("errorCode", "")) if isinstance(first, dict) else ""
    return code if code.replace("_", "").isalnum() else ""


def _json(response: httpx.Response) -> Any:  # noqa: ANN401
    try:
        return msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        return None
