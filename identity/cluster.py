"""From edges to groups of records; no chain of edges joins what contradicts itself."""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from identity.columns import NO_PROFILE
from identity.names import Agreement

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from identity.blocks import Profiles


def cluster(records: int, edges: pd.DataFrame, profiles: Profiles) -> NDArray[np.int64]:
    """Group the records that edges connect.

    A group that holds profiles which contradict each other is put together again edge by edge,
    strongest first, leaving out every edge that would bring such profiles together. Edges marked
    authoritative are followed in any case.

    Args:
        records: how many records there are.
        edges: columns left, right (record numbers), probability, authoritative.
        profiles: what must not contradict itself within a group.

    Returns:
        For each record the number of the first record of its group, shape (records,).
    """
    group = _connected(records, edges)
    contested = _contested(group, profiles)
    if not len(contested):
        return group
    inside = np.isin(group[edges["left"].to_numpy()], contested)
    keep = edges[~inside]
    rebuilt = _rebuild(edges[inside], profiles)
    return _connected(records, pd.concat([keep[["left", "right"]], rebuilt], ignore_index=True))


def _connected(records: int, edges: pd.DataFrame) -> NDArray[np.int64]:
    left, right = edges["left"].to_numpy(), edges["right"].to_numpy()
    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(records, records))
    _, labels = connected_components(graph, directed=False)
    _, first = np.unique(labels, return_index=True)
    return np.asarray(first[labels] if records else labels, dtype=np.int64)


def _contested(group: NDArray[np.int64], profiles: Profiles) -> NDArray[np.int64]:
    """Return the groups that hold two profiles which contradict each other."""
    held = pd.DataFrame({"group": group, "profile": profiles.codes})
    held = held[held["profile"] != NO_PROFILE].drop_duplicates()
    held = held[held["group"].duplicated(keep=False)]
    contested = [
        number
        for number, codes in held.groupby("group")["profile"]
        if any(_apart(a, b, profiles) for a, b in combinations(codes.tolist(), 2))
    ]
    return np.array(contested, dtype=np.int64)


def _contradict(left: set[int], right: set[int], profiles: Profiles) -> bool:
    return any(_apart(a, b, profiles) for a, b in product(left, right))


def _apart(left: int, right: int, profiles: Profiles) -> bool:
    return profiles.between(left, right) is Agreement.CONTRADICTS


class _Party:
    """Records joined so far: their profiles, and whether authority joined contradicting ones."""

    __slots__ = ("excused", "profiles")

    def __init__(self, profile: int) -> None:
        self.profiles = {profile} - {NO_PROFILE}
        self.excused = False

    def refuses(self, other: _Party, profiles: Profiles) -> bool:
        """Return whether joining the other would bring contradicting profiles together.

        A party that authority made contradictory has several names for one person: what fits one
        of them is welcome.
        """
        if not self.excused and not other.excused:
            return _contradict(self.profiles, other.profiles, profiles)
        pairs = list(product(self.profiles, other.profiles))
        return bool(pairs) and all(_apart(a, b, profiles) for a, b in pairs)


def _rebuild(edges: pd.DataFrame, profiles: Profiles) -> pd.DataFrame:
    """Join records along the edges, strongest first; return the edges that were followed."""
    order = edges.sort_values(
        ["authoritative", "probability", "left", "right"], ascending=[False, False, True, True]
    )
    numbers = np.unique(order[["left", "right"]].to_numpy()).tolist()
    parent = {number: number for number in numbers}
    parties = {number: _Party(int(profiles.codes[number])) for number in numbers}

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    followed: list[tuple[int, int]] = []
    columns = ["left", "right", "authoritative"]
    for left, right, authoritative in order[columns].itertuples(index=False, name=None):
        a, b = sorted((root(left), root(right)))
        if a == b:
            continue
        refused = parties[a].refuses(parties[b], profiles)
        if refused and not authoritative:
            continue
        followed.append((left, right))
        parent[b] = a
        parties[a].profiles |= parties[b].profiles
        parties[a].excused |= parties[b].excused or refused
    return pd.DataFrame(followed, columns=["left", "right"], dtype="int64")
