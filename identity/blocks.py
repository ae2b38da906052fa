"""Pairs of records that share a value: who may be one person, and who evidently is not."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from identity.columns import NO_PROFILE, number_distinct
from identity.names import Agreement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


class Profiles(NamedTuple):
    """What is compared between records that share a value, such as names of persons.

    Attributes:
        codes: one profile number per record, shape (records,); -1 where a record has none.
        compare: agreement of two profile numbers, symmetric; equal numbers may be given.
    """

    codes: NDArray[np.int64]
    compare: Callable[[int, int], Agreement]

    def between(self, left: int, right: int) -> Agreement:
        """Return the agreement of two profiles; nothing is clear about a missing one."""
        if NO_PROFILE in (left, right):
            return Agreement.UNCLEAR
        return self.compare(*sorted((left, right)))


def pair_within_blocks(keys: pd.Series, profiles: Profiles, *, most_profiles: int) -> pd.DataFrame:
    """Pair the records whose key is equal and whose profiles do not contradict each other.

    Records of one profile are tied to the earliest of them, and those earliest ones to each other,
    so n records give about n pairs. A record that fits two others which contradict each other
    (`J. Smith` between John and Jane) is tied to neither.

    Args:
        keys: the shared value per record in record order, NA where there is none.
        profiles: what is compared.
        most_profiles: a value borne by more distinct profiles belongs to nobody: no pair.

    Returns:
        Columns left and right (record numbers, left < right) and agrees (bool).
    """
    group = _groups(keys, profiles.codes, most_profiles)
    first_of_row = group.first[group.of_row]
    follower = group.record != first_of_row
    same = pd.Series(group.profile).map(
        {code: profiles.between(code, code) for code in np.unique(group.profile).tolist()}
    )
    agrees = (same == Agreement.AGREES).to_numpy(dtype=bool)
    stars = pd.DataFrame(
        {
            "left": first_of_row[follower],
            "right": group.record[follower],
            "agrees": agrees[group.of_row[follower]],
        }
    )
    return pd.concat([stars, _between_groups(group, profiles)], ignore_index=True)


class _Groups(NamedTuple):
    """Records by (block, profile); `of_row` gives the group of each entry of `record`."""

    record: NDArray[np.int64]
    of_row: NDArray[np.int64]
    block: NDArray[np.int64]
    profile: NDArray[np.int64]
    first: NDArray[np.int64]


def _groups(keys: pd.Series, codes: NDArray[np.int64], most_profiles: int) -> _Groups:
    block_of = number_distinct(keys)
    shared = np.bincount(block_of[block_of >= 0], minlength=1) > 1
    record = np.flatnonzero((block_of >= 0) & shared[block_of])
    record = record[np.lexsort((record, codes[record], block_of[record]))]
    while True:
        block, profile = block_of[record], codes[record]
        starts = np.ones(len(record), dtype=bool)
        starts[1:] = (block[1:] != block[:-1]) | (profile[1:] != profile[:-1])
        named = starts & (profile != NO_PROFILE)
        crowded = np.bincount(block[named], minlength=len(shared)) > most_profiles
        keep = ~crowded[block]
        if keep.all():
            break
        record = record[keep]
    return _Groups(
        record=record,
        of_row=np.cumsum(starts) - 1,
        block=block[starts],
        profile=profile[starts],
        first=record[starts],
    )


def _between_groups(group: _Groups, profiles: Profiles) -> pd.DataFrame:
    left: list[int] = []
    right: list[int] = []
    agrees: list[bool] = []
    ends = np.flatnonzero(np.diff(group.block, append=-1)) + 1
    begins = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    several = (ends - begins) > 1
    for begin, end in zip(begins[several].tolist(), ends[several].tolist(), strict=True):
        members = sorted(
            zip(group.first[begin:end].tolist(), group.profile[begin:end].tolist(), strict=True)
        )
        for i, j, agreement in _consistent_pairs([code for _, code in members], profiles):
            left.append(members[i][0])
            right.append(members[j][0])
            agrees.append(agreement is Agreement.AGREES)
    return pd.DataFrame(
        {
            "left": np.array(left, dtype=np.int64),
            "right": np.array(right, dtype=np.int64),
            "agrees": np.array(agrees, dtype=bool),
        }
    )


def _consistent_pairs(codes: Sequence[int], profiles: Profiles) -> list[tuple[int, int, Agreement]]:
    """Return the pairs that fit, but for those of which a third contradicts one end only."""
    relation = {
        (i, j): profiles.between(codes[i], codes[j]) for i, j in combinations(range(len(codes)), 2)
    }
    apart = {pair for pair, kind in relation.items() if kind is Agreement.CONTRADICTS}
    if not apart:
        return [(i, j, kind) for (i, j), kind in relation.items()]
    enemies: dict[int, set[int]] = {i: set() for i in range(len(codes))}
    for i, j in apart:
        enemies[i].add(j)
        enemies[j].add(i)
    return [
        (i, j, kind)
        for (i, j), kind in relation.items()
        if (i, j) not in apart and enemies[i] == enemies[j]
    ]
