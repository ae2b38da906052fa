"""Exports: folders of files that a SaaS system wrote, batch after batch.

The layout is `<path>/batch_<n>/<system>/<Object>.csv` (or `.jsonl`, `.parquet`): the first batch
is everything, each later one what has changed since, deletions flagged.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from ingestion.readers import READERS
from ingestion.sources import hubspot, salesforce, shopify, stripe
from ingestion.sources.files import FilesConnector, FileStream, in_natural_order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ingestion.streams import Stream

SYSTEMS: Mapping[str, tuple[Stream, ...]] = MappingProxyType(
    {
        "salesforce": salesforce.STREAMS,
        "hubspot": hubspot.STREAMS,
        "stripe": stripe.STREAMS,
        "shopify": shopify.STREAMS,
    }
)


class ExportOptions(BaseModel):
    """Options of the kinds `<system>_export`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path = Field(
        description="Folder that holds batch_1, batch_2, …; a relative path starts at the "
        "configuration file's folder."
    )
    until: str | None = Field(
        default=None,
        pattern=r"^batch_\d+$",
        description="Last batch to read; all of them when left out.",
    )


def build(system: str, options: Mapping[str, Any], base: Path, batch_rows: int) -> FilesConnector:
    """Make the connector that reads the exports of one system.

    Args:
        system: one of `SYSTEMS`.
        options: the configured options, checked against `ExportOptions`.
        base: where relative paths start.
        batch_rows: records in memory at once.
    """
    checked = ExportOptions.model_validate(options)
    root = (base / checked.path.expanduser()).resolve()
    files = tuple(
        FileStream(
            stream,
            _batches(root, system, stream, checked.until),
            f"{root}/batch_*/{system}/{stream.object}.csv, .jsonl or .parquet",
        )
        for stream in SYSTEMS[system]
    )
    return FilesConnector(system, root, files, batch_rows)


def _batches(
    root: Path, system: str, stream: Stream, until: str | None
) -> Callable[[], list[Path]]:
    last = int(until.removeprefix("batch_")) if until else None

    def find() -> list[Path]:
        return in_natural_order(
            path
            for path in root.glob(f"batch_*/{system}/{stream.object}.*")
            if path.suffix in READERS
            and path.stem == stream.object
            and not path.is_dir()
            and (number := _number(path)) is not None
            and (last is None or number <= last)
        )

    return find


def _number(path: Path) -> int | None:
    number = path.parts[-3].removeprefix("batch_")
    return int(number) if number.isdigit() else None
