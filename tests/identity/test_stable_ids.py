from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.stable_ids import Assignment, assign_ids, current_ids, new_id

GROUPINGS = st.lists(st.integers(0, 5), min_size=6, max_size=6)


def groups(labels: list[int]) -> np.ndarray:
    """Return for each record the first record with its label, as clustering does."""
    return np.array([labels.index(label) for label in labels], dtype=np.int64)


def keys(records: int) -> pd.DataFrame:
    frame = pd.DataFrame({"source_id": [str(n) for n in range(records)]})
    frame.insert(0, "source_object", "Contact")
    frame.insert(0, "source", "salesforce")
    return frame


def assign(
    labels: list[int], previous: list[str | None], birth: dict[str, int] | None = None
) -> Assignment:
    known = sorted({name for name in previous if name})
    order = birth or {name: n for n, name in enumerate(known)}
    before = pd.Series(previous, dtype="str")
    return assign_ids(groups(labels), before, keys(len(labels)), order, "per")


def test_the_id_of_a_new_group_follows_from_its_earliest_record() -> None:
    made = assign([0, 0, 1], [None, None, None])
    first = new_id("per", ("salesforce", "Contact", "0"))
    assert made.ids.tolist() == [first, first, new_id("per", ("salesforce", "Contact", "2"))]
    assert first == "per_d2f67be53ca7bd02cb9dfddc"
    assert made.merges == made.splits == []


def test_keys_that_read_alike_when_joined_have_ids_of_their_own() -> None:
    assert new_id("per", ("a", "b,c", "d")) != new_id("per", ("a,b", "c", "d"))


def test_a_group_keeps_its_id_when_records_join_even_older_ones() -> None:
    assert set(assign([0, 0, 0], [None, "x", None]).ids) == {"x"}


def test_when_groups_merge_the_id_born_first_survives() -> None:
    made = assign([0, 0, 0], ["young", "young", "old"], {"young": 2, "old": 1})
    assert set(made.ids) == {"old"}
    assert made.merges == [("young", "old")]


def test_when_a_group_splits_the_larger_part_keeps_the_id() -> None:
    made = assign([0, 1, 1], ["x", "x", "x"])
    founder = new_id("per", ("salesforce", "Contact", "0"))
    assert made.ids.tolist() == [founder, "x", "x"]
    assert made.splits == [("x", founder, 1)]


def test_when_a_group_splits_in_equal_parts_the_earliest_record_keeps_the_id() -> None:
    assert assign([0, 1], ["x", "x"]).ids.tolist() == ["x", new_id("per", tuple(keys(2).iloc[1]))]


def test_a_part_does_not_take_the_id_that_its_founder_once_gave_to_the_whole() -> None:
    whole = new_id("per", ("salesforce", "Contact", "0"))
    made = assign([0, 1, 1], [whole] * 3)
    assert made.ids.tolist() == [
        new_id("per", ("salesforce", "Contact", "0"), 1),
        whole,
        whole,
    ]


def test_an_id_that_retired_comes_back_when_its_records_are_parted_again() -> None:
    ids = [new_id("per", tuple(key)) for key in keys(2).itertuples(index=False)]
    joined = assign([0, 0], [*ids], {ids[0]: 1, ids[1]: 2})
    assert joined.merges == [(ids[1], ids[0])]
    parted = assign([0, 1], [ids[0], ids[0]], {ids[0]: 1, ids[1]: 2})
    assert parted.ids.tolist() == ids
    assert parted.splits == [(ids[0], ids[1], 1)]


def test_a_record_that_moves_between_two_groups_retires_and_makes_no_id() -> None:
    made = assign([0, 0, 1, 1, 1], ["x", "x", "x", "y", "y"])
    assert made.ids.tolist() == ["x", "x", "y", "y", "y"]
    assert made.merges == made.splits == []
    assert made.founders == {}


@settings(max_examples=40, deadline=None)
@given(GROUPINGS, GROUPINGS)
def test_each_group_has_one_id_and_each_id_one_group(before: list[int], after: list[int]) -> None:
    first = assign(before, [None] * 6)
    birth = {name: n for n, name in enumerate(first.founders)}
    second = assign(after, first.ids.tolist(), birth)
    pairs = set(zip(groups(after).tolist(), second.ids.tolist(), strict=True))
    assert len(pairs) == len({group for group, _ in pairs}) == len({name for _, name in pairs})


@settings(max_examples=40, deadline=None)
@given(GROUPINGS, GROUPINGS)
def test_every_id_that_disappears_is_recorded_and_every_new_one_explained(
    before: list[int], after: list[int]
) -> None:
    first = assign(before, [None] * 6)
    birth = {name: n for n, name in enumerate(first.founders)}
    second = assign(after, first.ids.tolist(), birth)
    assert {retired for retired, _ in second.merges} == set(first.ids) - set(second.ids)
    assert {survivor for _, survivor in second.merges} <= set(second.ids)
    assert {made for _, made, _ in second.splits} == set(second.founders)


@settings(max_examples=40, deadline=None)
@given(GROUPINGS)
def test_assigning_again_changes_nothing(labels: list[int]) -> None:
    first = assign(labels, [None] * 6)
    again = assign(labels, first.ids.tolist(), {name: n for n, name in enumerate(first.founders)})
    assert again.ids.tolist() == first.ids.tolist()
    assert (again.founders, again.merges, again.splits) == ({}, [], [])


def test_a_retired_id_is_followed_to_the_one_that_lives_today() -> None:
    merges = {"a": "b", "b": "c", "loop": "pool", "pool": "loop"}
    former = pd.Series(["a", None, "c", "loop"], dtype="str")
    assert current_ids(former, merges, {"c"}).tolist()[0] == "c"
    assert current_ids(former, merges, {"a"}).tolist()[0] == "a"
    assert current_ids(former, merges, {"c"}).tolist()[3] in {"loop", "pool"}
