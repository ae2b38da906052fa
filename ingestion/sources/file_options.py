"""Options of the kind `files`, and the streams that they declare."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from crmhouse.errors import ConfigurationError
from ingestion.readers.encodings import is_encoding
from ingestion.readers.reading import Reading
from ingestion.streams import TYPE_NAMES, Column, Stream

_DELIMITER = re.compile(r"[\x01-\x7f]")


def _below_the_path(glob: str) -> str:
    parts = PurePath(glob).parts
    if not parts or PurePath(glob).is_absolute() or ".." in parts:
        raise ValueError("it must be relative, not empty, and without ..")
    if any("**" in part and part != "**" for part in parts):
        raise ValueError("** must stand alone between two slashes")
    return glob


Glob = Annotated[str, AfterValidator(_below_the_path)]


class FileStreamOptions(BaseModel):
    """One stream of a `files` source."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    glob: tuple[Glob, ...] = Field(
        min_length=1,
        description="Files of the stream, relative to the source's path; one pattern or name, or a "
        "list of them. Behind https:// they must be names.",
    )
    key: tuple[str, ...] = Field(min_length=1, description="Columns that identify a record.")
    columns: dict[str, str] = Field(
        default_factory=dict,
        description=f"Types of columns: {', '.join(sorted(TYPE_NAMES))}. Undeclared columns of a "
        "CSV file are text.",
    )
    version: str | None = Field(
        default=None, description="Column with the time of a record's last change."
    )
    format: Literal["csv", "jsonl", "json", "parquet", "xlsx"] | None = Field(
        default=None,
        description="csv, jsonl, json, parquet or xlsx; what the ending of a file's name says when "
        "left out.",
    )
    encoding: str | None = Field(
        default=None,
        description="Encoding of CSV and JSON files, such as `cp1252`; UTF-8 when left out. A byte "
        "order mark in the file has the last word.",
    )
    delimiter: str = Field(
        default=",",
        description="Character between the fields of a CSV file; `tab` for a tabulator.",
    )
    sheet: str | None = Field(
        default=None, description="Sheet of an Excel file; the first when left out."
    )
    header_row: int = Field(
        default=1, ge=1, description="Row of an Excel sheet that names the columns."
    )
    records: str | None = Field(
        default=None,
        min_length=1,
        description="Where in a JSON file the array of records is: the names that lead to it, "
        "`result.items`. Left out, the file is that array.",
    )

    @field_validator("glob", mode="before")
    @classmethod
    def _one_or_many(cls, glob: Any) -> Any:  # noqa: ANN401  # any YAML value
        return (glob,) if isinstance(glob, str) else glob

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str | None) -> str | None:
        if encoding is not None and not is_encoding(encoding):
            raise ValueError("there is no such encoding; usual ones are cp1252, latin-1, utf-16")
        return encoding

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, delimiter: str) -> str:
        delimiter = "\t" if delimiter == "tab" else delimiter
        if not _DELIMITER.fullmatch(delimiter) or delimiter in '"\r\n':
            raise ValueError("it must be one ASCII character, no quote and no line end; or tab")
        return delimiter

    @property
    def reading(self) -> Reading:
        """Return how the files are to be read."""
        path = tuple(self.records.split(".")) if self.records else ()
        return Reading(self.encoding, self.delimiter, self.sheet, self.header_row, path)

    @property
    def ending(self) -> str:
        """Return the ending that overrides that of the files; empty where there is none."""
        return f".{self.format}" if self.format else ""


PATH = (
    "Folder of the files, or a URL: `s3://bucket/folder`, `https://host/folder`. A relative path "
    "starts at the configuration file's folder."
)
STORAGE = (
    "Options of fsspec's file system for the URL, such as `endpoint_url` and `anon` of S3, or "
    "`headers` of a web server. Secrets only as ${VARIABLE}; without any, S3 takes the usual "
    "AWS_ variables."
)


class FilesOptions(BaseModel):
    """Options of the kind `files`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1, description=PATH)
    storage: dict[str, Any] = Field(default_factory=dict, repr=False, description=STORAGE)
    streams: dict[str, FileStreamOptions] = Field(
        min_length=1, description="The streams, by the name of their raw table."
    )


def declare(source: str, name: str, options: FileStreamOptions) -> Stream:
    """Return the stream that the options declare.

    Raises:
        ConfigurationError: a column type is unknown or a stream cannot be declared as asked.
    """
    types = dict(options.columns)
    for column in options.key:
        types.setdefault(column, "text")
    if options.version:
        types.setdefault(options.version, "timestamptz")
    unknown = sorted({kind for kind in types.values() if kind not in TYPE_NAMES})
    if unknown:
        raise ConfigurationError(
            f"Source {source}, stream {name}: unknown column type {', '.join(unknown)}. "
            f"Known are {', '.join(sorted(TYPE_NAMES))}."
        )
    declared = tuple(Column(field, TYPE_NAMES[kind]) for field, kind in types.items())
    names = {column.field: column.name for column in declared}
    try:
        return Stream(
            name=name,
            object=name,
            key=tuple(names[field] for field in options.key),
            columns=declared,
            version=names[options.version] if options.version else None,
        )
    except ValueError as error:
        raise ConfigurationError(f"Source {source}: {error}.") from None
