"""What the evidence rules need to know of each person record, computed once per distinct value."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from identity.columns import first_known, look_up, map_distinct
from identity.names import is_slip_of, parse_name
from identity.normalise import country_code, email_domain, email_key, phone_key
from identity.organisations import formal_organisation_key, organisation_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from identity.accounts import AccountDirectory

_BETWEEN = "\x1f"  # stands between the parts of a joined value; no source delivers it


class PersonKeys(NamedTuple):
    """Comparable values, each of shape (records,).

    Attributes:
        email: mailbox, NA where there is no evidence.
        phone: national number, NA where there is no evidence.
        name: number of the person's name in `names`, -1 for none (or an organisation's name).
        names: the distinct names, as keys of `PersonName`.
        account: number of the organisation the record belongs to, -1 for none or several.
        email_account: number of the organisation whose website is on the mailbox's domain, or -1.
        bears_account_name: whether the record's name is an organisation's.
    """

    email: pd.Series
    phone: pd.Series
    name: NDArray[np.int64]
    names: list[str]
    account: NDArray[np.int64]
    email_account: NDArray[np.int64]
    bears_account_name: NDArray[np.bool_]


def person_keys(persons: pd.DataFrame, directory: AccountDirectory) -> PersonKeys:
    """Normalise all person records; `directory` knows the organisations."""
    email = map_distinct(email_key, persons["email"])
    domain = map_distinct(email_domain, email)
    only_full_name = persons["first_name"].isna() & persons["last_name"].isna()
    written = persons["full_name"].where(only_full_name)
    organisation = map_distinct(organisation_key, written)
    bears_account_name = (
        map_distinct(formal_organisation_key, written).notna()
        | organisation.isin(directory.names.index)
        | map_distinct(_own_domain, organisation + _BETWEEN + domain).notna()
    ).to_numpy(dtype=bool)
    name, names = _names(persons, bears_account_name)
    email_account = look_up(directory.domains, domain)
    account = first_known(
        look_up(directory.records, persons["source"] + "\n" + persons["account_source_id"]),
        look_up(directory.names, map_distinct(organisation_key, persons["company"])),
        look_up(directory.names, organisation),
        email_account,
    )
    phone = _phones(persons)
    return PersonKeys(email, phone, name, names, account, email_account, bears_account_name)


def _own_domain(joined: str) -> str | None:
    """Return the domain when its first label is the organisation's name, slips of the pen aside."""
    organisation, _, domain = joined.partition(_BETWEEN)
    return domain if is_slip_of(organisation, domain.partition(".")[0]) else None


def _phones(persons: pd.DataFrame) -> pd.Series:
    country = map_distinct(country_code, persons["country"])

    def key(joined: str) -> str | None:
        raw, _, region = joined.partition(_BETWEEN)
        return phone_key(raw, region or None)

    return map_distinct(key, persons["phone"] + _BETWEEN + country.fillna(""))


def _names(
    persons: pd.DataFrame, bears_account_name: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], list[str]]:
    def key(joined: str) -> str | None:
        name = parse_name(*joined.split(_BETWEEN))
        return name.key() if name else None

    parts = persons[["full_name", "first_name", "last_name"]].fillna("")
    joined = parts["full_name"] + _BETWEEN + parts["first_name"] + _BETWEEN + parts["last_name"]
    codes, names = pd.factorize(map_distinct(key, joined.mask(bears_account_name)))
    return np.asarray(codes, dtype=np.int64), names.tolist()
