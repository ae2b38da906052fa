"""The lists that evidence is judged by, read once from `identity/data`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any

_FOLDER = resources.files("identity") / "data"


@dataclass(frozen=True)
class Values:
    """What is no evidence, and what is the same thing under another name.

    Attributes:
        mailbox_names: local parts of e-mail addresses that belong to a function or to nobody.
        mailbox_domains: domains on which no person has a mailbox.
        top_level_domains: last labels of domains that do not exist.
        same_mailbox: domain -> the domain its addresses are counted under.
        dots_ignored: domains (after `same_mailbox`) whose mailboxes ignore dots.
        free_domains: providers of private mail.
        phones: digits of placeholder phone numbers.
        fallback_regions: regions to try for a number that makes no sense in its own country.
        names: folded full names that name nobody.
        titles: tokens in front of a name.
        generations: tokens behind a name that tell a parent from a child.
        websites: hosts on which anybody may have a page.
        legal_forms: legal forms of organisations, folded.
        same_legal_form: spelling of a legal form -> the form.
        employees_with_namesakes: from this size on an organisation is expected to employ people
            of the same name.
        country_aliases: folded name -> ISO code, for what the country tables do not know.
        nicknames: short form -> the full names it may stand for; a full name stands for itself.
        short_forms: full name -> its short forms and itself.
    """

    mailbox_names: frozenset[str]
    mailbox_domains: frozenset[str]
    top_level_domains: frozenset[str]
    same_mailbox: dict[str, str]
    dots_ignored: frozenset[str]
    free_domains: frozenset[str]
    phones: frozenset[str]
    fallback_regions: tuple[str, ...]
    names: frozenset[str]
    titles: frozenset[str]
    generations: frozenset[str]
    websites: frozenset[str]
    legal_forms: frozenset[str]
    same_legal_form: dict[str, str]
    employees_with_namesakes: int
    country_aliases: dict[str, str]
    nicknames: dict[str, frozenset[str]]
    short_forms: dict[str, frozenset[str]]


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / name).read_text(encoding="utf-8"))


def _meanings(short_forms: dict[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    meanings: dict[str, set[str]] = {}
    for full, forms in short_forms.items():
        for form in forms:
            meanings.setdefault(form, set()).add(full)
    return {form: frozenset(full) for form, full in meanings.items()}


def _load() -> Values:
    table = _table("values.toml")
    email, phone, name = table["email"], table["phone"], table["name"]
    organisation = table["organisation"]
    short_forms = {
        full: frozenset({full, *forms}) for full, forms in _table("nicknames.toml").items()
    }
    return Values(
        mailbox_names=frozenset(email["not_a_person"]),
        mailbox_domains=frozenset(email["not_a_domain"]),
        top_level_domains=frozenset(email["not_a_top_level_domain"]),
        same_mailbox={
            domain: main for main, domains in email["same_mailbox"].items() for domain in domains
        },
        dots_ignored=frozenset(email["dots_ignored"]),
        free_domains=frozenset(email["free_domains"]),
        phones=frozenset(phone["placeholders"]),
        fallback_regions=tuple(phone["fallback_regions"]),
        names=frozenset(name["not_a_name"]),
        titles=frozenset(name["titles"]),
        generations=frozenset(name["generations"]),
        websites=frozenset(organisation["not_its_own_website"]),
        legal_forms=frozenset(organisation["legal_forms"]),
        same_legal_form=organisation["same_legal_form"],
        employees_with_namesakes=organisation["employees_with_namesakes"],
        country_aliases=table["country"]["aliases"],
        nicknames=_meanings(short_forms),
        short_forms=short_forms,
    )


VALUES = _load()
