from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from salesforce_org import ACCOUNTS, Org, serving, write

from ingestion.http import Patience
from ingestion.sources.salesforce import connector as connector_module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crmhouse.warehouse import Warehouse


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again soon."""
    patience = Patience(
        connect_seconds=2, silence_seconds=5, tries=9, first_pause=0.01, longest_pause=2
    )
    monkeypatch.setattr(connector_module, "Patience", lambda: patience)
    monkeypatch.setattr("ingestion.sources.salesforce.org._FIRST_PAUSE", 0.02)


@pytest.fixture
def org(tmp_path: Path, warehouse: Warehouse) -> Iterator[Org]:
    """An org with 25 accounts, whose sessions and budget are its own."""
    write(tmp_path / "folder", "Account", ACCOUNTS)
    with serving(tmp_path / "folder", warehouse, tmp_path) as served:
        yield served
