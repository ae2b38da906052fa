"""How a person or an organisation is written down: with nicknames, slips, gaps and other formats.

Every departure from the clean form that touches a person leaves a tag, which ends in the truth.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.demo_data.chance import happens, weighted
from simulators.demo_data.words import COUNTRY_SPELLINGS, LEGAL_FORMS, NICKNAMES

if TYPE_CHECKING:
    from random import Random

    from simulators.demo_data.people import Organisation, Person

PLACEHOLDER_PHONE = "000-000-0000"
_PLACEHOLDER_LOCALS = ("noemail@unknown.example", "test@test.example")
_PLUS_TAGS = ("orders", "work", "invoices")
# The seven ways of writing 212 555 0113.
_PHONE_FORMATS = (
    "{area}-555-{line}",
    "{area}555{line}",
    "+1{area}555{line}",
    "1 {area} 555 {line}",
    "{area}.555.{line}",
    "({area}) 555-{line}",
    "+1-{area}-555-{line} ext. {extension}",
)
_EMAIL_FAULTS = {
    "no_email": 0.115,
    "placeholder_email": 0.013,
    "bad_email": 0.017,
    "email_plus": 0.045,
    "email_case": 0.08,
    "": 0.73,
}


@dataclass(frozen=True, slots=True)
class Written:
    """A person as one record has it; `tags` name what differs from the truth."""

    first: str
    last: str
    email: str | None
    phone: str | None
    tags: tuple[str, ...]


def write_person(rng: Random, person: Person) -> Written:
    """One writing of the person; another call gives another one."""
    first, last, name_tags = _write_name(rng, person)
    email, email_tags = write_email(rng, person)
    phone, phone_tags = _write_phone(rng, person)
    return Written(first, last, email, phone, (*name_tags, *email_tags, *phone_tags))


def _write_name(rng: Random, person: Person) -> tuple[str, str, list[str]]:
    if person.native and happens(rng, 0.25):
        return *person.native, ["native_script"]
    first, last, tags = person.first, person.last, []
    if first in NICKNAMES and happens(rng, 0.25):
        first = rng.choice(NICKNAMES[first])
        tags.append("nickname")
    if happens(rng, 0.05):
        first = f"{first[0]}."
        tags.append("initial")
    if happens(rng, 0.058):
        last = slip(rng, last)
        tags.append("typo_last")
    if happens(rng, 0.048):
        first, last = last, first
        tags.append("swapped")
    letter_case = weighted(rng, {"upper": 0.085, "lower": 0.058, "": 0.857})
    if letter_case:
        first, last = (getattr(name, letter_case)() for name in (first, last))
        tags.append(letter_case)
    decomposed = [unicodedata.normalize("NFD", name) for name in (first, last)]
    if decomposed != [first, last] and happens(rng, 0.3):
        first, last = decomposed
        tags.append("nfd")
    if happens(rng, 0.06):
        last = f" {last}  "
        tags.append("spaces")
    return first, last, tags


def slip(rng: Random, text: str) -> str:
    """One letter doubled, dropped or swapped with the next; always differs from the text."""
    places = [i for i in range(1, len(text) - 1) if text[i] != text[i + 1]]
    place = rng.choice(places)
    here, following = text[place], text[place + 1]
    middle = rng.choice((here + here + following, following, following + here))
    return text[:place] + middle + text[place + 2 :]


def write_email(rng: Random, person: Person) -> tuple[str | None, list[str]]:
    """An address of the person, or none, or one that is of no use; and the tags for it."""
    fault = weighted(rng, _EMAIL_FAULTS)
    if fault == "no_email":
        return None, [fault]
    if fault == "placeholder_email":
        return _placeholder_email(rng, person), [fault]
    email, tags = person.email, []
    if person.second_email and happens(rng, 0.12):
        email = person.second_email
        tags.append("second_email")
    elif email.endswith("@gmail.com") and happens(rng, 0.09):
        email = _same_gmail_box(rng, email)
        tags.append("gmail_dots")
    local, domain = email.split("@")
    if fault == "bad_email":
        email = rng.choice((f"{local}@@{domain}", f"{local}.{domain}", f"{email[:-1]}n"))
    elif fault == "email_plus":
        email = f"{local}+{rng.choice(_PLUS_TAGS)}@{domain}"
    elif fault == "email_case":
        email = rng.choice((email.upper(), f"{local.title()}@{domain.title()}"))
    return email, [*tags, fault] if fault else tags


def _placeholder_email(rng: Random, person: Person) -> str:
    if person.organisation and happens(rng, 0.5):
        return f"info@{person.organisation.domain}"
    return rng.choice(_PLACEHOLDER_LOCALS)


def _same_gmail_box(rng: Random, email: str) -> str:
    letters = email.split("@", maxsplit=1)[0].replace(".", "")
    dot = rng.randrange(len("fake"), len(letters))
    local = rng.choice((letters, f"{letters[:dot]}.{letters[dot:]}"))
    return f"{local}@{rng.choice(('gmail.com', 'googlemail.com'))}"


def _write_phone(rng: Random, person: Person) -> tuple[str | None, list[str]]:
    fault = weighted(rng, {"no_phone": 0.12, "placeholder_phone": 0.022, "": 0.858})
    if fault == "placeholder_phone":
        return PLACEHOLDER_PHONE, [fault]
    if person.phone is None:
        return None, []
    if fault:
        return None, [fault]
    return format_phone(rng, person.phone), []


def format_phone(rng: Random, digits: str) -> str:
    """Ten digits in one of the seven formats."""
    return rng.choice(_PHONE_FORMATS).format(
        area=digits[:3], line=digits[6:], extension=rng.randrange(2, 10)
    )


def write_company(rng: Random, organisation: Organisation) -> str:
    """The organisation's name with or without a legal form, sometimes shouted or misspelt."""
    name = organisation.name
    if happens(rng, 0.03):
        name = slip(rng, name)
    if happens(rng, 0.09):
        name = name.upper()
    if happens(rng, 0.55):
        form = rng.choice(LEGAL_FORMS[organisation.country])
        name = f"{name}{rng.choice((' ', ', '))}{form}"
    return name


def write_website(rng: Random, organisation: Organisation) -> str:
    """The organisation's address on the web in one of four forms, or nothing."""
    if happens(rng, 0.2):
        return ""
    prefix = rng.choice(("", "www.", "http://", "https://www."))
    return f"{prefix}{organisation.domain}"


def write_country(rng: Random, country: str) -> str:
    """A two-letter code or one of the names in use."""
    return rng.choice(COUNTRY_SPELLINGS[country])
