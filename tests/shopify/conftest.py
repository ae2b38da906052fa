"""Stand-ins of shops: one over demo data, one with three orders."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from shopify_shop import Shop, opened, order

from ingestion.http import Patience
from ingestion.sources.shopify import bulk, client
from simulators.demo_data import generate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crmhouse.warehouse import Warehouse


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE", Patience(5, 5, 12, 0.01, 5))
    monkeypatch.setattr(bulk, "FIRST_PAUSE", 0.02)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("shop"), persons=150).folder


@pytest.fixture
def demo_shop(demo: Path, tmp_path: Path, warehouse: Warehouse) -> Iterator[Shop]:
    """A shop with the demo data."""
    with opened(demo, tmp_path, warehouse) as shop:
        yield shop


@pytest.fixture
def shop(tmp_path: Path, warehouse: Warehouse) -> Iterator[Shop]:
    """A shop with three orders."""
    path = tmp_path / "data" / "batch_1" / "shopify" / "orders.jsonl"
    path.parent.mkdir(parents=True)
    orders = [order(n, f"2026-02-01T12:0{n}:00-05:00") for n in (1, 2, 3)]
    path.write_text("".join(json.dumps(one) + os.linesep for one in orders), encoding="utf-8")
    with opened(tmp_path / "data", tmp_path, warehouse) as shop:
        yield shop
