"""How each kind of resource is made, changed and removed on a Prefect server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from crmhouse.errors import OrchestratorError
from flows.deployment import automations

if TYPE_CHECKING:
    from flows.deployment.resources import Kind, Resource, State
    from flows.deployment.server import Server

_PLACES: dict[Kind, str] = {
    "block": "/block_documents",
    "flow": "/flows",
    "deployment": "/deployments",
    "automation": "/automations",
    "concurrency limit": "/v2/concurrency_limits",
}
# Prefect's name of the switch, and whether it means that the resource is out of action.
_SWITCHES: dict[Kind, tuple[str, bool]] = {
    "work pool": ("is_paused", True),
    "work queue": ("is_paused", True),
    "concurrency limit": ("active", False),
    "deployment": ("paused", True),
    "schedule": ("active", False),
    "automation": ("enabled", False),
}


class Writer:
    """Writes to a server, and knows the ids of what is there.

    Args:
        server: the server.
        present: what it held when the difference was made.
    """

    def __init__(self, server: Server, present: State) -> None:
        self._server = server
        self._ids = {key: resource.id for key, resource in present.items()}

    def create(self, wanted: Resource) -> None:
        """Make a resource.

        Raises:
            OrchestratorError: the server refused or did not answer.
        """
        body = {**self._body(wanted), **_switch(wanted, paused=wanted.paused)}
        if wanted.kind == "schedule":  # they are made in lists
            made = self._server.post(self._folder(wanted), [body])[0]
        else:
            made = self._server.post(self._folder(wanted), body)
        self._ids[wanted.key] = made["id"]

    def change(self, wanted: Resource, held: Resource, *, paused: bool) -> None:
        """Make a resource what it is to be.

        Raises:
            OrchestratorError: the server refused or did not answer.
        """
        body = {**self._body(wanted), **_switch(wanted, paused=paused)}
        place = self._place(held)
        if wanted.kind == "automation":
            self._server.put(place, body)
        elif wanted.kind == "block":
            kept = {"data": body["data"], "block_schema_id": body["block_schema_id"]}
            self._server.patch(place, {**kept, "merge_existing_data": False})
        else:
            for fixed in _FIXED.get(wanted.kind, ()):
                body.pop(fixed)
            self._server.patch(place, body)
        for twin in held.twins:
            self._server.delete(f"{_PLACES[held.kind]}/{twin}")

    def remove(self, held: Resource) -> None:
        """Remove a resource.

        Raises:
            OrchestratorError: the server refused or did not answer.
        """
        self._server.delete(self._place(held))
        for twin in held.twins:
            self._server.delete(f"{_PLACES[held.kind]}/{twin}")

    def _id(self, kind: Kind, name: str) -> str:
        """Return the id of what a resource refers to; one that is given as an id is one."""
        return self._ids.get((kind, name), name)

    def _folder(self, wanted: Resource) -> str:
        """Return where a resource is made."""
        parent, _, _ = wanted.name.rpartition("/")
        match wanted.kind:
            case "work pool":
                return "/work_pools/"
            case "work queue":
                return f"/work_pools/{quote(parent)}/queues"
            case "schedule":
                return f"/deployments/{self._id('deployment', parent)}/schedules"
            case kind:
                return f"{_PLACES[kind]}/"

    def _place(self, held: Resource) -> str:
        """Return where a resource is."""
        parent, _, last = held.name.rpartition("/")
        match held.kind:
            case "work pool":
                return f"/work_pools/{quote(held.name)}"
            case "work queue":
                return f"/work_pools/{quote(parent)}/queues/{quote(last)}"
            case "schedule":
                deployment = self._id("deployment", parent)
                return f"/deployments/{deployment}/schedules/{self._ids[held.key]}"
            case kind:
                return f"{_PLACES[kind]}/{self._ids[held.key]}"

    def _body(self, wanted: Resource) -> Any:  # noqa: ANN401  # a JSON object
        first, _, last = wanted.name.rpartition("/")
        match wanted.kind:
            case "deployment":
                return self._deployment(wanted, first, last)
            case "schedule":
                timing = {key: wanted.fields[key] for key in wanted.fields if key != "parameters"}
                parameters = wanted.fields["parameters"]
                return {"slug": last, "schedule": timing, "parameters": parameters}
            case "block":
                return {**wanted.fields, "name": last, **self._block_type(first)}
            case "automation":
                fields = automations.with_ids(wanted.fields, self._id)
                return {**fields, "name": wanted.name}
            case "work queue":
                # Without a priority Prefect gives it one. No limit is a limit that is taken back.
                fields = {k: v for k, v in wanted.fields.items() if (k, v) != ("priority", None)}
                return {**fields, "name": last}
            case _:
                return {**wanted.fields, "name": wanted.name}

    def _deployment(self, wanted: Resource, flow: str, name: str) -> dict[str, Any]:
        body = {**wanted.fields, "name": name}
        concurrency = body.pop("concurrency")
        body["concurrency_limit"] = concurrency["limit"] if concurrency else None
        body["concurrency_options"] = (
            {k: v for k, v in concurrency.items() if k != "limit" and v is not None}
            if concurrency
            else None
        )
        body["flow_id"] = self._id("flow", flow)
        return body

    def _block_type(self, slug: str) -> dict[str, Any]:
        kind = self._server.get(f"/block_types/slug/{slug}")
        schemas = kind and self._server.every(
            "/block_schemas/filter", block_schemas={"block_type_id": {"any_": [kind["id"]]}}
        )
        if not schemas:
            raise OrchestratorError(
                f"The Prefect server does not know the block type {slug}, which comes with "
                "Prefect 3.8: is it of another version?"
            )
        return {"block_type_id": kind["id"], "block_schema_id": schemas[0]["id"]}


# What only a new resource is told.
_FIXED: dict[Kind, tuple[str, ...]] = {
    "work pool": ("name", "type"),
    "work queue": ("name",),
    "concurrency limit": ("name",),
    "deployment": ("name", "flow_id"),
    "schedule": ("slug",),
}


def _switch(wanted: Resource, *, paused: bool) -> dict[str, bool]:
    if wanted.kind not in _SWITCHES:
        return {}
    name, out_of_action = _SWITCHES[wanted.kind]
    return {name: paused is out_of_action}
