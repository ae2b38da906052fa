from __future__ import annotations

from dataclasses import replace

import pytest
from stripe_account import QUICK

from ingestion.sources.stripe import connector


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once: the pauses themselves are tested with the HTTP policy."""
    monkeypatch.setattr(connector, "PATIENCE", QUICK)
    monkeypatch.setattr(connector, "IMPATIENT", replace(QUICK, tries=3))
