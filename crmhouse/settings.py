"""Settings: `crmhouse.yaml` beside environment variables, checked before any work starts.

Every setting can be given as `CRMHOUSE_<NAME>`; the environment wins over the file. Secrets come
from the environment only: the file may refer to a variable (`${NAME}`) but not hold a value.
"""

from __future__ import annotations

import os
import re
from datetime import datetime  # pydantic needs it at run time
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from crmhouse.errors import ConfigurationError
from crmhouse.literal_secrets import refuse_literal_secrets
from crmhouse.orchestration import OrchestrationSettings
from crmhouse.variables import expand

CONFIG_FILE_VARIABLE = "CRMHOUSE_CONFIG"
DEFAULT_CONFIG_FILE = "crmhouse.yaml"

_UNKNOWN = "there is no such setting; docs/reference/settings.md lists all of them"
_DURATION = re.compile(r"([1-9]\d{0,5})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
# Filled in by who needs them (`opened`), so that other commands need no secrets.
_LATER = re.compile(r"sources\[\d+\]\.options|orchestration\.notifications")


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a moment needs its UTC offset, as in 2025-04-01T00:00:00Z")
    return moment


def interval(text: str) -> int | None:
    """Return the seconds of a time such as `15m`; None where it is none, as a cron expression."""
    found = _DURATION.fullmatch(text)
    return int(found[1]) * _SECONDS[found[2]] if found else None


def _schedule(schedule: str) -> str:
    """Refuse what has the form of neither; Prefect looks at the fields of a cron expression."""
    if interval(schedule) is None and len(schedule.split()) not in {5, 6}:
        raise ValueError(
            "this is neither a cron expression such as '*/15 * * * *' nor an interval such as 15m"
        )
    return schedule


def _duration(text: str) -> str:
    if interval(text) is None:
        raise ValueError("this is not a time such as 45m, 6h or 2d")
    return text


Schedule = Annotated[str, AfterValidator(_schedule)]
Duration = Annotated[str, AfterValidator(_duration)]
Moment = Annotated[datetime, AfterValidator(_aware)]


class SourceConfig(BaseModel):
    """One configured source: an account of a system, or a set of files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,39}$",
        description="Name of the source; its raw tables are in the schema raw_<name>.",
    )
    kind: str = Field(description="Kind of the source; `crmhouse sources --kinds` lists them.")
    streams: tuple[str, ...] | None = Field(
        default=None, description="Streams to sync; all of the source's when left out."
    )
    schedule: Schedule | None = Field(
        default=None,
        description="When this source is synced by itself: a cron expression such as "
        "`*/15 * * * *`, or an interval such as `15m`, `2h`, `1d`.",
    )
    parallel_slices: int = Field(
        default=4,
        ge=1,
        le=64,
        description="How many slices of this source are read at once at most, over all flows; "
        "it protects the source's API.",
    )
    late_after: Duration | None = Field(
        default=None,
        description="Age of the source's newest data from which on it is late, such as `6h` or "
        "`2d`: longer than it may be that nothing changes in it. Left out, it is never late.",
    )
    schema_contract: Literal["evolve", "freeze", "discard"] = Field(
        default="evolve",
        description="What is done, once a stream has landed, about a record that needs a new "
        "column or a wider type. `evolve`: the table gets it. `freeze`: the slice fails and lands "
        "nothing, also where a column is gone. `discard`: the record goes to quarantine.",
    )
    currency: str | None = Field(
        default=None,
        pattern=r"^[A-Z]{3}$",
        description="Currency of amounts that name none, as in a Salesforce org with a single "
        "currency. Left out, such amounts are reported as not converted, never guessed.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Options of the kind; docs/reference/sources.md lists them.",
    )

    @property
    def late_after_seconds(self) -> int | None:
        """Return the age from which on the source is late."""
        return interval(self.late_after or "")

    def opened(self) -> dict[str, Any]:
        """Return the options with the environment's values: only who reads the source needs them.

        Raises:
            ConfigurationError: names a variable that is not set.
        """
        options: dict[str, Any] = expand(self.options, f"Source {self.name}", at="options")
        return options


class DbtSettings(BaseModel):
    """How dbt is run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threads: int = Field(default=2, ge=1, le=32, description="Models that dbt builds at once.")
    timeout_seconds: int = Field(
        default=3600, ge=1, description="A dbt call that takes longer is stopped and fails."
    )


Days = Annotated[int, Field(ge=1, le=36_500)] | None


class RetentionSettings(BaseModel):
    """How long the warehouse keeps the book of its own work; `crmhouse maintain` looks after it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sync_runs: Days = Field(
        default=90,
        description="Days until the rows of a stream's old syncs are summed up in one. The last "
        "sync of each stream and the last good one stay. null keeps all for ever.",
    )
    runs: Days = Field(
        default=365,
        description="Days until an old run is removed; the last one and the last one that "
        "published stay. null keeps all for ever.",
    )
    gate_results: Days = Field(
        default=90,
        description="Days until the results of the quality gates are removed; those of the last "
        "run and those that the next run compares itself with stay. null keeps all for ever.",
    )
    resolved_quarantine: Days = Field(
        default=30,
        description="Days after which a record that is held no longer is removed, with its "
        "values; an open one is never. null keeps all for ever.",
    )
    open_flow_runs: Days = Field(
        default=7,
        description="Days after which a flow run that has not ended, and gives no sign of "
        "life, is ended in Prefect as Abandoned. null leaves all as they are.",
    )
    gone_workers: Days = Field(
        default=7,
        description="Days after its last heartbeat until Prefect forgets a worker. null keeps all.",
    )


class Settings(BaseSettings):
    """All settings of a crmhouse project."""

    model_config = SettingsConfigDict(
        env_prefix="CRMHOUSE_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    warehouse_url: SecretStr | None = Field(
        default=None,
        description="URL of the PostgreSQL (14 or newer) to use, postgresql://user:password@"
        "host:port/database. Left out: an embedded PostgreSQL in the home folder.",
    )
    home: Path = Field(
        default=Path(".crmhouse"),
        description="Folder of everything local: embedded PostgreSQL, dbt artifacts, reports. "
        "A relative path starts at the configuration file's folder.",
    )
    as_of: Moment | None = Field(
        default=None,
        description="The moment that figures are for, exclusive; not before the newest record. "
        "Left out: just after the newest source time that has landed, over all sources.",
    )
    reporting_currency: str = Field(
        default="USD",
        pattern=r"^[A-Z]{3}$",
        description="Currency of the columns that end in _usd. Anything but USD keeps these "
        "names, so change it before the first run.",
    )
    fx_rates: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$",
        description="Stream with the monthly exchange rates, <source>.<stream>, columns month "
        "(YYYY-MM), currency, usd_per_unit. A missing rate is reported, never guessed.",
    )
    source_trust: tuple[str, ...] = Field(
        default=("salesforce", "hubspot", "stripe", "shopify"),
        description="Systems in the order in which their values win in the golden record.",
    )
    max_quarantine_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="A slice with a larger share of bad records fails and lands nothing; fewer "
        "than ten bad records fail it only where it has no good one. 0 allows none.",
    )
    refresh_row_floor: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Where all records of a stream are read: the least that must arrive, as a "
        "share of the rows that raw holds and that are not deleted. With fewer nothing changes.",
    )
    batch_rows: int = Field(
        default=25_000,
        ge=1,
        description="Records held in memory at once while a stream is landed.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="What goes to the log on standard error."
    )
    log_format: Literal["text", "json"] = Field(
        default="text",
        description="Form of the log. `json`: one object a line, with run, source and stream, for "
        "what collects logs.",
    )
    dbt: DbtSettings = Field(default_factory=DbtSettings, description="How dbt is run.")
    retention: RetentionSettings = Field(
        default_factory=RetentionSettings,
        description="How long the book of past work is kept.",
    )
    orchestration: OrchestrationSettings = Field(
        default_factory=OrchestrationSettings,
        description="What `crmhouse deploy` makes on the Prefect server.",
    )
    sources: tuple[SourceConfig, ...] = Field(
        default=(), description="The sources; each name once."
    )

    config_file: Path | None = Field(
        default=None, description="The file these settings were read from; set by the loader."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # pydantic's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, whose content arrives as init arguments."""
        return env_settings, init_settings

    def source(self, name: str) -> SourceConfig:
        """Return the configured source of that name."""
        for source in self.sources:
            if source.name == name:
                return source
        known = ", ".join(source.name for source in self.sources) or "none"
        raise ConfigurationError(f"No source is called {name!r}. Configured sources: {known}.")


def config_path(path: Path | None = None) -> Path | None:
    """Find the configuration file: argument, CRMHOUSE_CONFIG, crmhouse.yaml in this folder.

    Raises:
        ConfigurationError: a file that was asked for by name does not exist.
    """
    named = path or (Path(value) if (value := os.environ.get(CONFIG_FILE_VARIABLE)) else None)
    if named is not None:
        if not named.is_file():
            raise ConfigurationError(
                f"The configuration file {named} does not exist. "
                "`crmhouse init` writes one; --config or CRMHOUSE_CONFIG names another."
            )
        return named
    default = Path(DEFAULT_CONFIG_FILE)
    return default if default.is_file() else None


def load_settings(path: Path | None = None) -> Settings:
    """Read and check the settings.

    Args:
        path: the configuration file; found by `config_path` when left out. Without any file the
            settings are those of the environment and the defaults.

    Raises:
        ConfigurationError: says every fault of the file and the environment at once.
    """
    file = config_path(path)
    content = _read(file) if file else {}
    try:
        settings = Settings(**content, config_file=file.resolve() if file else None)
    except ValidationError as error:
        raise ConfigurationError(_faults(error, file)) from None
    except SettingsError as error:
        raise ConfigurationError(_no_json(error)) from None
    names = [source.name for source in settings.sources]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(f"{file}: source names stand twice: {', '.join(twice)}.")
    base = settings.config_file.parent if settings.config_file else Path.cwd()
    return settings.model_copy(update={"home": (base / settings.home.expanduser()).resolve()})


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise ConfigurationError(f"{file}{line}: this is not valid YAML.") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(f"{file}: the top level must be settings by name, not a list.")
    if "config_file" in content:
        raise ConfigurationError(f"{file}: config_file is not a setting.")
    refuse_literal_secrets(content, file)
    expanded: dict[str, Any] = expand(content, str(file), at="", later=_LATER)
    return expanded


def _no_json(error: SettingsError) -> str:
    """Name the variable of a list or a group that is not JSON; its own message names the field."""
    field = re.search(r'field "(\w+)"', str(error))
    name = f"CRMHOUSE_{field[1].upper()}" if field else "A CRMHOUSE_ variable"
    return (
        f"The environment variable {name} is not valid JSON. A list is written "
        '["salesforce", "stripe"], a group of settings {"threads": 2}.'
    )


def _faults(error: ValidationError, file: Path | None) -> str:
    """List every fault with its place; never the value, it may be a secret."""
    places = f"{file or 'no configuration file'} and the CRMHOUSE_ environment variables"
    lines = [
        f"  {'.'.join(str(part) for part in fault['loc']) or 'settings'}: "
        + (_UNKNOWN if fault["type"] == "extra_forbidden" else fault["msg"])
        for fault in error.errors(include_input=False, include_url=False)
    ]
    return "\n".join([f"The settings are not valid (looked at {places}):", *lines])
