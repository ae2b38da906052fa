"""Gives the deployment sync-source the schedules that crmhouse.yaml sets for each source.

`python -m flows.schedules [CONFIG]`, after `prefect deploy --all`, and again whenever a source's
`schedule` changes. A schedule that somebody paused stays paused; other schedules are left alone,
and a deploy leaves these alone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from pydantic import ValidationError

from crmhouse.errors import ConfigurationError, CrmhouseError
from crmhouse.settings import Settings, load_settings

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.schemas.objects import DeploymentSchedule

DEPLOYMENT = "sync-source/sync-source"
_SLUG = "source-"
_TIME_ZONE = "UTC"


def apply(settings: Settings) -> dict[str, str]:
    """Make the deployment's schedules those of the sources.

    Returns:
        The cron expression of each source that has a schedule, by its name.

    Raises:
        ConfigurationError: a cron expression is not one, or there is no such deployment yet.
    """
    wanted = {source.name: source.schedule for source in settings.sources if source.schedule}
    schedules = {_slug(name): _schedule(name, cron) for name, cron in wanted.items()}
    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(DEPLOYMENT)
        except ObjectNotFound:
            raise ConfigurationError(
                f"There is no deployment {DEPLOYMENT}: `prefect --no-prompt deploy --all` makes it."
            ) from None
        present = {
            schedule.slug: schedule
            for schedule in client.read_deployment_schedules(deployment.id)
            if schedule.slug and schedule.slug.startswith(_SLUG)
        }
        for slug, schedule in present.items():
            if slug not in schedules:
                client.delete_deployment_schedule(deployment.id, schedule.id)
            elif _differ(schedule, schedules[slug]):
                client.update_deployment_schedule(
                    deployment.id,
                    schedule.id,
                    schedule=schedules[slug].schedule,
                    parameters=schedules[slug].parameters,
                )
        _create(client, deployment.id, [s for slug, s in schedules.items() if slug not in present])
    return wanted


def _slug(source: str) -> str:
    return _SLUG + source.replace("_", "-")


def _schedule(source: str, cron: str) -> DeploymentScheduleCreate:
    try:
        schedule = CronSchedule(cron=cron, timezone=_TIME_ZONE)
    except ValidationError:
        raise ConfigurationError(
            f"Source {source}: schedule {cron!r} is not a cron expression such as '*/15 * * * *'."
        ) from None
    return DeploymentScheduleCreate(
        schedule=schedule, active=True, slug=_slug(source), parameters={"source": source}
    )


def _differ(present: DeploymentSchedule, wanted: DeploymentScheduleCreate) -> bool:
    """Compare time and parameters; Prefect empties the parameters when somebody pauses it."""
    return present.schedule != wanted.schedule or present.parameters != wanted.parameters


def _create(
    client: SyncPrefectClient, deployment_id: UUID, schedules: list[DeploymentScheduleCreate]
) -> None:
    if schedules:
        client.create_deployment_schedules(deployment_id, schedules)


def main() -> int:
    """Apply the schedules and say which."""
    try:
        applied = apply(load_settings(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
    except CrmhouseError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for source, cron in applied.items():
        sys.stdout.write(f"{source}: {cron} ({_TIME_ZONE})\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
