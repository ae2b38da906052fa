"""Names of organisations, and telling them from names of persons."""

from __future__ import annotations

from identity.text import fold
from identity.values import VALUES

_LONGEST_FORM = max(len(form.split()) for form in VALUES.legal_forms)


def organisation_key(raw: str) -> str | None:
    """Return the name without legal form, spaces, accents and case, or None.

    `Zephyr Marine GmbH & Co. KG` and `ZEPHYRMARINE, Inc.` both give `zephyrmarine`.
    """
    tokens, _ = _split(raw)
    return "".join(tokens) or None


def legal_form(raw: str) -> str | None:
    """Return the legal form at the end of a name, whatever its spelling, or None."""
    _, form = _split(raw)
    text = " ".join(form)
    return VALUES.same_legal_form.get(text, text) or None


def formal_organisation_key(raw: str) -> str | None:
    """Return the key of a name that ends in a legal form, so that it cannot be a person's."""
    tokens, form = _split(raw)
    return "".join(tokens) if form else None


def _split(raw: str) -> tuple[list[str], list[str]]:
    """Split a name into its own words and the words of its legal form."""
    tokens = fold(raw.replace(".", "").replace("&", " ")).split()
    if len(tokens) > 1 and tokens[0] == "the":
        tokens = tokens[1:]
    end = len(tokens)
    while length := _form_length(tokens[:end]):
        end -= length
    return tokens[:end], tokens[end:]


def _form_length(tokens: list[str]) -> int:
    """Return the number of words of the legal form at the end; a name is never only a form."""
    longest = min(_LONGEST_FORM, len(tokens) - 1)
    lengths = range(longest, 0, -1)
    return next((n for n in lengths if " ".join(tokens[-n:]) in VALUES.legal_forms), 0)
