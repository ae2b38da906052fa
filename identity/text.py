"""Text made comparable: no accents, no case, one alphabet."""

from __future__ import annotations

import re
import unicodedata

from anyascii import anyascii

_APOSTROPHES = re.compile(r"['`\u2018\u2019\u02bc\u00b4]")
_WORDS = re.compile(r"[a-z0-9]+")


def fold(text: str) -> str:
    """Return the text as words of ASCII letters and digits, lower case, one space between.

    Composed and decomposed accents, full-width forms, other alphabets' letters and apostrophes
    come out the same: `Ö'BRIEN` and `o'Brien` both give `obrien`. Folding twice changes nothing.
    """
    if not text.isascii():
        text = anyascii(unicodedata.normalize("NFKC", text))
    return " ".join(_WORDS.findall(_APOSTROPHES.sub("", text).lower()))
