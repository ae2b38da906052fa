"""The people and organisations that really exist, before any system writes them down."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from simulators.demo_data.chance import between, happens, stream, weighted
from simulators.demo_data.money import CURRENCY_OF_COUNTRY
from simulators.demo_data.words import (
    COMPANY_MARKS,
    COMPANY_TRADES,
    CULTURES,
    INDUSTRIES,
    MAIL_PROVIDERS,
    SECOND_MAIL_DOMAIN,
    Culture,
)

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

    from simulators.demo_data.clock import Timeline

_COUNTRIES = {"US": 50, "GB": 13, "DE": 12, "FR": 9, "CA": 9, "JP": 7}
_PEOPLE_PER_ORGANISATION = 12
_NEIGHBOURS = 500
# Letters that do not decompose into a base letter and an accent.
_PLAIN_LETTERS = str.maketrans(
    {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "þ": "th", "Þ": "Th", "đ": "d", "Đ": "D"}
)


@dataclass(frozen=True, slots=True)
class Organisation:
    """A company; `domain` is its own and no other company's."""

    org_id: str
    name: str
    domain: str
    country: str
    industry: str
    employees: int


@dataclass(frozen=True, slots=True)
class Person:
    """A person. `phone` has ten digits; people of one household may share it.

    Attributes:
        native: First and last name in the person's own alphabet, where that is not Latin.
        first_seen: No system knows the person earlier.
    """

    number: int
    first: str
    last: str
    native: tuple[str, str] | None
    email: str
    second_email: str | None
    phone: str | None
    organisation: Organisation | None
    country: str
    first_seen: datetime

    @property
    def person_id(self) -> str:
        """The identifier in the truth files."""
        return f"P{self.number:05d}"

    @property
    def currency(self) -> str:
        """The currency the person pays in."""
        return CURRENCY_OF_COUNTRY[self.country]


def plain(text: str) -> str:
    """Lower-case ASCII letters and digits of a Latin name, for addresses."""
    decomposed = unicodedata.normalize("NFD", text.translate(_PLAIN_LETTERS))
    return re.sub(r"[^a-z0-9]", "", decomposed.lower())


def invent_organisations(seed: int, persons: int) -> list[Organisation]:
    """One organisation for every twelve persons, at least three; a few share their name."""
    rng = stream(seed, "organisations")
    count = max(3, persons // _PEOPLE_PER_ORGANISATION)
    organisations: list[Organisation] = []
    domains: dict[str, int] = {}
    for number, fresh_name in enumerate(_company_names(rng, count)):
        # A namesake elsewhere: same name, another company.
        namesake = number > 0 and (number == 1 or happens(rng, 0.01))
        name = organisations[number - 1].name if namesake else fresh_name
        base = plain(name)
        domains[base] = domains.get(base, 0) + 1
        suffix = "" if domains[base] == 1 else str(domains[base])
        organisations.append(
            Organisation(
                org_id=f"O{number:05d}",
                name=name,
                domain=f"{base}{suffix}.example",
                country=weighted(rng, _COUNTRIES),
                industry=rng.choice(INDUSTRIES),
                employees=int(rng.lognormvariate(4, 1.2)) + 3,
            )
        )
    return organisations


def _company_names(rng: Random, count: int) -> list[str]:
    short = [f"{mark} {trade}" for mark, trade in product(COMPANY_MARKS, COMPANY_TRADES)]
    long = [
        f"{mark} & {other} {trade}"
        for mark, other, trade in product(COMPANY_MARKS, COMPANY_MARKS, COMPANY_TRADES)
        if mark != other
    ]
    names = rng.sample(short, len(short)) + rng.sample(long, len(long))
    rounds, rest = divmod(count, len(names))
    numbered = [f"{name} {again + 2}" for again in range(rounds) for name in names]
    return (names + numbered)[: rounds * len(names) + rest]


def invent_people(
    seed: int, persons: int, organisations: list[Organisation], timeline: Timeline
) -> list[Person]:
    """Everybody, in the order of their numbers; about one in three works for an organisation."""
    population = _Population(stream(seed, "people"), organisations, timeline)
    for number in range(persons):
        population.add(number)
    return population.people


class _Population:
    """Remembers the addresses and numbers that are taken, so that each has one owner."""

    def __init__(self, rng: Random, organisations: list[Organisation], timeline: Timeline) -> None:
        self.people: list[Person] = []
        self._rng = rng
        self._organisations = organisations
        self._timeline = timeline
        self._addresses: set[str] = set()
        self._phones = _phone_numbers(rng)

    def add(self, number: int) -> None:
        """Invent one more: a stranger, or a household member or namesake of somebody earlier."""
        rng = self._rng
        first, last, native = self._name()
        phone = self._phones.pop() if self._phones and happens(rng, 0.8) else None
        relation = weighted(rng, {"stranger": 95, "household": 2, "namesake": 3})
        neighbour = rng.choice(self.people[-_NEIGHBOURS:]) if self.people else None
        if relation == "namesake" and neighbour:
            first, last, native = neighbour.first, neighbour.last, neighbour.native
        elif relation == "household" and neighbour and neighbour.phone:
            phone = neighbour.phone
            if happens(rng, 0.5) and first != neighbour.first:
                last, native = neighbour.last, None
        organisation = rng.choice(self._organisations) if happens(rng, 0.35) else None
        country = organisation.country if organisation else weighted(rng, _COUNTRIES)
        self.people.append(
            Person(
                number=number,
                first=first,
                last=last,
                native=native,
                email=self._address(number, first, last, organisation),
                second_email=self._second_address(number, first, last),
                phone=phone,
                organisation=organisation,
                country=country,
                first_seen=between(rng, self._timeline.begins, self._timeline.end_batch_2),
            )
        )

    def _name(self) -> tuple[str, str, tuple[str, str] | None]:
        rng = self._rng
        culture = rng.choices(CULTURES, [culture.weight for culture in CULTURES])[0]
        first, stem, ending = (
            rng.choice(culture.first),
            rng.choice(culture.stems),
            rng.choice(culture.endings),
        )
        return first, stem + ending, _native_name(culture, first, stem, ending)

    def _address(
        self, number: int, first: str, last: str, organisation: Organisation | None
    ) -> str:
        rng = self._rng
        names = [plain(first), plain(last)]
        if organisation:
            return self._free(rng.choice((".", "_", "")).join(names), organisation.domain, number)
        if happens(rng, 0.4):
            return self._free(".".join(["fake", *names]), "gmail.com", number)
        return self._free(".".join(names), rng.choice(MAIL_PROVIDERS), number)

    def _second_address(self, number: int, first: str, last: str) -> str | None:
        if not happens(self._rng, 0.2):
            return None
        return self._free(plain(first)[0] + plain(last), SECOND_MAIL_DOMAIN, number)

    def _free(self, local: str, domain: str, number: int) -> str:
        # Gmail ignores dots: two addresses that differ in dots only have one owner.
        key = f"{local.replace('.', '')}@{domain}"
        if key in self._addresses:
            return f"{local}.{number}@{domain}"
        self._addresses.add(key)
        return f"{local}@{domain}"


def _native_name(culture: Culture, first: str, stem: str, ending: str) -> tuple[str, str] | None:
    parts = [culture.native.get(part) for part in (first, stem, ending)]
    if None in parts:
        return None
    return str(parts[0]), f"{parts[1]}{parts[2]}"


def _phone_numbers(rng: Random) -> list[str]:
    """Every number of the block reserved for fiction, 555-0100 to 555-0199, in random order."""
    areas = [area for area in range(200, 1000) if area % 100 != 11]  # noqa: PLR2004 - 211, 311...
    numbers = [f"{area}55501{line:02d}" for area in areas for line in range(100)]
    rng.shuffle(numbers)
    return numbers
