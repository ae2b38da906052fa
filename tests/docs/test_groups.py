"""Tests of one group run in one process: what they build is built once."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("seen")
def test_the_groups_of_tests_are_seen_by_what_shares_them_out(
    request: pytest.FixtureRequest,
) -> None:
    if not request.config.getoption("loadgroup", default=False):
        pytest.skip("for a run with --dist loadgroup")
    assert request.node.nodeid.endswith("@seen")
