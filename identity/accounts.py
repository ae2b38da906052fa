"""Organisations: the evidence that account records are the same one, and a directory of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from identity.blocks import Profiles, pair_within_blocks
from identity.columns import map_distinct, number_distinct
from identity.names import Agreement
from identity.normalise import country_code, website_domain
from identity.organisations import legal_form, organisation_key
from identity.rules import ACCOUNT_RULES
from identity.values import VALUES

_DOMAIN_RULE, _NAME_RULE = ACCOUNT_RULES
_MOST_NAMES_PER_DOMAIN = 5
_MOST_WEBSITES_PER_NAME = 20


class AccountEvidence(NamedTuple):
    """What is known of account records.

    Attributes:
        edges: left, right, rule, probability, authoritative.
        profiles: website and country, which must not contradict themselves in a group.
        domain, name: keys per record, NA where there is none.
    """

    edges: pd.DataFrame
    profiles: Profiles
    domain: pd.Series
    name: pd.Series


class AccountDirectory(NamedTuple):
    """Finds the organisation (number of its first record) that a person record points to.

    Attributes:
        records: by source, line feed, record id.
        names: by organisation key, only names of a single organisation.
        domains: by website domain, only domains of a single organisation.
        large: organisations that are expected to employ people of the same name.
    """

    records: pd.Series
    names: pd.Series
    domains: pd.Series
    large: frozenset[int]


def account_evidence(accounts: pd.DataFrame) -> AccountEvidence:
    """Find the pairs of account records that are evidently one organisation."""
    domain = map_distinct(website_domain, accounts["website"])
    name = map_distinct(organisation_key, accounts["name"])
    country = map_distinct(country_code, accounts["country"])
    names = Profiles(number_distinct(name), _always_unclear)
    form = map_distinct(legal_form, accounts["name"])
    places = _fitting(domain, country, form)
    by_domain = pair_within_blocks(domain, names, most_profiles=_MOST_NAMES_PER_DOMAIN)
    by_name = pair_within_blocks(name, places, most_profiles=_MOST_WEBSITES_PER_NAME)
    edges = pd.concat(
        [
            found[["left", "right"]].assign(
                rule=rule.name, probability=rule.probability, authoritative=rule.authoritative
            )
            for found, rule in ((by_domain, _DOMAIN_RULE), (by_name, _NAME_RULE))
        ],
        ignore_index=True,
    )
    websites = Profiles(number_distinct(domain), _differ)
    return AccountEvidence(edges, websites, domain, name)


def account_directory(
    accounts: pd.DataFrame, evidence: AccountEvidence, group: np.ndarray
) -> AccountDirectory:
    """Build the directory from account records and the group (organisation) of each."""
    number = pd.Series(group, index=accounts.index)
    employees = pd.to_numeric(accounts["employees"], errors="coerce")
    large = number[employees > VALUES.employees_with_namesakes]
    return AccountDirectory(
        records=_single(accounts["source"] + "\n" + accounts["source_id"], number),
        names=_single(evidence.name, number),
        domains=_single(evidence.domain, number),
        large=frozenset(large.tolist()),
    )


def _single(keys: pd.Series, number: pd.Series) -> pd.Series:
    """Return number by key, for the keys that lead to one number only."""
    pairs = pd.DataFrame({"key": keys, "number": number}).dropna().drop_duplicates()
    return pairs.drop_duplicates("key", keep=False).set_index("key")["number"]


def _fitting(*columns: pd.Series) -> Profiles:
    """Compare records by several values: each must be equal where both sides have it."""
    numbers = zip(*(number_distinct(column).tolist() for column in columns), strict=True)
    codes, distinct = pd.factorize(pd.Series(list(numbers), dtype=object))

    def compare(left: int, right: int) -> Agreement:
        for a, b in zip(distinct[left], distinct[right], strict=True):
            if a != b and min(a, b) >= 0:
                return Agreement.CONTRADICTS
        return Agreement.UNCLEAR

    return Profiles(np.asarray(codes, dtype=np.int64), compare)


def _always_unclear(_left: int, _right: int) -> Agreement:
    return Agreement.UNCLEAR


def _differ(left: int, right: int) -> Agreement:
    return Agreement.AGREES if left == right else Agreement.CONTRADICTS
