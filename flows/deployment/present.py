"""The state that a Prefect server holds, in the form of the declared one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.deployment import automations
from flows.deployment.deployments import timing_of, without_empty_parts
from flows.deployment.resources import (
    AUTOMATION_PREFIX,
    BLOCK_PREFIX,
    LIMIT_PREFIX,
    Kind,
    Resource,
    State,
)
from flows.names import TAG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.deployment.server import Server


def read(server: Server) -> State:
    """Read everything that can be declared, also what is not ours: automations refer to it.

    Raises:
        ConfigurationError: the server wants another password.
        OrchestratorError: the server refused or did not answer.
    """
    found: State = {}
    for resource in (*_pools(server), *_limits(server), *_blocks(server), *_deployments(server)):
        found[resource.key] = resource
    for resource in _automations(server, found):
        first = found.setdefault(resource.key, resource)
        if first is not resource:  # Prefect lets two automations have one name
            found[resource.key] = _with_twin(first, resource)
    return found


def _with_twin(first: Resource, second: Resource) -> Resource:
    return Resource(
        first.kind,
        first.name,
        first.fields,
        paused=first.paused and second.paused,
        ours=first.ours,
        id=first.id,
        twins=(*first.twins, second.id),
    )


def _pools(server: Server) -> Iterator[Resource]:
    for pool in server.every("/work_pools/filter"):
        kept = ("type", "description", "concurrency_limit", "base_job_template")
        yield _resource("work pool", pool["name"], pool, kept, paused=pool["is_paused"], ours=False)
        for queue in server.every(f"/work_pools/{pool['name']}/queues/filter"):
            yield _resource(
                "work queue",
                f"{pool['name']}/{queue['name']}",
                queue,
                ("priority", "concurrency_limit"),
                paused=queue["is_paused"],
                ours=False,
            )


def _limits(server: Server) -> Iterator[Resource]:
    for limit in server.every("/v2/concurrency_limits/filter"):
        yield _resource(
            "concurrency limit",
            limit["name"],
            limit,
            ("limit", "slot_decay_per_second"),
            paused=not limit["active"],
            ours=limit["name"].startswith(LIMIT_PREFIX),
        )


def _blocks(server: Server) -> Iterator[Resource]:
    for block in server.every("/block_documents/filter", include_secrets=True):
        if block["name"]:
            yield Resource(
                "block",
                f"{block['block_type']['slug']}/{block['name']}",
                {"data": block["data"]},
                ours=block["name"].startswith(BLOCK_PREFIX),
                hidden=True,
                id=block["id"],
            )


def _deployments(server: Server) -> Iterator[Resource]:
    flows = {flow["id"]: flow["name"] for flow in server.every("/flows/filter")}
    for flow_id, name in flows.items():
        yield Resource("flow", name, {}, ours=False, id=flow_id)  # its runs hang on it
    kept = (
        "entrypoint", "description", "version", "tags", "parameters", "parameter_openapi_schema",
        "enforce_parameter_schema", "work_pool_name", "work_queue_name", "job_variables",
        "pull_steps",
    )  # fmt: skip
    for raw in server.every("/deployments/filter"):
        name = f"{flows[raw['flow_id']]}/{raw['name']}"
        ours = TAG in raw["tags"]
        schema = without_empty_parts(raw["parameter_openapi_schema"] or {})
        content = {**raw, "tags": sorted(raw["tags"]), "parameter_openapi_schema": schema}
        made = _resource("deployment", name, content, kept, paused=raw["paused"], ours=ours)
        made.fields["concurrency"] = _concurrency(raw)
        yield made
        for schedule in raw["schedules"]:
            fields = {**timing_of(schedule["schedule"]), "parameters": schedule["parameters"]}
            yield Resource(
                "schedule",
                f"{name}/{schedule['slug'] or schedule['id']}",
                fields,
                paused=not schedule["active"],
                # One without a slug was made by hand.
                ours=ours and bool(schedule["slug"]),
                id=schedule["id"],
            )


def _concurrency(raw: dict[str, Any]) -> dict[str, Any] | None:
    if not (limit := raw["global_concurrency_limit"]):
        return None
    options = raw["concurrency_options"] or {}
    return {
        "limit": limit["limit"],
        "collision_strategy": options.get("collision_strategy", "ENQUEUE"),
        "grace_period_seconds": options.get("grace_period_seconds"),
    }


def _automations(server: Server, found: State) -> Iterator[Resource]:
    names = {resource.id: resource.name for resource in found.values()}
    raw_automations = server.every("/automations/filter", sort="CREATED_DESC")
    names |= {raw["id"]: raw["name"] for raw in raw_automations}
    for raw in reversed(raw_automations):
        ours = raw["name"].startswith(AUTOMATION_PREFIX)
        fields = automations.present(raw, names) if ours else {}
        yield Resource(
            "automation", raw["name"], fields, paused=not raw["enabled"], ours=ours, id=raw["id"]
        )


def _resource(
    kind: Kind,
    name: str,
    raw: dict[str, Any],
    kept: tuple[str, ...],
    *,
    paused: bool,
    ours: bool,
) -> Resource:
    fields = {key: raw[key] for key in kept}
    return Resource(kind, name, fields, paused=paused, ours=ours, id=raw["id"])
