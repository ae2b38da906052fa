from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.blocks import Profiles, pair_within_blocks
from identity.cluster import cluster
from identity.names import Agreement

NONE, JOHN, MARY, J = -1, 0, 1, 2  # J. fits both John and Mary's brother Jim, say
Edge = tuple[int, int, float, bool]
EDGES = st.lists(
    st.tuples(
        st.integers(0, 7), st.integers(0, 7), st.sampled_from([0.95, 0.98, 1.0]), st.just(False)
    ).filter(lambda edge: edge[0] < edge[1]),
    max_size=14,
)
CODES = st.lists(st.sampled_from([NONE, JOHN, MARY, J]), min_size=8, max_size=8)


def compare(left: int, right: int) -> Agreement:
    if left == right:
        return Agreement.AGREES
    return Agreement.CONTRADICTS if {left, right} == {JOHN, MARY} else Agreement.UNCLEAR


def profiles(codes: list[int]) -> Profiles:
    return Profiles(np.array(codes, dtype=np.int64), compare)


def grouped(codes: list[int], edges: list[Edge]) -> list[int]:
    frame = pd.DataFrame(edges, columns=["left", "right", "probability", "authoritative"])
    typed = frame.astype({"left": "int64", "right": "int64", "authoritative": "bool"})
    return cluster(len(codes), typed, profiles(codes)).tolist()


def pairs(values: list[str | None], codes: list[int], most: int = 10) -> set[tuple[int, int]]:
    found = pair_within_blocks(pd.Series(values, dtype="str"), profiles(codes), most_profiles=most)
    return set(zip(found["left"].tolist(), found["right"].tolist(), strict=True))


def test_records_joined_by_a_chain_of_edges_are_one_group() -> None:
    assert grouped([JOHN, NONE, JOHN, NONE], [(0, 1, 1, False), (1, 2, 1, False)]) == [0, 0, 0, 3]


def test_without_records_there_are_no_groups() -> None:
    assert grouped([], []) == []


def test_a_chain_between_contradicting_names_breaks_at_its_weakest_edge() -> None:
    edges = [(0, 1, 0.98, False), (1, 2, 0.999, False)]
    assert grouped([JOHN, NONE, MARY], edges) == [0, 1, 1]


def test_an_edge_on_authority_holds_against_names_and_the_rest_gives_way() -> None:
    edges = [(0, 1, 1.0, True), (1, 2, 0.98, False), (2, 3, 0.999, False)]
    assert grouped([JOHN, MARY, NONE, MARY], edges) == [0, 0, 0, 0]
    assert grouped([JOHN, NONE, MARY], [(0, 1, 1.0, True), (1, 2, 0.98, False)]) == [0, 0, 2]


@settings(max_examples=60, deadline=None)
@given(CODES, EDGES)
def test_no_group_holds_contradicting_names_whatever_the_edges(
    codes: list[int], edges: list[Edge]
) -> None:
    group = grouped(codes, edges)
    for i, j in combinations(range(len(codes)), 2):
        assert group[i] != group[j] or {codes[i], codes[j]} != {JOHN, MARY}


@settings(max_examples=60, deadline=None)
@given(CODES, EDGES, st.randoms(use_true_random=False))
def test_the_order_of_edges_does_not_matter(codes: list[int], edges: list[Edge], random) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    shuffled = random.sample(edges, len(edges))
    assert grouped(codes, edges) == grouped(codes, shuffled)


@settings(max_examples=60, deadline=None)
@given(CODES, EDGES)
def test_edges_without_contradiction_are_all_followed(codes: list[int], edges: list[Edge]) -> None:
    group = grouped([max(code, NONE) if code != MARY else NONE for code in codes], edges)
    assert all(group[left] == group[right] for left, right, _, _ in edges)


def test_records_with_one_value_are_tied_to_the_earliest() -> None:
    assert pairs(["a", "b", "a", None, "a"], [JOHN] * 5) == {(0, 2), (0, 4)}


def test_contradicting_names_behind_one_value_are_kept_apart() -> None:
    assert pairs(["a"] * 4, [JOHN, MARY, JOHN, MARY]) == {(0, 2), (1, 3)}


def test_who_fits_two_people_that_contradict_each_other_is_tied_to_neither() -> None:
    assert pairs(["a"] * 3, [JOHN, J, MARY]) == set()
    assert pairs(["a"] * 3, [JOHN, NONE, MARY]) == set()
    assert pairs(["a"] * 3, [JOHN, NONE, J]) == {(0, 1), (0, 2), (1, 2)}


@pytest.mark.parametrize(("most", "expected"), [(2, {(0, 1)}), (1, set())])
def test_a_value_borne_by_too_many_names_belongs_to_nobody(
    most: int, expected: set[tuple[int, int]]
) -> None:
    assert pairs(["a", "a"], [JOHN, J], most=most) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([NONE, JOHN, MARY]))))
def test_pairs_share_their_value_and_never_contradict(
    records: list[tuple[str | None, int]],
) -> None:
    values = [value for value, _ in records]
    codes = [code for _, code in records]
    found = pairs(values, codes)
    assert all(
        values[i] is not None and values[i] == values[j] and {codes[i], codes[j]} != {JOHN, MARY}
        for i, j in found
    )
    for i, j in product(range(len(records)), repeat=2):
        if i < j and values[i] is not None and records[i] == records[j] and codes[i] != NONE:
            first = records.index(records[i])
            assert (first, j) in found
