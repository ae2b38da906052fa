"""The settings of what `crmhouse deploy` makes on a Prefect server."""

from __future__ import annotations

from pathlib import Path  # pydantic needs it at run time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from crmhouse.errors import ConfigurationError
from crmhouse.variables import expand

_STRICT = ConfigDict(extra="forbid", frozen=True)


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            "this is not the name of a time zone, such as Europe/Berlin or Etc/UTC"
        ) from None
    return name


# An address, or the variable that holds it until a deploy opens it.
Address = Annotated[str, Field(pattern=r"^(?:\$\{[A-Z][A-Z0-9_]*\}|[^@\s,]+@[^@\s,]+)$")]
TimeZone = Annotated[str, AfterValidator(_zone)]


class WorkQueue(BaseModel):
    """One further queue of the work pool, beside `default`."""

    model_config = _STRICT

    priority: int | None = Field(
        default=None,
        ge=1,
        description="Runs of a queue with a lower number start first, so no two have the same; in "
        "order of making when left out.",
    )
    limit: int | None = Field(
        default=None, ge=1, description="Most runs of this queue at once; no limit when left out."
    )


def _apart(queues: dict[str, WorkQueue]) -> dict[str, WorkQueue]:
    """Refuse what Prefect would not keep as it is written."""
    if "default" in queues:
        raise ValueError(
            "Prefect makes the queue `default` itself, with the pool; declare further ones here, "
            "and limit the pool with work_pool_limit"
        )
    priorities = [queue.priority for queue in queues.values() if queue.priority is not None]
    if twice := sorted({one for one in priorities if priorities.count(one) > 1}):
        raise ValueError(
            f"two queues have the priority {twice[0]}; Prefect would move one of them, so each "
            "needs a number of its own"
        )
    return queues


class MailTarget(BaseModel):
    """The mail server that takes the alerts, and whom they go to."""

    model_config = _STRICT

    host: str = Field(description="Name of the mail server.")
    port: int = Field(default=587, ge=1, le=65535, description="Its port.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the connection is secured."
    )
    user: str | None = Field(default=None, description="Who logs in; nobody when left out.")
    password: SecretStr | None = Field(
        default=None, description="The password of `user`, as `${NAME_OF_A_VARIABLE}`."
    )
    sender: Address = Field(description="The address that alerts come from.")
    to: tuple[Address, ...] = Field(min_length=1, description="The addresses that alerts go to.")


class Notifications(BaseModel):
    """Where alerts go. Without any target they are only marked in Prefect's event feed."""

    model_config = _STRICT

    webhook: SecretStr | None = Field(
        default=None,
        description="URL that gets each alert as JSON (`subject`, `text`), as "
        "`${NAME_OF_A_VARIABLE}`: such URLs are secrets.",
    )
    mail: MailTarget | None = Field(default=None, description="The mail server and addresses.")

    def opened(self) -> Notifications:
        """Return the targets with the environment's values: only a deploy needs them.

        Raises:
            ConfigurationError: names a variable that is not set.
        """
        content = _revealed(self.model_dump(exclude_none=True))
        at = "orchestration.notifications"
        try:
            return Notifications(**expand(content, "The settings", at=at))
        except ValidationError as error:
            faults = error.errors(include_input=False, include_url=False)
            places = ", ".join(".".join(map(str, fault["loc"])) for fault in faults)
            raise ConfigurationError(
                f"{at}: what the environment holds for {places} is not valid."
            ) from None


class OrchestrationSettings(BaseModel):
    """What `crmhouse deploy` makes on the Prefect server."""

    model_config = _STRICT

    work_pool_type: Literal["process", "docker", "kubernetes"] = Field(
        default="process", description="Type of the work pool `crmhouse`: where flows run."
    )
    base_job_template: Path | None = Field(
        default=None,
        description="JSON file with the base job template of the pool; ours of that type when "
        "left out. A relative path starts at the configuration file's folder.",
    )
    work_pool_limit: int | None = Field(
        default=None, ge=1, description="Most runs of the pool at once; no limit when left out."
    )
    work_queues: Annotated[dict[str, WorkQueue], AfterValidator(_apart)] = Field(
        default_factory=dict,
        description="Further queues of the pool beside `default`, by name; deployments name theirs "
        "as `work_queue_name`.",
    )
    time_zone: TimeZone = Field(
        default="Etc/UTC", description="Time zone of the `schedule` of the sources."
    )
    prefect_yaml: Path | None = Field(
        default=None,
        description="The file of the deployments; left out, `prefect.yaml` beside the "
        "configuration file and, where there is none, the one that comes with crmhouse.",
    )
    automations: Path | None = Field(
        default=None,
        description="Folder of the automations, `*.yaml`; those that come with crmhouse when "
        "left out.",
    )
    notifications: Notifications = Field(
        default_factory=Notifications, description="Where alerts go."
    )


def _revealed(value: Any) -> Any:  # noqa: ANN401  # any part of the targets
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict):
        return {key: _revealed(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_revealed(item) for item in value]
    return value
