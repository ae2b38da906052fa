from __future__ import annotations

import pytest

from ingestion import merge


@pytest.fixture(params=["in one pass", "step by step"])
def each_way_to_merge(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Merge as with a PostgreSQL whose MERGE tells what it did, and as with an older one."""
    version = 0 if request.param == "in one pass" else 1_000_000
    monkeypatch.setattr(merge, "MERGE_TELLS_FROM", version)
    return request.param
