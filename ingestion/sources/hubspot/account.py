"""The account: how HubSpot is asked, and what its answers mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from ingestion.http import (
    Api,
    Bearer,
    Patience,
    Rule,
    Token,
    by_status,
    exhaust,
    refuse,
    renew,
    retry,
)
from ingestion.http.verdicts import retry_after

if TYPE_CHECKING:
    import httpx

    from ingestion.http import Credentials, Verdict
    from ingestion.sources.hubspot.options import HubSpotOptions

SEARCH = "search"
_BURST = 10
_TOKEN_FORMAT = 530  # of the network in front of HubSpot: the token is none
_PAUSES = {"TEN_SECONDLY_ROLLING": 10.0, "SECONDLY": 1.0}
_HELP = {
    HTTPStatus.BAD_REQUEST: "See that the types of objects and the properties exist.",
    HTTPStatus.REQUEST_URI_TOO_LONG: "The URL was too long: report this, with the number of "
    "properties.",
    _TOKEN_FORMAT: "The token is none of HubSpot's: see that it is whole.",
}
_RENEW_HELP = (
    "See that the token is that of a private app of this account, that it was not rotated, and "
    "that the app was not removed."
)


class _Granted(msgspec.Struct):
    access_token: str


class _Detail(msgspec.Struct):
    context: dict[str, Any] = msgspec.field(default_factory=dict)


class _Error(msgspec.Struct, rename="camel"):
    category: str = ""
    policy_name: str = ""
    errors: list[_Detail] = msgspec.field(default_factory=list)


@dataclass(frozen=True)
class Account:
    """A HubSpot account.

    Attributes:
        name: of the source.
        options: as configured.
        patience: how long and how often it is asked.
    """

    name: str
    options: HubSpotOptions
    patience: Patience = field(default_factory=Patience)
    _credentials: list[Credentials] = field(default_factory=list)

    def api(self) -> Api:
        """Return a connection; its limits are shared with all others of this account."""
        if not self._credentials:
            self._credentials.append(self._way_in())
        return Api(
            self.name,
            self.options.url,
            credentials=self._credentials[0],
            judge=judge,
            limits=self._limits,
            account=f"hubspot {self.name} {self.options.url}",
            patience=self.patience,
        )

    @property
    def _limits(self) -> dict[str, Rule]:
        # In any ten seconds there may be those of a burst, and what came in meanwhile.
        per_second = max(0.1, (self.options.requests_per_10_seconds - _BURST) / 10)
        return {"default": Rule(per_second, _BURST), SEARCH: Rule(self.options.searches_per_second)}

    def _way_in(self) -> Credentials:
        token = self.options.token
        return Bearer(token.get_secret_value()) if token else Token(self._granted)

    def _granted(self) -> str:
        """Fetch an access token for the refresh token.

        Raises:
            SourceRefusedError: the app or the consent is not known.
        """
        options = self.options
        form = {"grant_type": "refresh_token", "client_id": options.client_id}
        for name in ("client_secret", "refresh_token"):
            secret = getattr(options, name)
            form[name] = secret.get_secret_value()
        with Api(self.name, options.url, judge=_judge_grant, patience=self.patience) as api:
            return api.json("POST", "oauth/v1/token", _Granted, data=form).access_token


def judge(response: httpx.Response) -> Verdict:
    """Say what an answer of the API means."""
    if response.is_success:
        return by_status(response)
    error = _error(response)
    why = " ".join(filter(None, (str(response.status_code), error.category, error.policy_name)))
    match response.status_code:
        case HTTPStatus.TOO_MANY_REQUESTS if error.policy_name == "DAILY":
            return exhaust(
                why, "The account's requests of this day are used up; they return at midnight."
            )
        case HTTPStatus.TOO_MANY_REQUESTS:
            return retry(why, retry_after(response) or _PAUSES.get(error.policy_name))
        case HTTPStatus.UNAUTHORIZED:
            return renew(why, _RENEW_HELP)
        case HTTPStatus.FORBIDDEN:
            return refuse(why, _scope_help(error))
        case HTTPStatus.NOT_FOUND if not error.category:
            return refuse(why, "That is not how HubSpot answers: see that the option url is right.")
        case HTTPStatus.LOCKED:
            return retry(why, 2.0)
        case status if status in _HELP:
            return refuse(why, _HELP[status])
    verdict = by_status(response)
    return verdict._replace(why=why)


def _judge_grant(response: httpx.Response) -> Verdict:
    if response.status_code in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED}:
        return refuse(
            f"{response.status_code} {_error(response).category}".strip(),
            "See that client_id and client_secret are those of the app, and refresh_token is that "
            "of the account's consent to it; the consent may have been taken back.",
        )
    return by_status(response)


def _error(response: httpx.Response) -> _Error:
    try:
        return msgspec.json.decode(response.content, type=_Error)
    except msgspec.DecodeError:
        return _Error()


def _scope_help(error: _Error) -> str:
    """Name the scopes that are missing: HubSpot's own names, nothing of a record."""
    found = {
        str(scope)
        for detail in error.errors
        for name, scopes in detail.context.items()
        if "scope" in name.lower() and isinstance(scopes, list)
        for scope in scopes
    }
    missing = f": {', '.join(sorted(found))}" if found else ""
    return f"Give the app the scope that is missing{missing}. Or leave the stream out (`streams`)."
