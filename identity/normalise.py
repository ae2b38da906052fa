"""Keys under which two spellings of the same e-mail, phone, country or website are equal.

Every function returns None for a value that is no evidence: missing, broken, or one that is known
to belong to nobody in particular (`identity/data/values.toml`).
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import phonenumbers
from phonenumbers.geodata.locale import LOCALE_DATA

from identity.text import fold
from identity.values import VALUES

_MAILBOX = re.compile(r"[^\s@\"(),:;<>\[\\\]]+")
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")
_URL = re.compile(r"^(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)

_SHORTEST_PHONE, _LONGEST_PHONE = 7, 15
_COMPARED_DIGITS = 10
_CODE_LENGTH = 2
_DISTINCT_DIGITS = 3


def email_key(raw: str) -> str | None:
    """Return the mailbox that an address is delivered to, or None.

    Case, spaces around, width and composition of characters, "+tags", and the dots and second
    domain of Gmail do not count.
    """
    text = unicodedata.normalize("NFKC", raw).strip().casefold().removeprefix("mailto:")
    mailbox, at, domain = text.rpartition("@")
    mailbox = mailbox.split("+", 1)[0]
    host = _ascii_domain(domain)
    if not at or host is None or not _MAILBOX.fullmatch(mailbox):
        return None
    domain = VALUES.same_mailbox.get(host, host)
    if mailbox in VALUES.mailbox_names or domain in VALUES.mailbox_domains:
        return None
    if domain in VALUES.dots_ignored:
        mailbox = mailbox.replace(".", "")
    if mailbox.strip(".") != mailbox or not mailbox or ".." in mailbox:
        return None
    return f"{mailbox}@{domain}"


def email_domain(key: str) -> str | None:
    """Return the domain of an e-mail key when it may be an employer's, else None."""
    domain = key.rpartition("@")[2]
    return None if domain in VALUES.free_domains else domain


def phone_key(raw: str, country: str | None) -> str | None:
    """Return the last ten digits of the national number, or None.

    A number without a country code is read in the country of its record (ISO code), and where it
    is impossible there, in the fallback regions. Ten digits keep numbers of one country apart and
    find the same number whether its country code was written or not. Extensions do not count.
    """
    text = unicodedata.normalize("NFKC", raw).strip()
    regions = [country] if country else []
    for region in [*regions, *VALUES.fallback_regions]:
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number(number):
            break
    else:
        return None
    digits = str(number.national_number)
    if not _SHORTEST_PHONE <= len(digits) <= _LONGEST_PHONE:
        return None
    if digits in VALUES.phones or len(set(digits)) < _DISTINCT_DIGITS:
        return None
    return digits[-_COMPARED_DIGITS:]


@cache
def country_code(raw: str) -> str | None:
    """Return the ISO 3166 code of a country given by code or by name in any language, or None."""
    text = raw.strip()
    if len(text) == _CODE_LENGTH and text.upper() in LOCALE_DATA:
        return text.upper()
    name = fold(text)
    return VALUES.country_aliases.get(name) or _country_names().get(name)


def website_domain(raw: str) -> str | None:
    """Return the host of a website without scheme, "www.", port and path, or None.

    Hosts on which anybody may have a page, and providers of private mail, give None.
    """
    text = unicodedata.normalize("NFKC", raw).strip().casefold()
    host = re.split(r"[/?#\s]", _URL.sub("", text), maxsplit=1)[0]
    host = host.rpartition("@")[2].split(":", 1)[0].strip(".")
    domain = _ascii_domain(re.sub(r"^www\d?\.", "", host))
    if domain is None or domain in VALUES.websites or domain in VALUES.free_domains:
        return None
    return None if domain in VALUES.mailbox_domains else domain


def _ascii_domain(domain: str) -> str | None:
    """Return a syntactically valid domain in the form DNS uses, or None."""
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    if not _DOMAIN.fullmatch(domain) or ".." in domain:
        return None
    return None if domain.rpartition(".")[2] in VALUES.top_level_domains else domain


@cache
def _country_names() -> dict[str, str]:
    """Map every folded country name of every language to its code; English wins a tie."""
    names: dict[str, str] = {}
    for english in (False, True):
        for code, by_language in LOCALE_DATA.items():
            for language, name in by_language.items():
                resolved = by_language[name[1:]] if name.startswith("*") else name
                if (language == "en") == english and (folded := fold(resolved)):
                    names[folded] = code
    return names
