"""The deployments and schedules that `prefect.yaml` and the sources declare."""

from __future__ import annotations

import json
from datetime import timedelta
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from prefect import Flow
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import validate
from prefect.utilities.schema_tools.validation import ValidationError as SchemaError
from pydantic import TypeAdapter, ValidationError

from crmhouse.settings import interval
from flows.deployment.prefect_file import ConcurrencyEntry, DeploymentEntry, ScheduleEntry
from flows.deployment.resources import Faults, Resource
from flows.deployment.yaml_files import faults_of
from flows.names import POOL, TAG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crmhouse.settings import Settings, SourceConfig
    from flows.deployment.prefect_file import PrefectFile, Steps

_OF_SOURCES = "sync-source"
_AT_LEAST = timedelta(seconds=1)
# Without a fixed one Prefect counts an interval from the moment of the deploy.
_ANCHOR = "2020-01-01T00:00:00+00:00"
_SCHEDULE: TypeAdapter[CronSchedule | IntervalSchedule | RRuleSchedule] = TypeAdapter(
    CronSchedule | IntervalSchedule | RRuleSchedule
)


def entries(file: PrefectFile, settings: Settings, faults: Faults) -> list[DeploymentEntry]:
    """Return the file's deployments and, after its `sync-source`, one for each source."""
    found = [*file.deployments]
    model = next((entry for entry in found if entry.name == _OF_SOURCES), None)
    if model is None:
        for source in settings.sources:
            if source.schedule:
                faults.add(
                    f"source {source.name}",
                    f"it has a schedule, but prefect.yaml has no deployment {_OF_SOURCES}, of "
                    "which each source's is made",
                )
        return found
    return [*found, *(_of_source(model, source, settings) for source in settings.sources)]


def _of_source(model: DeploymentEntry, source: SourceConfig, settings: Settings) -> DeploymentEntry:
    """Make the deployment of one source: parameters of its own, and one run at a time."""
    return model.model_copy(
        update={
            "name": source.name,
            "description": f"Brings the raw tables of {source.name} up to date.",
            "parameters": {**model.parameters, "source": source.name},
            "schedules": [_own_schedule(source.schedule, settings)] if source.schedule else [],
            "concurrency_limit": ConcurrencyEntry(limit=1),
            "triggers": [],
        }
    )


def _own_schedule(schedule: str, settings: Settings) -> ScheduleEntry:
    zone = settings.orchestration.time_zone
    if (seconds := interval(schedule)) is not None:
        return ScheduleEntry(slug="own", interval=timedelta(seconds=seconds), timezone=zone)
    return ScheduleEntry(slug="own", cron=schedule, timezone=zone)


def resources(
    entry: DeploymentEntry, where: str, steps: Steps | None, faults: Faults
) -> Iterator[Resource]:
    """Make the flow, the deployment and its schedules; none when there is no such flow.

    Args:
        entry: what is declared.
        where: its place, for the faults.
        steps: what a run does first, unless the entry says so itself.
        faults: is told what is wrong.
    """
    flow = _flow(entry, where, faults)
    if flow is None:
        return
    name = f"{flow.name}/{entry.name}"
    schema = without_empty_parts(json.loads(parameter_schema(flow).model_dump_json()))
    _check_parameters(entry.parameters, schema, where, faults, entry.enforce_parameter_schema)
    yield Resource("flow", flow.name, {}, ours=False)
    limit = entry.concurrency_limit
    yield Resource(
        "deployment",
        name,
        {
            "entrypoint": entry.entrypoint,
            "description": entry.description or flow.description,
            "version": entry.version or version("crmhouse"),
            "tags": sorted({*entry.tags, TAG}),
            "parameters": entry.parameters,
            "parameter_openapi_schema": schema,
            "enforce_parameter_schema": entry.enforce_parameter_schema,
            "concurrency": limit.model_dump() if limit else None,
            "work_pool_name": entry.work_pool.name,
            "work_queue_name": entry.work_pool.work_queue_name or "default",
            "job_variables": entry.work_pool.job_variables,
            "pull_steps": entry.pull if entry.pull is not None else steps,
        },
        paused=entry.paused,
    )
    slugs = [schedule.slug for schedule in entry.schedules]
    for twice in sorted({slug for slug in slugs if slugs.count(slug) > 1}):
        faults.add(where, f"the slug {twice} stands twice")
    for schedule in entry.schedules:
        place = f"{where}, schedule {schedule.slug}"
        if parameters := schedule.parameters:
            merged = {**entry.parameters, **parameters}
            _check_parameters(merged, schema, place, faults, entry.enforce_parameter_schema)
        if timing := _timing(schedule, place, faults):
            fields = {**timing, "parameters": parameters}
            yield Resource(
                "schedule", f"{name}/{schedule.slug}", fields, paused=not schedule.active
            )


def without_empty_parts(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a parameter schema does not need; Prefect's own deploy does so, too."""
    return {key: part for key, part in schema.items() if part or key == "properties"}


def timing_of(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the time of a schedule that a server holds, as a declared one has it."""
    found: dict[str, Any] = json.loads(_SCHEDULE.validate_python(raw).model_dump_json())
    return found


def pull_steps(folder: Path, file: PrefectFile, pool_type: str) -> Steps:
    """Return what a run does before it loads its flow: where it works.

    A process starts in the project's folder, where its crmhouse.yaml is, as `prefect deploy` has
    it; a container where its image says. Without a step Prefect would copy that folder each time.
    """
    if file.pull is not None:
        return file.pull
    directory = str(folder) if pool_type == "process" else "."
    return [{"prefect.deployments.steps.set_working_directory": {"directory": directory}}]


def _flow(entry: DeploymentEntry, where: str, faults: Faults) -> Flow[..., Any] | None:
    module, _, function = entry.entrypoint.rpartition(".")
    if ":" in entry.entrypoint or "/" in entry.entrypoint or not module:
        faults.add(
            where,
            f"entrypoint {entry.entrypoint}: a flow is named by its module, as in "
            "flows.refresh.refresh",
        )
        return None
    try:
        flow = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        faults.add(where, f"entrypoint {entry.entrypoint} cannot be imported: {error}")
        return None
    if not isinstance(flow, Flow):
        faults.add(where, f"entrypoint {entry.entrypoint} is not a flow")
        return None
    if entry.flow_name not in {None, flow.name}:
        faults.add(where, f"flow_name: the flow is called {flow.name}")
    return flow


def _check_parameters(
    parameters: dict[str, Any],
    schema: dict[str, Any],
    where: str,
    faults: Faults,
    enforced: bool,
) -> None:
    offered = schema["properties"]
    for name in sorted(set(parameters) - set(offered)):
        faults.add(where, f"parameters.{name}: the flow has {', '.join(offered)}")
    if enforced:
        try:
            validate(parameters, schema, raise_on_error=True, ignore_required=True)
        except SchemaError as error:
            faults.add(where, f"parameters: {error}")


def _timing(entry: ScheduleEntry, where: str, faults: Faults) -> dict[str, Any] | None:
    zone = {"timezone": entry.timezone}
    if entry.interval is not None and entry.interval < _AT_LEAST:
        faults.add(where, "the interval must be a second at least")
        return None
    try:
        if entry.cron is not None:
            made: Any = CronSchedule(cron=entry.cron, day_or=entry.day_or, **zone)
        elif entry.interval is not None:
            anchor: Any = entry.anchor_date or _ANCHOR
            made = IntervalSchedule(interval=entry.interval, anchor_date=anchor, **zone)
        else:
            made = RRuleSchedule(rrule=entry.rrule or "", **zone)
    except ValidationError as error:
        for place, what in faults_of(error):
            faults.add(where, f"{place}: {what}")
        return None
    found: dict[str, Any] = json.loads(made.model_dump_json())
    return found


def check_pool(entry: DeploymentEntry, queues: set[str], where: str, faults: Faults) -> None:
    """Check that the queue of a deployment on our pool is declared: Prefect would make one."""
    queue = entry.work_pool.work_queue_name
    if entry.work_pool.name == POOL and queue not in {None, "default", *queues}:
        faults.add(
            where,
            f"work_pool.work_queue_name: there is no queue {queue}; orchestration.work_queues "
            f"declares {', '.join(sorted(queues)) or 'none'}",
        )
