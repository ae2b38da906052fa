"""Refuses a configuration file that holds a secret: secrets come from the environment only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from crmhouse.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

_NAME = (
    r"password|passwd|passphrase|secret|token|credential|authorization|cookie"
    r"|(?:api|private|access|account)_?key|connection_?string"
)
_SECRET_NAME = re.compile(rf"{_NAME}|^webhook$", re.IGNORECASE)  # who knows a webhook, may call it
# What is only to be shown is hidden a little too often rather than once too little.
_MAYBE_SECRET_NAME = re.compile(rf"{_NAME}|^webhook$|auth_?string|pwd|(?:^|_)key$", re.IGNORECASE)
_URL_WITH_USER = re.compile(r"://[^/\s]*@")
# A reference to a variable is no secret: ${NAME}.
_VARIABLE = r"\$\{[A-Z][A-Z0-9_]*\}"
_ONLY_A_VARIABLE = re.compile(rf"(?:(?:Basic|Bearer|Token)\s+)?{_VARIABLE}")
_URL_WITH_PASSWORD = re.compile(rf"://[^/@\s:]*:(?!{_VARIABLE}@)[^/@\s]+@")
_SECRET_IN_TEXT = re.compile(
    rf"(?:{_NAME}|pwd)\s*=\s*(?!{_VARIABLE})[^\s&;]|\bbearer\s+(?!{_VARIABLE})\S", re.IGNORECASE
)
# Here the keys are names that the user gives to tables and columns, and say nothing of the values.
_NAMES_OF_THE_USER = re.compile(r"options\.streams(?:\.[^.]+\.columns)?$")
# What fsspec calls the two halves of credentials for S3 are `key` and `secret`.
_STORAGE, _KEY_OF_STORAGE = re.compile(r"(?:^|\.)options\.storage$"), "key"


def refuse_literal_secrets(
    value: object, file: Path, *, at: str = "", is_secret: bool = False
) -> None:
    """Refuse a file that holds a secret, without repeating its value.

    Args:
        value: the content of the file, or a part of it.
        file: the file, for the message.
        at: the place of the part; empty for the whole.
        is_secret: whether a name above says that everything below is secret.

    Raises:
        ConfigurationError: says where the secret stands.
    """
    if isinstance(value, dict):
        given, storage = _NAMES_OF_THE_USER.search(at), _STORAGE.search(at)
        for key, item in value.items():
            named = _SECRET_NAME.search(str(key)) or (key == _KEY_OF_STORAGE and storage)
            secret = is_secret or (not given and bool(named))
            refuse_literal_secrets(item, file, at=f"{at}.{key}".lstrip("."), is_secret=secret)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            refuse_literal_secrets(item, file, at=f"{at}[{number}]", is_secret=is_secret)
    elif isinstance(value, str) and _URL_WITH_PASSWORD.search(value):
        raise ConfigurationError(
            f"{file}: {at} holds a URL with a password. Put the URL into an environment variable; "
            "for the warehouse that is CRMHOUSE_WAREHOUSE_URL."
        )
    elif _is_literal(value, is_secret=is_secret):
        raise ConfigurationError(
            f"{file}: {at} holds a literal secret. Put it into an environment variable "
            f"and write ${{NAME_OF_THE_VARIABLE}} in its place."
        )


def _is_literal(value: object, *, is_secret: bool) -> bool:
    if value is None or value == "" or isinstance(value, bool):
        return False
    if is_secret:
        return not _ONLY_A_VARIABLE.fullmatch(str(value))
    return isinstance(value, str) and bool(_SECRET_IN_TEXT.search(value))


def looks_secret(place: str, value: object) -> bool:
    """Say whether a value must not be shown: by the name of its place, or by its form."""
    if _MAYBE_SECRET_NAME.search(place.rpartition(".")[2]):
        return True
    text = str(value)
    return bool(_URL_WITH_USER.search(text) or _SECRET_IN_TEXT.search(text))
