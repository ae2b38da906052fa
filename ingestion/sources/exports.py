"""Exports: folders of files that a SaaS system wrote, batch after batch.

The layout is `<path>/batch_<n>/<system>/<Object>.csv` (or another known format): the first batch is
everything, each later one what has changed since, deletions flagged.
"""

from __future__ import annotations

from functools import partial
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from crmhouse.errors import ConfigurationError
from ingestion.readers import Endings
from ingestion.sources import hubspot, salesforce, shopify, stripe
from ingestion.sources.file_options import STORAGE
from ingestion.sources.files import FilesConnector, FileStream
from ingestion.sources.places import place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingestion.sources.connector import Given
    from ingestion.sources.places import File, Place
    from ingestion.streams import Stream

SYSTEMS: Mapping[str, tuple[Stream, ...]] = MappingProxyType(
    {
        "salesforce": (*salesforce.STREAMS, *salesforce.MORE),
        "hubspot": (*hubspot.STREAMS, *hubspot.MORE),
        "stripe": (*stripe.STREAMS, *stripe.MORE),
        "shopify": (*shopify.STREAMS, *shopify.MORE),
    }
)
_EXPECTED = (*salesforce.STREAMS, *hubspot.STREAMS, *stripe.STREAMS, *shopify.STREAMS)


class ExportOptions(BaseModel):
    """Options of the kinds `<system>_export`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(
        min_length=1,
        description="Folder that holds batch_1, batch_2, …, or its URL (`s3://bucket/folder`); a "
        "relative path starts at the configuration file's folder.",
    )
    storage: dict[str, Any] = Field(default_factory=dict, repr=False, description=STORAGE)
    until: str | None = Field(
        default=None,
        pattern=r"^batch_\d+$",
        description="Last batch to read; all of them when left out.",
    )


def build(system: str, options: Mapping[str, Any], given: Given) -> FilesConnector:
    """Make the connector that reads the exports of one system.

    Args:
        system: one of `SYSTEMS`.
        options: the configured options, checked against `ExportOptions`.
        given: what it gets beside them.

    Raises:
        ConfigurationError: the path cannot be used as it is.
    """
    checked = ExportOptions.model_validate(options)
    place = place_of(checked.path, checked.storage, given.base)
    if not place.can_list:
        raise ConfigurationError(
            f"{place.where}: a web server does not list its files, so batches cannot be found "
            "there. Give the kind files their names, or put them into a folder or a bucket."
        )
    files = tuple(
        FileStream(
            stream,
            partial(_batches, place, system, stream, checked.until),
            f"{place.where}/batch_*/{system}/{stream.object}.csv, .jsonl or another known format",
            is_optional=stream not in _EXPECTED,
        )
        for stream in SYSTEMS[system]
    )
    return FilesConnector(system, place, files, given.batch_rows)


def _batches(place: Place, system: str, stream: Stream, until: str | None) -> list[File]:
    last = int(until.removeprefix("batch_")) if until else None
    return [
        file
        for file in place.find([f"batch_*/{system}/{stream.object}.*"])
        if (endings := Endings.of(file.name)).format
        and endings.stem == stream.object
        and (number := _number(file.name)) is not None
        and (last is None or number <= last)
    ]


def _number(name: str) -> int | None:
    number = PurePosixPath(name).parts[0].removeprefix("batch_")
    return int(number) if number.isdigit() else None
