"""The errors of the API, in its words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from simulators.stripe.resources import Resource

_ACCOUNT = "acct_1SimulatorOfStripe"
_SHOWN = 4


class StripeError(Exception):
    """Ends a request.

    Attributes:
        status: of the answer.
        body: what stands below `error`.
        headers: beside the usual ones.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}
        self.body = {"message": message, "type": kind}
        if code:
            self.body["code"] = code
            self.body["doc_url"] = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
        if param:
            self.body["param"] = param

    def answer(self) -> JSONResponse:
        """Return it as an answer."""
        return JSONResponse({"error": self.body}, self.status, self.headers)


def masked(key: str) -> str:
    """Return a key as messages show it."""
    start = "_".join(key.split("_")[:2])
    hidden = max(0, len(key) - len(start) - 1 - _SHOWN)
    return f"{start}_{'*' * hidden}{key[-_SHOWN:]}"


def no_key() -> StripeError:
    """No key was sent."""
    return StripeError(
        401,
        "You did not provide an API key. You need to provide your API key in the Authorization "
        "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
    )


def wrong_key(key: str) -> StripeError:
    """The key is of no account."""
    return StripeError(401, f"Invalid API Key provided: {masked(key)}")


def expired_key(key: str) -> StripeError:
    """The key was rolled or revoked."""
    return StripeError(401, f"Expired API Key provided: {masked(key)}", code="api_key_expired")


def no_permission(key: str, permission: str) -> StripeError:
    """A restricted key lacks a permission."""
    return StripeError(
        403,
        f"The provided key '{masked(key)}' does not have the required permissions for this "
        f"endpoint on account '{_ACCOUNT}'. Having the '{permission}' permission would allow this "
        "request to continue.",
    )


def missing(resource: Resource, id_: str, param: str = "id") -> StripeError:
    """There is no such object: 404 in the path, 400 in a parameter."""
    return StripeError(
        404 if param == "id" else 400,
        f"No such {resource.object}: '{id_}'",
        code="resource_missing",
        param=param,
    )


def invalid(param: str, message: str, code: str | None = None) -> StripeError:
    """A parameter is not what it should be."""
    return StripeError(400, message, code=code, param=param)


def unknown_url(method: str, path: str) -> StripeError:
    """There is nothing at the path."""
    return StripeError(
        404,
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we "
        "can help at https://support.stripe.com/.",
    )


def too_fast() -> StripeError:
    """The rate limit is reached."""
    return StripeError(
        429,
        "Request rate limit exceeded. Learn more about rate limits here "
        "https://stripe.com/docs/rate-limits.",
        code="rate_limit",
        headers={"Stripe-Should-Retry": "true", "Stripe-Rate-Limited-Reason": "global-rate"},
    )


def failing(status: int, code: str | None, retry_after: float | None) -> StripeError:
    """Fail with a status as the service does."""
    if status == 429:  # noqa: PLR2004  # Too Many Requests
        error = too_fast()
    else:
        kind = "api_error" if status >= 500 else "invalid_request_error"  # noqa: PLR2004
        error = StripeError(status, "An unknown error occurred", code=code, kind=kind)
    if retry_after is not None:
        error.headers["Retry-After"] = f"{retry_after:g}"
    return error
