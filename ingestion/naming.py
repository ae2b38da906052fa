"""Names of raw tables and columns: snake_case of the source's names, always valid and distinct."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST = 63
"""PostgreSQL cuts longer identifiers silently, in bytes."""

META_COLUMNS = frozenset(
    {"_source_updated_at", "_loaded_at", "_run_id", "_deleted_at", "_row_hash", "_row_copy"}
    # These are in no raw table; staging and merge add them to the columns of the source.
    | {"_arrival", "_row_id", "_quarantine_id"}
)
_NAMES_SHOWN = 30
_SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
_WORD_STARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_A_WORD = re.compile(r"[^\w]+")


def snake_case(name: str) -> str:
    """Return the identifier for a source's name: `AccountId` becomes `account_id`.

    Letters of any alphabet stay; everything else becomes an underscore. A name that PostgreSQL
    or the landing engine has taken gets an underscore at its end; one that is too long keeps its
    beginning and ends with a digest of the whole.
    """
    words = _NOT_A_WORD.sub("_", _WORD_STARTS.sub("_", name.strip())).lower()
    if not words.strip("_"):
        words = f"column_{_digest(name)}"
    elif words[0].isdigit():
        words = f"_{words}"
    if words in META_COLUMNS or words in _SYSTEM_COLUMNS:
        words = f"{words}_"
    return _fit(words, name)


def distinct(name: str, taken: set[str], original: str) -> str:
    """Return `name`, or a variant of it where another field has taken it already."""
    if name not in taken:
        return name
    suffix = f"_{_digest(original)}"
    return _cut(name, LONGEST - len(suffix)) + suffix


def names(columns: Sequence[str], of: str | None = None) -> sql.Composed:
    """Return a comma-separated list of quoted names, each `of` that relation."""
    return sql.SQL(", ").join(
        sql.Identifier(of, name) if of else sql.Identifier(name) for name in columns
    )


def key_text(key: Sequence[str], of: str | None = None) -> sql.Composed:
    """Return the key of a row as quarantine has it: one text, NULL where there is no key."""
    if not key:
        return sql.Composed([sql.SQL("null::text")])
    return sql.SQL("concat_ws('|', {})").format(names(key, of))


def some(names: Sequence[str]) -> str:
    """List names for a message, not without end."""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


def _fit(name: str, original: str) -> str:
    if len(name.encode()) <= LONGEST:
        return name
    suffix = f"_{_digest(original)}"
    return _cut(name, LONGEST - len(suffix)) + suffix


def _cut(name: str, size: int) -> str:
    return name.encode()[:size].decode(errors="ignore")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
