"""`prefect.yaml`, read strictly: Prefect itself drops a misspelt key without a word."""

from __future__ import annotations

import os
import re
from datetime import timedelta  # pydantic needs it at run time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from crmhouse.errors import ConfigurationError
from flows.deployment.resources import FromEnvironment
from flows.deployment.yaml_files import faults_of, plain, read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_STRICT = ConfigDict(extra="forbid", populate_by_name=True)
_NAME = r"^[^/%&><]+$"  # what Prefect allows
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_OF_ENVIRONMENT = re.compile(r"\{\{\s*\$")
_VARIABLE = "prefect.variables."
# What a worker fills in when the run begins, so that no secret is kept in the deployment.
_AT_RUN_TIME = ("prefect.blocks.", "ctx.")
_FILLED_IN_AT_RUN_TIME = re.compile(r"(?:^|\.)(?:job_variables|pull)\.")

Steps = list[dict[str, Any]]


class ScheduleEntry(BaseModel):
    """One schedule of a deployment."""

    model_config = _STRICT

    slug: str = Field(min_length=1)
    cron: str | None = None
    day_or: bool = True
    interval: timedelta | None = None
    anchor_date: str | None = None
    rrule: str | None = None
    timezone: str | None = None
    active: bool = True
    parameters: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_kind(self) -> ScheduleEntry:
        if sum(given is not None for given in (self.cron, self.interval, self.rrule)) != 1:
            raise ValueError("one of cron, interval and rrule has to be given")
        return self


class ConcurrencyEntry(BaseModel):
    """How many runs of a deployment may be at work, and what happens to a further one."""

    model_config = _STRICT

    limit: int = Field(ge=1)
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"] = "ENQUEUE"
    grace_period_seconds: int | None = None


def _limit(value: object) -> object:
    """Let a number alone be the limit, as Prefect does."""
    return {"limit": value} if isinstance(value, int) else value


Limit = Annotated[ConcurrencyEntry, BeforeValidator(_limit)]


class PoolEntry(BaseModel):
    """Where the runs of a deployment go."""

    model_config = _STRICT

    name: str
    work_queue_name: str | None = None
    job_variables: dict[str, Any] = Field(default_factory=dict)


class DeploymentEntry(BaseModel):
    """One deployment."""

    model_config = _STRICT

    name: str = Field(pattern=_NAME)
    entrypoint: str
    flow_name: str | None = None
    description: str | None = None
    version: str | None = None
    tags: list[str] = Field(default_factory=list)
    parameters: dict[str, Any] = Field(default_factory=dict)
    enforce_parameter_schema: bool = True
    schedules: list[ScheduleEntry] = Field(default_factory=list)
    paused: bool = False
    concurrency_limit: Limit | None = None
    work_pool: PoolEntry
    pull: Steps | None = None
    triggers: list[dict[str, Any]] = Field(default_factory=list)


class PrefectFile(BaseModel):
    """The whole file."""

    model_config = _STRICT

    name: str | None = None
    prefect_version: str | None = Field(default=None, alias="prefect-version")
    definitions: Any = None  # a place for YAML anchors
    pull: Steps | None = None
    deployments: list[DeploymentEntry]


_REFUSED = {
    "build": "this command builds nothing; build the image first, or use `prefect deploy`",
    "push": "this command pushes nothing; push the image first, or use `prefect deploy`",
    "sla": "service level agreements are Prefect Cloud's; here an automation watches instead",
    "version_type": "only the version itself is kept; write `version`",
    "schedule": "write `schedules`, a list, each with its slug",
}


def read_prefect_file(file: Path, variable: Callable[[str], Any]) -> PrefectFile:
    """Read the file and fill in `{{ $NAME }}` and `{{ prefect.variables.name }}`.

    Args:
        file: the file.
        variable: returns the value of a Prefect variable; None when there is none.

    Raises:
        ConfigurationError: says every fault at once.
    """
    content = plain(read_yaml(file))
    if not isinstance(content, dict):
        raise ConfigurationError(f"{file}: the top level must have `deployments`.")
    faults = _refused(content)
    try:
        # What a trigger hands to its run holds templates of the event, which are Prefect's.
        filled = _fill(content, variable, at="")
        return _without_refused(filled, faults)
    except ValidationError as error:
        faults += [f"  {place}: {what}" for place, what in faults_of(error)]
    except ConfigurationError as error:
        faults.append(f"  {error}")
    raise ConfigurationError("\n".join([f"{file} is not valid; nothing was changed:", *faults]))


def _refused(content: dict[str, Any]) -> list[str]:
    """Say what Prefect knows and we do not do; empty entries do no harm."""
    places = [("", content)]
    deployments = content.get("deployments")
    for number, entry in enumerate(deployments if isinstance(deployments, list) else []):
        if isinstance(entry, dict):
            places.append((f"deployments.{number}.", entry))
    faults = []
    for at, entry in places:
        for key, reason in _REFUSED.items():
            if entry.pop(key, None):
                faults.append(f"  {at}{key}: {reason}")
    return faults


def _without_refused(content: dict[str, Any], faults: list[str]) -> PrefectFile:
    parsed = PrefectFile.model_validate(content)
    if faults:
        raise ConfigurationError("\n".join(faults).strip())
    return parsed


def _fill(value: Any, variable: Callable[[str], Any], at: str) -> Any:  # noqa: ANN401  # any part
    if isinstance(value, dict):
        return {
            key: item if key == "triggers" else _fill(item, variable, f"{at}.{key}".lstrip("."))
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_fill(item, variable, f"{at}.{number}") for number, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    if whole := _PLACEHOLDER.fullmatch(value):
        return _value(whole, variable, at)
    filled = _PLACEHOLDER.sub(lambda match: str(_value(match, variable, at)), value)
    return FromEnvironment(filled) if _OF_ENVIRONMENT.search(value) else filled


def _value(match: re.Match[str], variable: Callable[[str], Any], at: str) -> Any:  # noqa: ANN401
    """Return what stands for a placeholder.

    Raises:
        ConfigurationError: it cannot be filled in here.
    """
    name = match[1]
    if name.startswith("$"):
        if name[1:] in os.environ:
            return FromEnvironment(os.environ[name[1:]])
        raise ConfigurationError(f"{at}: the environment variable {name[1:]} is not set")
    if name.startswith(_VARIABLE):
        if (found := variable(name.removeprefix(_VARIABLE))) is not None:
            return found
        raise ConfigurationError(f"{at}: the server has no variable of this name: {name}")
    if name.startswith(_AT_RUN_TIME) and _FILLED_IN_AT_RUN_TIME.search(at):
        return match[0]
    raise ConfigurationError(
        f"{at}: {{{{ {name} }}}} cannot be filled in. There are {{{{ $VARIABLE }}}} and "
        "{{ prefect.variables.name }}; in job variables and pull steps also blocks, which the "
        "worker opens"
    )
