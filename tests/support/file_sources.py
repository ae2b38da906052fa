"""Helpers of the tests that sync files: files in, slices out."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from crmhouse.settings import Settings, SourceConfig
from ingestion.sync import sync_source

if TYPE_CHECKING:
    from pathlib import Path

    from crmhouse.warehouse import Warehouse
    from ingestion.runs import SliceRun


def write(folder: Path, name: str, content: str | bytes) -> Path:
    """Write a file below the folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def export(folder: Path, system: str, **options: Any) -> tuple[Settings, SourceConfig]:
    """Configure the exports of a system, with any share of bad records."""
    source = SourceConfig(
        name=system, kind=f"{system}_export", options={"path": str(folder), **options}
    )
    return Settings(sources=(source,), max_quarantine_share=1), source


def files(folder: Path, **stream: Any) -> tuple[Settings, SourceConfig]:
    """Configure the stream `things` of the source `lists`: all CSV files of the folder."""
    stream = {"glob": "*.csv", "key": ["id"], **stream}
    options = {"path": str(folder), "streams": {"things": stream}}
    source = SourceConfig(name="lists", kind="files", options=options)
    return Settings(sources=(source,)), source


def sync(
    warehouse: Warehouse, configured: tuple[Settings, SourceConfig], **more: Any
) -> dict[str, SliceRun]:
    """Sync, and return the slices by name."""
    runs = sync_source(warehouse, *configured, run_id=uuid.uuid4(), **more)
    return {run.slice: run for run in runs}
