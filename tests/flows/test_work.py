from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from crmhouse.settings import Settings
from flows import assets
from flows.results import StreamFailure
from flows.work import Work

if TYPE_CHECKING:
    from pathlib import Path

    from crmhouse.warehouse import Warehouse

STREAMS = {"crm": ("contacts", "deals"), "shop": ()}
SILENT = StreamFailure("shop", "-", "the shop does not answer")
USED_UP = [StreamFailure("crm", name, "429", is_quota=True) for name in STREAMS["crm"]]


@pytest.mark.parametrize(
    ("failures", "failed"),
    [
        ([], False),
        ([SILENT], False),
        ([*USED_UP, SILENT], True),
        ([*USED_UP, StreamFailure("shop", "-", "429", is_quota=True)], False),
    ],
)
def test_a_run_has_failed_when_nothing_could_be_read_and_not_for_the_limits_of_the_day_alone(
    warehouse: Warehouse, failures: list[StreamFailure], *, failed: bool
) -> None:
    work = Work(warehouse, Settings(), uuid.uuid4(), STREAMS)
    work.failures += failures
    assert work.has_failed() == failed


@pytest.mark.parametrize("manifest", [None, "{", '{"nodes": {}}'])
def test_a_lineage_that_cannot_be_told_does_not_undo_a_publication(
    warehouse: Warehouse, tmp_path: Path, manifest: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    if manifest:
        (tmp_path / "dbt").mkdir()
        (tmp_path / "dbt" / "manifest.json").write_text(manifest, encoding="utf-8")
    assets.tell_of_marts(Work(warehouse, Settings(home=tmp_path), uuid.uuid4(), {}), "succeeded")
    assert "The lineage of the marts cannot be told" in caplog.text
