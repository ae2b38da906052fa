from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.names import (
    Agreement,
    PersonName,
    comparable_name,
    compare_names,
    is_slip_of,
    parse_name,
)

Written = tuple[str | None, str | None, str | None]  # full, first, last

WORDS = st.sampled_from(
    ["john", "mary", "kate", "katherine", "j", "m", "smith", "smiht", "jones", "van", "berg"]
)
NAMES = st.builds(
    PersonName,
    st.lists(WORDS, max_size=2).map(tuple),
    st.lists(WORDS, max_size=2).map(tuple),
    st.sampled_from(["", "jr", "sr"]),
).filter(lambda name: bool(name.tokens))


def key(full: str | None = None, first: str | None = None, last: str | None = None) -> str:
    name = parse_name(full, first, last)
    assert name is not None
    return name.key()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((None, "Wei", "Long"), ("Long, Wei", None, None)),
        ((None, "Wei", "Long"), (None, "Long", "Wei")),
        ((None, "Katherine", "Wright"), ("Kate Wright", None, None)),
        ((None, "William", "Myers"), (None, "W.", "Myers")),
        ((None, "Elizabeth", "Horv\u00e1th"), (None, "B.", "HORVATH")),
        ((None, "Yuki", "Perez"), ("Yuki  Prez  ", None, None)),
        ((None, "Susan", "van der Berg"), (None, "Sue", "Vanderberg")),
        ((None, "Lars", "O'Brien"), (None, "lars", "O\u2019BRIEN")),
        ((None, "Mary Ann", "Smith"), (None, "Ann", "Smith")),
        ((None, "\u041e\u043b\u044c\u0433\u0430", "Cruz"), (None, "Olga", "Cruz")),
        (("Dr. Nora Patel", None, None), (None, "Nora", "Patel")),
    ],
)
def test_spellings_of_one_name_agree(one: Written, other: Written) -> None:
    assert compare_names(key(*one), key(*other)) is Agreement.AGREES


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("John Smith", None, None), ("Mary Smith", None, None)),
        (("John Smith", None, None), ("Nora Patel", None, None)),
        ((None, "J.", "Smith"), (None, "Mary", "Smith")),
        ((None, "John", "Smith Jr."), (None, "John", "Smith Sr")),
        ((None, "John", "Smith Jr."), (None, "Mary", "Smith")),
    ],
)
def test_two_people_of_one_household_contradict_each_other(one: Written, other: Written) -> None:
    assert compare_names(key(*one), key(*other)) is Agreement.CONTRADICTS


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((None, "Jane", "Smith"), (None, "Jane", "Jones")),  # may have married
        ((None, "Daniel", "Smith"), (None, "Daniela", "Smith")),  # a slip, or brother and sister
        ((None, None, "Smith"), (None, "John", "Smith")),
        ((None, None, "Smith"), (None, None, "Smith")),
        ((None, "John", "Smith"), (None, "John", "Smith Jr.")),
        ((None, "J.", "Smiht"), (None, "John", "Smith")),
    ],
)
def test_what_may_be_one_person_or_two_is_unclear(one: Written, other: Written) -> None:
    assert compare_names(key(*one), key(*other)) is Agreement.UNCLEAR


@pytest.mark.parametrize("written", ["aam", "dadam", "adma", "adem", "ada"])
def test_one_slip_of_the_pen_in_a_given_name_does_not_contradict(written: str) -> None:
    assert is_slip_of("adam", written)
    assert compare_names(key("Adam Lee"), key(f"{written} Lee")) is Agreement.UNCLEAR


@pytest.mark.parametrize("written", ["ad", "a", "mada", "eve", "adamson"])
def test_more_than_a_slip_is_another_word(written: str) -> None:
    assert not is_slip_of("adam", written)


@given(NAMES, NAMES)
def test_comparing_names_is_symmetric(one: PersonName, other: PersonName) -> None:
    assert compare_names(one.key(), other.key()) is compare_names(other.key(), one.key())


@given(NAMES)
def test_a_name_never_contradicts_itself_and_comes_back_from_its_key(name: PersonName) -> None:
    assert PersonName.from_key(name.key()) == name
    assert compare_names(name.key(), name.key()) is not Agreement.CONTRADICTS


@pytest.mark.parametrize(
    "written",
    [
        (None, None, None),
        ("", " ", "-"),
        ("n/a", None, None),
        ("Unknown", None, None),
        (None, "Test", "Test"),
        (None, None, "[not provided]"),
        ("Accounts Payable", None, None),
    ],
)
def test_a_name_of_nobody_is_no_name(written: Written) -> None:
    assert parse_name(*written) is None


def test_a_short_form_of_one_name_is_spelt_out_for_exact_comparison() -> None:
    assert comparable_name(key("Bob Lee")) == comparable_name(key("Lee, Robert"))
    assert comparable_name(key("Pat Lee")) != comparable_name(key("Patrick Lee"))
    assert comparable_name(key("P. Lee")) is None
    assert comparable_name(key("Lee")) is None
