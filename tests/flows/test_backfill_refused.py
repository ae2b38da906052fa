"""Backfills that are refused before anything is started."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from crmhouse.errors import ConfigurationError
from flows.backfill import backfill

if TYPE_CHECKING:
    from pathlib import Path

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A source of files, and an account of Stripe that nobody is asked for."""
    (tmp_path / "orders.csv").write_text("id,name\n1,one\n", encoding="utf-8")
    files = {"path": str(tmp_path), "streams": {"orders": {"glob": "orders.csv", "key": ["id"]}}}
    sources: list[dict[str, Any]] = [
        {"name": "files", "kind": "files", "options": files},
        {"name": "stripe", "kind": "stripe", "options": {"api_key": "${NO_KEY}"}},
    ]
    config = tmp_path / "crmhouse.yaml"
    config.write_text(yaml.safe_dump({"sources": sources}), encoding="utf-8")
    return str(config)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"source": "shop"}, "No source is called 'shop'"),
        ({"source": "files"}, "orders is read from files, which have no windows of time"),
        ({"source": "files", "streams": ["order"]}, "Source files has no stream order"),
        ({"source": "stripe"}, "NO_KEY, which is not set"),
        ({"source": "stripe", "streams": ["charge"]}, "Source stripe has no stream charge"),
    ],
)
def test_a_backfill_that_cannot_be_is_refused(
    config: str, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], said: str
) -> None:
    if "NO_KEY" not in said:
        monkeypatch.setenv("NO_KEY", "sk_test_of_nobody")
    with pytest.raises(ConfigurationError, match=said):
        backfill.fn(**{"start": START, "end": END, "config": config, **asked})
