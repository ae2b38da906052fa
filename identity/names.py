"""Names of persons: taken apart once, then compared with three answers, not two."""

from __future__ import annotations

from difflib import SequenceMatcher
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from identity.text import fold
from identity.values import VALUES

_FULL_NAME = 2  # tokens: a given name and a family name
_SLIP_LENGTH = 3
_TYPO_LENGTH = 4
_SWAPPED = 2
_TYPO_SIMILARITY = 0.8
_NO_NAMES: frozenset[str] = frozenset()


class Agreement(IntEnum):
    """What two names say about two records being one person."""

    CONTRADICTS = 0
    UNCLEAR = 1
    AGREES = 2


class PersonName(NamedTuple):
    """A name in parts, each folded: tokens of given and family name, and a generation."""

    given: tuple[str, ...]
    family: tuple[str, ...]
    generation: str

    @property
    def tokens(self) -> tuple[str, ...]:
        """Return given and family names together."""
        return self.given + self.family

    @property
    def is_full(self) -> bool:
        """Return whether two tokens at least are more than initials."""
        return sum(len(token) > 1 for token in self.tokens) >= _FULL_NAME

    def key(self) -> str:
        """Return the name as one string, the inverse of `from_key`."""
        return f"{' '.join(self.given)}|{' '.join(self.family)}|{self.generation}"

    @classmethod
    def from_key(cls, key: str) -> PersonName:
        """Rebuild a name from its key."""
        given, family, generation = key.split("|")
        return cls(tuple(given.split()), tuple(family.split()), generation)


def parse_name(full: str | None, first: str | None, last: str | None) -> PersonName | None:
    """Take a name apart; None when there is none, or one that names nobody.

    First and last name win over the full name. A full name is read as "Family, Given" where it
    has a comma, else its first word is the given name.
    """
    given, family = fold(first or ""), fold(last or "")
    if not given and not family:
        before, comma, after = (full or "").partition(",")
        if comma:
            given, family = fold(after), fold(before)
        else:
            given, _, family = fold(before).partition(" ")
    given = "" if given in VALUES.names else given
    family = "" if family in VALUES.names else family
    if f"{given} {family}".strip() in VALUES.names | {""}:
        return None
    given_tokens = [token for token in given.split() if token not in VALUES.titles]
    family_tokens = family.split()
    generation = ""
    for tokens in (family_tokens, given_tokens):
        if len(tokens) > 1 and tokens[-1] in VALUES.generations:
            generation = tokens.pop()
    if not given_tokens and not family_tokens:
        return None
    return PersonName(tuple(given_tokens), tuple(family_tokens), generation)


@lru_cache(maxsize=1 << 18)
def compare_names(left_key: str, right_key: str) -> Agreement:
    """Compare two names by key; symmetric.

    AGREES: every word of the shorter name is found in the other, whatever the order, at least one
    of them as the same word or a short form, at most one as an initial or a slip of the pen in the
    family name. CONTRADICTS: both are full and share no word, or their given names differ (two
    people of one household). UNCLEAR: all else, a change of family name among it.
    """
    if left_key == right_key:
        name = PersonName.from_key(left_key)
        return Agreement.AGREES if len(name.tokens) >= _FULL_NAME else Agreement.UNCLEAR
    left, right = PersonName.from_key(left_key), PersonName.from_key(right_key)
    agreement = _compare(left, right)
    if len(left.family) > 1 or len(right.family) > 1:
        agreement = max(agreement, _compare(_joined(left), _joined(right)))
    if left.generation == right.generation:
        return agreement
    if left.generation and right.generation:
        return Agreement.CONTRADICTS
    return min(agreement, Agreement.UNCLEAR)


def variants(token: str) -> frozenset[str]:
    """Return the full given names that a word may stand for, itself among them."""
    return VALUES.nicknames.get(token, _NO_NAMES) | {token}


def comparable_name(key: str) -> str | None:
    """Return a full name with short forms spelt out and words sorted; None when it has initials.

    Only the short forms of a single name are spelt out: `Pat` stays what it is.
    """
    name = PersonName.from_key(key)
    if not name.is_full or any(len(token) == 1 for token in name.tokens):
        return None
    words = sorted(_spelt_out(token) for token in name.tokens)
    return " ".join([*words, name.generation]).strip()


def _spelt_out(token: str) -> str:
    meanings = VALUES.nicknames.get(token, _NO_NAMES)
    return next(iter(meanings)) if len(meanings) == 1 else token


def _joined(name: PersonName) -> PersonName:
    """Return the name with its family name as one word: `van der Berg` is also `Vanderberg`."""
    return name._replace(family=("".join(name.family),) if name.family else ())


def _compare(left: PersonName, right: PersonName) -> Agreement:
    shorter, longer = sorted((left, right), key=lambda name: len(name.tokens))
    pairs = _match(shorter, longer)
    sure = sum(kind == _SAME for _, _, kind in pairs)
    weak = len(pairs) - sure
    if len(pairs) == len(shorter.tokens) >= _FULL_NAME and sure and weak <= 1:
        typo_in_given = any(
            kind == _TYPO and (i < len(shorter.given) or j < len(longer.given))
            for i, j, kind in pairs
        )
        return Agreement.UNCLEAR if typo_in_given else Agreement.AGREES
    both_full = min(len(shorter.tokens), len(longer.tokens)) >= _FULL_NAME
    if not both_full:
        return Agreement.UNCLEAR
    if not pairs or _given_names_differ(shorter, longer, pairs):
        return Agreement.CONTRADICTS
    return Agreement.UNCLEAR


_SAME, _INITIAL, _TYPO = 3, 2, 1


def _match(left: PersonName, right: PersonName) -> list[tuple[int, int, int]]:
    """Pair the words of two names, best pairs first: (index left, index right, kind)."""
    candidates = sorted(
        (-kind, i, j)
        for i, a in enumerate(left.tokens)
        for j, b in enumerate(right.tokens)
        if (kind := _same_word(a, b))
    )
    pairs: list[tuple[int, int, int]] = []
    used_left: set[int] = set()
    used_right: set[int] = set()
    for negative, i, j in candidates:
        if i not in used_left and j not in used_right:
            used_left.add(i)
            used_right.add(j)
            pairs.append((i, j, -negative))
    return pairs


def _given_names_differ(
    left: PersonName, right: PersonName, pairs: list[tuple[int, int, int]]
) -> bool:
    """Return whether no given name of either side found a partner."""
    left_found = any(i < len(left.given) for i, _, _ in pairs)
    right_found = any(j < len(right.given) for _, j, _ in pairs)
    return bool(left.given and right.given) and not left_found and not right_found


def is_slip_of(left: str, right: str) -> bool:
    """Return whether two words are equal but for a slip of the pen.

    One letter too many, missing, wrong or in its neighbour's place from three letters on; from
    four letters on also more, while four fifths of the letters stand in the same order.
    """
    shorter = min(len(left), len(right))
    if left == right or shorter < _SLIP_LENGTH:
        return left == right
    if _one_slip_apart(left, right):
        return True
    if shorter < _TYPO_LENGTH:
        return False
    # SequenceMatcher depends on the order of its arguments; sorting makes this symmetric.
    first, second = sorted((left, right))
    matcher = SequenceMatcher(None, first, second, autojunk=False)
    # Upper bounds first: they settle nearly every pair at a fraction of the cost.
    bounds = (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)
    return all(bound() >= _TYPO_SIMILARITY for bound in bounds)


def _equal_letters(left: str, right: str) -> int:
    pairs = enumerate(zip(left, right, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(left), len(right)))


def _one_slip_apart(left: str, right: str) -> bool:
    start = _equal_letters(left, right)
    left, right = left[start:], right[start:]
    end = _equal_letters(left[::-1], right[::-1])
    left, right = left[: len(left) - end], right[: len(right) - end]
    return max(len(left), len(right)) <= 1 or (len(left) == _SWAPPED and left == right[::-1])


@lru_cache(maxsize=1 << 18)
def _same_word(left: str, right: str) -> int:
    if left == right or variants(left) & variants(right):
        return _SAME if len(left) > 1 else _INITIAL
    if len(left) == 1 or len(right) == 1:
        initial, word = sorted((left, right), key=len)
        return _INITIAL if initial in _initials(word) else 0
    return _TYPO if is_slip_of(left, right) else 0


@lru_cache(maxsize=1 << 18)
def _initials(word: str) -> frozenset[str]:
    """Return the first letters of the forms that a name is known by: B for Elizabeth (Beth)."""
    forms = {form for full in variants(word) for form in VALUES.short_forms.get(full, (full,))}
    return frozenset(form[0] for form in (*forms, word))
