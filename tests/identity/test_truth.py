"""Precision and recall over pairs of records, against who the records really are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from identity_demo import Key, read_input, score, truth

from simulators.demo_data import generate

if TYPE_CHECKING:
    from pathlib import Path

    from identity_input import Identities

BATCHES = (["batch_1"], ["batch_1", "batch_2"])


def check(identities: Identities, folder: Path, *, recall: float, account_recall: float) -> None:
    """Resolve both batches, one after the other, and compare with the truth after each."""
    real = truth(folder)
    before: dict[Key, str] = {}
    for batches in BATCHES:
        identities.deliver(*read_input(folder, batches))
        identities.resolve()
        links = identities.links()
        persons = {key: value for key, value in links.items() if key[1] != "orders"}
        for records in (links, persons):
            found_precision, found_recall, _ = score(records, real)
            assert found_precision >= 0.999
            assert found_recall >= recall
        account_precision, found_recall, _ = score(identities.links("account"), real)
        assert account_precision >= 0.99
        assert found_recall >= account_recall
        _check_stability(identities, before, links)
        before = links


def _check_stability(identities: Identities, before: dict[Key, str], after: dict[Key, str]) -> None:
    """Every id of before is alive, retired for a recorded survivor, or without records."""
    aliases = dict(identities.rows("select retired_id, customer_id from identity.customer_aliases"))
    alive = set(after.values())
    moved = {
        row[:3]
        for row in identities.rows(
            "select source, source_object, source_id from identity.customer_moves"
        )
    }
    for key in before.keys() & after.keys():
        same = before[key] == after[key]
        assert same or key in moved
        assert same or before[key] in alive or aliases[before[key]] in alive


def test_the_reference_data_is_resolved_better_than_its_baseline(
    identities: Identities, crm_demo: Path
) -> None:
    check(identities, crm_demo, recall=0.92, account_recall=0.95)


@pytest.mark.parametrize("seed", [1, 7])
def test_the_generated_data_is_resolved_without_a_wrong_pair_to_speak_of(
    identities: Identities, tmp_path: Path, seed: int
) -> None:
    generate(tmp_path, persons=1000, seed=seed)
    check(identities, tmp_path, recall=0.85, account_recall=0.85)
