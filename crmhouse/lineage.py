"""What each mart is made from, read from dbt's manifest: the raw tables upstream of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crmhouse.transform import CANDIDATE_SCHEMA, IDENTITY_INPUTS, system_sources

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from crmhouse.settings import Settings

# What resolve makes its tables from: an organisation from organisations alone, a person from all.
_IDENTITY = {"account": ("int_account_records",), "customer": IDENTITY_INPUTS}


@dataclass(frozen=True)
class MartLineage:
    """One mart.

    Attributes:
        description: what its documentation says.
        owner: the name of the group that owns it.
        raw_tables: source and stream of every raw table that it is made from, sorted.
    """

    mart: str
    description: str
    owner: str
    raw_tables: tuple[tuple[str, str], ...]


def lineage_of_marts(
    manifest: Path, settings: Settings, landed: Collection[tuple[str, str]]
) -> tuple[MartLineage, ...]:
    """Follow each mart back to the raw tables that it is made from.

    Args:
        manifest: dbt's `manifest.json` of the build.
        settings: the project's settings: which configured sources a system has.
        landed: source and stream of the raw tables that there are.
    """
    content = json.loads(manifest.read_text(encoding="utf-8"))
    graph = _Graph(content, settings)
    return tuple(
        MartLineage(
            mart=node["alias"],
            description=" ".join(node["description"].split()),
            owner=(content["groups"].get(f"group.crmhouse.{node['group']}") or {})
            .get("owner", {})
            .get("name", ""),
            raw_tables=tuple(sorted(graph.raw_tables(node["unique_id"]) & {*landed})),
        )
        for node in content["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] == CANDIDATE_SCHEMA
    )


class _Graph:
    """The manifest's graph, with the way through identity put in, which dbt does not know."""

    def __init__(self, manifest: dict[str, Any], settings: Settings) -> None:
        self._parents: dict[str, list[str]] = manifest["parent_map"]
        self._declared = manifest["sources"]
        self._systems = system_sources(settings)
        self._fx_rates = settings.fx_rates
        self._known: dict[str, frozenset[tuple[str, str]]] = {}

    def raw_tables(self, node: str) -> frozenset[tuple[str, str]]:
        """Return source and stream of what stands upstream of a node."""
        if node not in self._known:
            found: set[tuple[str, str]] = set()
            if node in self._declared:
                found.update(self._of_declared(node))
            for parent in self._parents.get(node, []):
                found |= self.raw_tables(parent)
            self._known[node] = frozenset(found)
        return self._known[node]

    def _of_declared(self, node: str) -> set[tuple[str, str]]:
        """Return what a source that dbt declares stands for."""
        system, table = self._declared[node]["source_name"], self._declared[node]["name"]
        if system == "identity":
            inputs = _IDENTITY[table.partition("_")[0]]
            return {one for name in inputs for one in self.raw_tables(f"model.crmhouse.{name}")}
        if system == "files":
            source, _, stream = (self._fx_rates or "").partition(".")
            return {(source, stream)}
        return {(source, table) for source in self._systems.get(system, ())}
