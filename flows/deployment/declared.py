"""The state that a project declares, with everything checked that can be before a change."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import crmhouse
from crmhouse.errors import ConfigurationError
from flows.deployment import deployments, pool_template
from flows.deployment.automations import read_automations, references, triggered
from flows.deployment.notifications import blocks
from flows.deployment.prefect_file import read_prefect_file
from flows.deployment.resources import LIMIT_PREFIX, Faults, Resource, State
from flows.names import POOL

if TYPE_CHECKING:
    from collections.abc import Callable

    from crmhouse.settings import Settings
    from flows.deployment.prefect_file import DeploymentEntry
    from flows.deployment.server import Server

_FILE = "prefect.yaml"
_BLOCK = re.compile(r"\{\{\s*prefect\.blocks\.([\w-]+)\.([\w-]+)")


def declare(settings: Settings, server: Server) -> State:
    """Read and check everything that the project declares.

    Args:
        settings: the project's settings.
        server: is asked for the variables, pools and blocks that the files refer to.

    Raises:
        ConfigurationError: says every fault at once; nothing was changed.
    """
    faults = Faults()
    opened = settings.orchestration.notifications.opened()
    found: State = {}
    template = _template(settings)
    for resource in (*_pool(settings, template), *_limits(settings), *blocks(opened)):
        found[resource.key] = resource
    targets = [name for kind, name in found if kind == "block"]
    path = _prefect_file(settings)
    file = read_prefect_file(path, _variable(server))
    entries = deployments.entries(file, settings, faults)
    steps = deployments.pull_steps(_project(settings), file, settings.orchestration.work_pool_type)
    queues = set(settings.orchestration.work_queues)
    for entry in entries:
        where = f"{path}: {entry.name}"
        deployments.check_pool(entry, queues, where, faults)
        _check_job(entry, template, server, where, faults)
        made = [*deployments.resources(entry, where, steps, faults)]
        for number, trigger in enumerate(entry.triggers if made else ()):
            place = f"{where}, triggers[{number}]"
            made += triggered(trigger, made[1].name, place, faults)
        if made:
            found[made[0].key] = made[0]  # several deployments are of one flow
        _add(found, made[1:], faults)
    _add(found, read_automations(_automations(settings), targets, faults), faults)
    _check_references(found, server, faults)
    if faults.found:
        raise ConfigurationError(
            "\n".join(["What is declared is not valid; nothing was changed:", *faults.found])
        )
    return found


def _add(found: State, more: list[Resource], faults: Faults) -> None:
    for resource in more:
        if resource.key in found:
            faults.add(f"{resource.kind} {resource.name}", "it is declared twice")
        found[resource.key] = resource


def _pool(settings: Settings, template: dict[str, Any]) -> list[Resource]:
    wanted = settings.orchestration
    pool = Resource(
        "work pool",
        POOL,
        {
            "type": wanted.work_pool_type,
            "description": "Where the flows of crmhouse run.",
            "concurrency_limit": wanted.work_pool_limit,
            "base_job_template": template,
        },
    )
    queues = [
        Resource(
            "work queue",
            f"{POOL}/{name}",
            {"priority": queue.priority, "concurrency_limit": queue.limit},
        )
        # A new priority moves those after it, so the first comes first.
        for name, queue in sorted(
            wanted.work_queues.items(), key=lambda item: item[1].priority or math.inf
        )
    ]
    return [pool, *queues]


def _limits(settings: Settings) -> list[Resource]:
    """Limit what is read of a source at once, over all flows and machines."""
    return [
        Resource(
            "concurrency limit",
            f"{LIMIT_PREFIX}{source.name}",
            {"limit": source.parallel_slices, "slot_decay_per_second": 0.0},
        )
        for source in settings.sources
    ]


def _template(settings: Settings) -> dict[str, Any]:
    wanted = settings.orchestration
    own = wanted.base_job_template
    ours = packaged() / "deployments" / "work_pools" / f"{wanted.work_pool_type}.json"
    file = _project(settings) / own.expanduser() if own else ours
    return pool_template.read_template(file, wanted.work_pool_type)


def _prefect_file(settings: Settings) -> Path:
    if own := settings.orchestration.prefect_yaml:
        return _project(settings) / own.expanduser()
    beside = _project(settings) / _FILE
    return beside if beside.is_file() else packaged() / _FILE


def _automations(settings: Settings) -> Path:
    if own := settings.orchestration.automations:
        return _project(settings) / own.expanduser()
    return packaged() / "deployments" / "automations"


def _project(settings: Settings) -> Path:
    return settings.config_file.parent if settings.config_file else Path.cwd()


def packaged() -> Path:
    """Find the files that come with us: in the package, or beside it in a checkout.

    Raises:
        ConfigurationError: says where they were looked for.
    """
    package = Path(crmhouse.__file__).parent
    places = (package / "orchestration_files", package.parent)
    for place in places:
        if (place / _FILE).is_file():
            return place
    looked = " and ".join(map(str, places))
    raise ConfigurationError(f"{_FILE} is missing; looked in {looked}. Install again.")


def _variable(server: Server) -> Callable[[str], Any]:
    def value(name: str) -> Any:  # noqa: ANN401  # any JSON
        found = server.get(f"/variables/name/{name}")
        return None if found is None else found["value"]

    return value


def _check_job(
    entry: DeploymentEntry, template: dict[str, Any], server: Server, where: str, faults: Faults
) -> None:
    """Check the job variables of a deployment against the template of its pool."""
    pool = entry.work_pool.name
    if pool != POOL:
        present = server.get(f"/work_pools/{pool}")
        if present is None:
            faults.add(where, f"work_pool.name: there is no work pool {pool}; ours is {POOL}")
            return
        template = present["base_job_template"]
    for fault in pool_template.variable_faults(entry.work_pool.job_variables, template):
        faults.add(where, f"work_pool.{fault}")


def _check_references(found: State, server: Server, faults: Faults) -> None:
    """Check that everything an automation or a job refers to is declared or there."""
    seen: set[str] = set()
    for resource in found.values():
        if resource.kind == "automation":
            for kind, name in references(resource.fields):
                known = (kind, name) in found and (kind != "automation" or name in seen)
                if not known and not _is_there(server, kind, name):
                    faults.add(f"automation {resource.name}", f"there is no {kind} {name}")
            seen.add(resource.name)
        elif resource.kind == "deployment":
            for block in _BLOCK.findall(repr(resource.fields["job_variables"])):
                if not _is_there(server, "block", "/".join(block)):
                    faults.add(
                        f"deployment {resource.name}", f"there is no block {'/'.join(block)}"
                    )


def _is_there(server: Server, kind: str, name: str) -> bool:
    first, _, second = name.partition("/")
    match kind:
        case "block":
            path = f"/block_types/slug/{first}/block_documents/name/{second}"
        case "deployment":
            path = f"/deployments/name/{first}/{second}"
        case "work pool":
            path = f"/work_pools/{first}"
        case "work queue":
            path = f"/work_pools/{first}/queues/{second}"
        case _:
            return any(one["name"] == name for one in server.every("/automations/filter"))
    return server.get(path) is not None
