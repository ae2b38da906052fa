"""Options of the kind `database`."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from ingestion.streams import TYPE_NAMES


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("there is no such time zone; one is called Europe/Vienna")
    return name


def _type(name: str) -> str:
    if name not in TYPE_NAMES:
        raise ValueError(f"there is no such type; there are {', '.join(sorted(TYPE_NAMES))}")
    return name


class TableOptions(BaseModel):
    """One stream of a database: a table or a view."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str | None = Field(
        default=None, description="Table or view; the stream's name when left out."
    )
    db_schema: str | None = Field(
        default=None, description="Its schema, where that is another than the source's."
    )
    key: tuple[str, ...] = Field(
        default=(),
        description="Columns that identify a row; the table's primary key when left out. A table "
        "or a view with neither is read in full at every sync.",
    )
    cursor: str | None = Field(
        default=None,
        description="Column that grows with every change of a row: a time of change, or a number. "
        "Left out, the table is read in full at every sync.",
    )
    lookback: float | None = Field(
        default=None,
        ge=0,
        description="How far behind the newest cursor rows are read again, because transactions "
        "commit out of order: seconds of a time (300 when left out), units of a number (1000).",
    )
    deleted: str | None = Field(
        default=None,
        description="Column that says that a row is deleted: a flag, or the time of deletion.",
    )
    columns: dict[str, Annotated[str, AfterValidator(_type)]] = Field(
        default_factory=dict,
        description="Types of columns, where the database's own are not what they should be: "
        f"{', '.join(sorted(TYPE_NAMES))}.",
    )
    exclude: tuple[str, ...] = Field(default=(), description="Columns that are not read.")
    slice_rows: int = Field(
        default=1_000_000,
        ge=1000,
        description="Rows of a slice of the first load. Slices are landed one by one, or by "
        "several processes side by side; a load that was cut short goes on with the next one.",
    )
    sweep_every_hours: float | None = Field(
        default=24,
        ge=0,
        description="How often all keys are read to find rows that were deleted. 0: at every "
        "sync. null: never.",
    )


class DatabaseOptions(BaseModel):
    """Options of the kind `database`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr = Field(
        description="SQLAlchemy URL: postgresql://user:password@host/database, mysql://…, "
        "mariadb://…, sqlite:///file, or any other dialect that is installed. A URL with a "
        "password is given as `${NAME_OF_A_VARIABLE}`."
    )
    db_schema: str | None = Field(
        default=None, description="Schema of the tables; the database's default when left out."
    )
    tables: dict[str, TableOptions] = Field(
        default_factory=dict,
        description="The streams, by the name of their raw table. Left out: every table of the "
        "schema, each read in full at every sync.",
    )
    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        default="UTC", description="Zone of times that are stored without one."
    )
    statement_timeout_seconds: int = Field(
        default=3600,
        ge=1,
        description="A statement that takes longer is cancelled: the source is not held up.",
    )

    @property
    def zone(self) -> ZoneInfo:
        """Return the zone of times without one."""
        return ZoneInfo(self.timezone)
