"""What reaching for files elsewhere may raise, turned into errors of ours.

The messages of the libraries are not repeated: they quote URLs, headers and keys.
"""

from __future__ import annotations

import errno
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)

from crmhouse.errors import (
    ConfigurationError,
    CrmhouseError,
    SourceRefusedError,
    SourceUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_FAULTS = (OSError, ValueError, TypeError, aiohttp.ClientError, BotoCoreError, ClientError)
_NOT_ACCEPTED = (ParamValidationError, ProfileNotFound, aiohttp.InvalidURL, ValueError, TypeError)
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError)
_NETWORK = (aiohttp.ClientError, BotoCoreError, TimeoutError, ConnectionError)
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}

_TRY_LATER = {408, 425, 429}
_NOT_FOUND = {404, 410}
_FORBIDDEN = {401, 403, 407}
_SERVERS_FAULT = 500

_CREDENTIALS = (
    "See that the credentials (AWS_ACCESS_KEY_ID and its like, or the option storage) are right "
    "and may list and read there"
)


@contextmanager
def errors_of_ours(what: str) -> Iterator[None]:
    """Turn what the block raises into errors of ours.

    Args:
        what: the URL that is reached for; it holds no secret.

    Raises:
        SourceRefusedError: it is not there, or not for us.
        SourceUnavailableError: the network or the server failed; it may work later.
        ConfigurationError: the option storage is not as the file system wants it.
    """
    try:
        yield
    except _FAULTS as error:
        raise _of_ours(error, what) from None


def _of_ours(error: BaseException, what: str) -> CrmhouseError:
    chain = list(_chain(error))
    status, code = _status(chain)
    kind = type(chain[-1]).__name__
    if status is not None:
        return _of_status(status, code, what)
    if _has(chain, *_NO_CREDENTIALS):
        return SourceRefusedError(f"{what}: there are no credentials. {_CREDENTIALS}.")
    if _has(chain, *_NOT_ACCEPTED):
        return ConfigurationError(
            f"{what}: the options path and storage are not accepted as they are ({kind}). See what "
            "options the file system of fsspec has for this protocol."
        )
    if _has(chain, *_NETWORK):
        return SourceUnavailableError(
            f"{what}: the server cannot be reached or broke off ({kind}). Nothing of the file was "
            "landed: sync again. Where it never works, look at the URL and the network."
        )
    if _has(chain, FileNotFoundError):
        return _of_status(404, "", what)
    if _has(chain, PermissionError):
        return _of_status(403, "", what)
    if getattr(error, "errno", None) in _NO_ROOM:
        return SourceUnavailableError(
            f"{what}: there is no room for a copy in {tempfile.gettempdir()}. Make room there, or "
            "set TMPDIR to another folder, then sync again."
        )
    return SourceUnavailableError(f"{what}: reading failed ({kind}). Sync again.")


def _of_status(status: int, code: str, what: str) -> CrmhouseError:
    answer = f"answer {status}{f' {code}' if code and not code.isdigit() else ''}"
    if status in _TRY_LATER or status >= _SERVERS_FAULT:
        return SourceUnavailableError(
            f"{what}: the server is in trouble or asks for a break ({answer}). Nothing of the file "
            "was landed: sync again later."
        )
    if code == "NoSuchBucket":
        return SourceRefusedError(f"{what}: there is no such bucket. Set the option path to one.")
    if status in _NOT_FOUND:
        return SourceRefusedError(
            f"{what} is not there ({answer}). See that the options path and glob name what exists."
        )
    if status in _FORBIDDEN:
        return SourceRefusedError(f"{what}: access is refused ({answer}). {_CREDENTIALS}.")
    return SourceRefusedError(
        f"{what}: the server refused the request ({answer}). See that path and storage (such as "
        "endpoint_url, or the region in client_kwargs) are those of this bucket or server."
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Go from an error to what it comes from; fsspec hides that behind another one."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _has(chain: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(error, kinds) for error in chain)


def _status(chain: list[BaseException]) -> tuple[int | None, str]:
    for error in chain:
        if isinstance(error, aiohttp.ClientResponseError):
            return error.status, ""
        if isinstance(error, ClientError):
            answer = error.response.get("ResponseMetadata", {})
            code = str(error.response.get("Error", {}).get("Code", ""))
            return int(answer.get("HTTPStatusCode", 400)), code
    return None, ""
