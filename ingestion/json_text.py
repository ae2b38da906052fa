"""JSON text that PostgreSQL is sure to take: `jsonb` refuses some that is valid JSON."""

from __future__ import annotations

import json
import re

import msgspec

NUMBER = r"^[+-]?([0-9]{1,1000}(\.[0-9]{0,1000})?|\.[0-9]{1,1000})([eE][+-]?[0-9]{1,3})?$"
"""Numbers in the range of `numeric`, by far; no infinity and no NaN."""

_ESCAPED_TROUBLE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


class Misfit(Exception):  # noqa: N818  # it is caught and turned into a finding
    """A value does not fit its column."""


def json_text(text: str) -> str:
    """Return the text when `jsonb` takes it: no NUL, no lone surrogate, no 1e999999.

    Raises:
        Misfit, ValueError, RecursionError: it does not.
    """
    if _ESCAPED_TROUBLE.search(text):
        # Decoding pairs the surrogates up; what is left alone, or NUL, cannot be stored.
        decoded = json.dumps(json.loads(text, parse_float=_number), ensure_ascii=False)
        if "\\u0000" in decoded.replace("\\\\", ""):
            raise Misfit
        decoded.encode()
    else:
        _decoder.decode(text)
    return text


def _number(text: str) -> str:
    if not re.match(NUMBER, text):
        raise Misfit
    return text


_decoder = msgspec.json.Decoder(float_hook=_number)
