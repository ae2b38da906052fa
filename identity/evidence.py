"""Evidence that person records are the same person: weighted edges, nothing decided yet."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from identity.blocks import Profiles, pair_within_blocks
from identity.columns import NO_PROFILE
from identity.names import Agreement, comparable_name, compare_names
from identity.records import KEY
from identity.rules import OTHER_REFERENCE_PROBABILITY, PERSON_RULES, Rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from identity.accounts import AccountDirectory
    from identity.person_keys import PersonKeys

# A mailbox or a number borne by more distinct names (spellings included) belongs to nobody.
MOST_NAMES_PER_VALUE = 10

_RULES = {rule.name: rule for rule in PERSON_RULES}
_REF_KEY = ["source_system", "source_object", "source_id"]
_PAIR = ["left", "right"]


def name_profiles(keys: PersonKeys) -> Profiles:
    """Compare records by the person's name."""
    names = keys.names
    return Profiles(keys.name, lambda left, right: compare_names(names[left], names[right]))


def person_evidence(
    persons: pd.DataFrame,
    references: pd.DataFrame,
    keys: PersonKeys,
    directory: AccountDirectory,
) -> pd.DataFrame:
    """Return all edges between person records.

    Columns: left < right (record numbers), rule, probability, authoritative. A pair may have
    edges of several rules.
    """
    profiles = name_profiles(keys)
    parts = [
        *_reference_edges(persons, references, profiles),
        *_email_edges(keys, profiles),
        _edges(_phone_pairs(keys, profiles), _RULES["phone_and_name"]),
        _edges(_name_and_account_pairs(keys, directory), _RULES["name_and_account"]),
        _edges(_phone_and_account_pairs(keys, profiles), _RULES["phone_and_account"]),
    ]
    edges = pd.concat([part for part in parts if len(part)] or parts[-1:], ignore_index=True)
    return edges.drop_duplicates([*_PAIR, "rule"], ignore_index=True)


def _edges(pairs: pd.DataFrame, rule: Rule) -> pd.DataFrame:
    return pairs[_PAIR].assign(
        rule=rule.name, probability=rule.probability, authoritative=rule.authoritative
    )


def _reference_edges(
    persons: pd.DataFrame, references: pd.DataFrame, profiles: Profiles
) -> list[pd.DataFrame]:
    """Follow the references that lead to exactly one record.

    Two accounts of one system are two sources; a reference names the system only.
    """
    numbered = persons[[*_REF_KEY, "source"]].assign(number=persons.index)
    targets = numbered.drop_duplicates(_REF_KEY, keep=False)
    found = references.merge(numbered[[*KEY, "number"]], on=KEY).merge(
        targets[[*_REF_KEY, "number"]],
        left_on=["ref_source_system", "ref_object", "ref_id"],
        right_on=_REF_KEY,
        suffixes=("_from", "_to"),
    )
    ends = np.sort(found[["number_from", "number_to"]].to_numpy(dtype=np.int64), axis=1)
    pairs = pd.DataFrame({"left": ends[:, 0], "right": ends[:, 1], "rule": found["rule"]})
    pairs[["from", "to"]] = found[["number_from", "number_to"]]
    pairs = pairs[pairs["left"] != pairs["right"]]
    parts = []
    for name, group in pairs.groupby("rule"):
        rule = _RULES.get(str(name), Rule(str(name), OTHER_REFERENCE_PROBABILITY, False, ""))
        stated = _undisputed(group, profiles) if rule.authoritative else np.zeros(len(group), bool)
        rest = group[~stated]
        parts += [
            _edges(group[stated], rule),
            _edges(rest[_not_contradicting(rest, profiles)], rule._replace(authoritative=False)),
        ]
    return parts


def _undisputed(references: pd.DataFrame, profiles: Profiles) -> NDArray[np.bool_]:
    """Tell which references name a record that only one person's records name.

    A contact that every payer of its company carries is the company's contact, not all of them.
    """
    named = references[references["to"].duplicated(keep=False)]
    disputed = [
        target
        for target, records in named.groupby("to")["from"]
        if any(
            profiles.between(left, right) is Agreement.CONTRADICTS
            for left, right in combinations(set(profiles.codes[records].tolist()), 2)
        )
    ]
    return ~references["to"].isin(disputed).to_numpy(dtype=bool)


def _not_contradicting(pairs: pd.DataFrame, profiles: Profiles) -> NDArray[np.bool_]:
    left = profiles.codes[pairs["left"].to_numpy()].tolist()
    right = profiles.codes[pairs["right"].to_numpy()].tolist()
    return np.array(
        [
            profiles.between(a, b) is not Agreement.CONTRADICTS
            for a, b in zip(left, right, strict=True)
        ],
        dtype=bool,
    )


def _email_edges(keys: PersonKeys, profiles: Profiles) -> list[pd.DataFrame]:
    pairs = pair_within_blocks(keys.email, profiles, most_profiles=MOST_NAMES_PER_VALUE)
    agrees = pairs["agrees"]
    return [
        _edges(pairs[agrees], _RULES["email_and_name"]),
        _edges(pairs[~agrees], _RULES["email"]),
    ]


def _phone_pairs(keys: PersonKeys, profiles: Profiles) -> pd.DataFrame:
    """Pair by number where the names agree: a number alone is a household's or a company's."""
    pairs = pair_within_blocks(keys.phone, profiles, most_profiles=MOST_NAMES_PER_VALUE)
    return pairs.loc[pairs["agrees"]]


def _name_and_account_pairs(keys: PersonKeys, directory: AccountDirectory) -> pd.DataFrame:
    """Pair equal full names at one organisation, unless these may be namesakes.

    They may where two mailboxes at work bear the name, or two records with another mailbox and
    another number; then a third record fits both and is given to neither.
    """
    spelt = pd.Series([comparable_name(key) for key in keys.names], dtype="str")
    usable = (keys.account != NO_PROFILE) & ~np.isin(keys.account, list(directory.large))
    name = spelt.reindex(keys.name).set_axis(keys.email.index)
    account = pd.Series(keys.account, index=name.index)
    block = (account.astype("str") + "\n" + name).where(usable)
    at_work = keys.email.where(keys.email_account == keys.account)
    reachable = keys.email.notna() & keys.phone.notna()
    at_work, mailbox, phone = (
        values.groupby(block).transform("nunique")
        for values in (at_work, keys.email.where(reachable), keys.phone.where(reachable))
    )
    one_person = (at_work <= 1) & ~((mailbox > 1) & (phone > 1))
    block = block.where(one_person.fillna(value=False))
    nobody = Profiles(np.full(len(name), NO_PROFILE), lambda _left, _right: Agreement.UNCLEAR)
    return pair_within_blocks(block, nobody, most_profiles=1)


def _phone_and_account_pairs(keys: PersonKeys, profiles: Profiles) -> pd.DataFrame:
    """Pair a person with a record in the organisation's name that has the person's number."""
    account = pd.Series(keys.account, index=keys.phone.index)
    block = (account.astype("str") + "\n" + keys.phone).where(account != NO_PROFILE)
    pairs = pair_within_blocks(block, profiles, most_profiles=MOST_NAMES_PER_VALUE)
    company = keys.bears_account_name
    one_of_two = company[pairs["left"].to_numpy()] != company[pairs["right"].to_numpy()]
    return pairs.loc[np.asarray(one_of_two, dtype=bool)]
