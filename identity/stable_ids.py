"""Gives groups of records the ids they had before, and new groups ids that follow from content."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from identity.records import RecordKey

_DIGITS = 24  # of sha256 in hex, 96 bits: a billion ids collide with a probability below 1e-11


class Assignment(NamedTuple):
    """Which id each group has, and what became of the ids of before.

    Attributes:
        ids: id per record, shape (records,).
        founders: id -> number of the group's first record, for ids that were just made.
        merges: (retired id, surviving id).
        splits: (id, id split off, how many records went with it).
    """

    ids: NDArray[np.object_]
    founders: dict[str, int]
    merges: list[tuple[str, str]]
    splits: list[tuple[str, str, int]]


def new_id(prefix: str, key: RecordKey, attempt: int = 0) -> str:
    """Return the id of a group that a record founds: the same record always gives the same id.

    Built from the key's hash, so that a killed and repeated run, or a warehouse rebuilt from the
    same deliveries, arrives at the same ids. `attempt` tells groups with one founder apart.
    """
    content = json.dumps([*key, attempt] if attempt else [*key], ensure_ascii=False)
    return f"{prefix}_{hashlib.sha256(content.encode()).hexdigest()[:_DIGITS]}"


def assign_ids(
    group: NDArray[np.int64],
    previous: pd.Series,
    keys: pd.DataFrame,
    birth_order: Mapping[str, int],
    prefix: str,
) -> Assignment:
    """Assign an id to every group.

    An id goes on with the group that holds most of its records (a tie: the earliest record).
    Where several ids meet in a group, the one born first survives and the others retire. A group
    without such an id gets a new one from its earliest record.

    Args:
        group: number of the first record of each record's group, shape (records,).
        previous: the id each record had, NA for a new record.
        keys: the record keys, in record order.
        birth_order: id -> when it was born relative to all others, for all of `previous`.
        prefix: of new ids.
    """
    shares = _shares(group, previous)
    heirs = shares.drop_duplicates("id")
    heirs = heirs.assign(birth=heirs["id"].map(dict(birth_order)))
    heirs = heirs.sort_values("birth")
    survivors = heirs.drop_duplicates("group")
    id_of_group = dict(zip(survivors["group"].tolist(), survivors["id"].tolist(), strict=True))

    merges = [
        (retired, id_of_group[number])
        for retired, number in zip(heirs["id"].tolist(), heirs["group"].tolist(), strict=True)
        if id_of_group[number] != retired
    ]
    missing = [number for number in np.unique(group).tolist() if number not in id_of_group]
    # An id that retires now is not made again for another part of its records.
    founders = _found(missing, set(heirs["id"]), keys, prefix)
    id_of_group.update({number: made for made, number in founders.items()})
    splits = [
        (before, id_of_group[number], int(records))
        for before, number, records in shares[["id", "group", "records"]].itertuples(index=False)
        if id_of_group[number] in founders
    ]
    ids = pd.Series(group).map(id_of_group).to_numpy(dtype=object)
    return Assignment(ids, founders, sorted(merges), sorted(splits))


def current_ids(
    former: pd.Series, merges: Mapping[str, str], living: AbstractSet[str]
) -> pd.Series:
    """Return what ids of before are called today: the survivors of their merges.

    Args:
        former: ids, NA allowed.
        merges: retired id -> surviving id, the latest merge of each.
        living: ids that records bear today; they are followed no further.
    """

    def follow(retired: str) -> str:
        seen: set[str] = set()
        while retired not in living and retired in merges and retired not in seen:
            seen.add(retired)
            retired = merges[retired]
        return retired

    return former.map({name: follow(name) for name in former.dropna().unique()})


def _shares(group: NDArray[np.int64], previous: pd.Series) -> pd.DataFrame:
    """Count the records of each id of before in each group: id, group, records, first."""
    # The best share of an id comes first.
    held = pd.DataFrame({"id": previous.to_numpy(), "group": group, "record": previous.index})
    held = held.dropna(subset="id")
    shares = held.groupby(["id", "group"], sort=False)["record"].agg(records="size", first="min")
    return shares.reset_index().sort_values(
        ["records", "first"], ascending=[False, True], ignore_index=True
    )


def _found(groups: list[int], used: set[str], keys: pd.DataFrame, prefix: str) -> dict[str, int]:
    """Make an unused id for each group: id -> group, in order of the founding records."""
    founders: dict[str, int] = {}
    rows = keys.iloc[groups].itertuples(index=False, name=None)
    for number, key in zip(groups, rows, strict=True):
        attempt = 0
        while (made := new_id(prefix, key, attempt)) in used or made in founders:
            attempt += 1
        founders[made] = number
    return founders
