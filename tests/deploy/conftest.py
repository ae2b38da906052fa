"""One real Prefect server for all tests of the deploy, behind a proxy that sees every write."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)
from prefect_server import PrefectServer, prefect_server
from recording_proxy import Proxy, recording_proxy

from crmhouse.settings import load_settings
from flows import deployment
from flows.deployment import present

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crmhouse.warehouse import Warehouse
    from flows.deployment import Plan, Server

ROOT = Path(__file__).parents[2]
NEW_YEAR, LEAP_DAY = "0 0 1 1 *", "0 0 29 2 *"  # nothing is due while the tests run


@dataclass
class Project:
    """A project that is deployed: its files, and the server that it is deployed to."""

    folder: Path
    server: PrefectServer
    proxy: Proxy
    config: dict[str, Any] = field(default_factory=dict)
    file: dict[str, Any] = field(default_factory=dict)
    retries: int = 3

    @property
    def path(self) -> Path:
        return self.folder / "crmhouse.yaml"

    def write(self) -> None:
        self.path.write_text(yaml.safe_dump(self.config), encoding="utf-8")
        (self.folder / "prefect.yaml").write_text(yaml.safe_dump(self.file), encoding="utf-8")

    def entry(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(d for d in self.file["deployments"] if d["name"] == name)
        return found

    @contextmanager
    def connected(self) -> Iterator[Server]:
        auth = self.server.environment().get("PREFECT_API_AUTH_STRING")
        with (
            temporary_settings({
                PREFECT_API_URL: self.proxy.url,
                PREFECT_API_AUTH_STRING: auth,
                PREFECT_CLIENT_MAX_RETRIES: self.retries,
            }),
            deployment.connect() as server,
        ):  # fmt: skip
            yield server

    def plan(self, *, prune: bool = False) -> Plan:
        self.write()
        with self.connected() as server:
            return deployment.plan(load_settings(self.path), server, prune=prune)

    def apply(self, *, prune: bool = False) -> Plan:
        self.write()
        with self.connected() as server:
            return deployment.apply(load_settings(self.path), server, prune=prune)

    def held(self) -> dict[Any, Any]:
        """Return everything that the server holds, but the ids that it gave."""
        with self.connected() as server:
            state = present.read(server)
        # What Prefect keeps of the limit of a deployment is named by the deployment's id.
        return {
            key: (one.fields, one.paused)
            for key, one in state.items()
            if not one.name.startswith("deployment:")
        }

    def updated(self) -> list[tuple[str, str]]:
        """Return when everything was last written."""
        places = ("work_pools", "deployments", "automations", "v2/concurrency_limits",
                  "block_documents", "flows")  # fmt: skip
        found = [one for place in places for one in self.server.call(f"/{place}/filter", {})]
        return sorted((one["id"], one["updated"]) for one in found)

    def deployment(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.server.call(f"/deployments/name/{name}")
        return found

    def clear(self) -> None:
        """Make the server bare again."""
        for place in ("automations", "deployments", "flows", "v2/concurrency_limits"):
            for one in self.server.call(f"/{place}/filter", {}):
                self.server.call(f"/{place}/{one['id']}", method="DELETE")
        for block in self.server.call("/block_documents/filter", {}):
            self.server.call(f"/block_documents/{block['id']}", method="DELETE")
        for pool in self.server.call("/work_pools/filter", {}):
            self.server.call(f"/work_pools/{pool['name']}", method="DELETE")


def _apart(content: dict[str, Any]) -> dict[str, Any]:
    """Copy what an anchor of the file shares, so that a test changes one entry alone."""
    copied: dict[str, Any] = json.loads(json.dumps(content))
    return copied


@pytest.fixture(scope="package")
def bare_server(
    tmp_path_factory: pytest.TempPathFactory, server: Warehouse
) -> Iterator[PrefectServer]:
    with prefect_server(tmp_path_factory.mktemp("prefect_deploy"), server) as running:
        yield running


@pytest.fixture(scope="package")
def proxy(bare_server: PrefectServer) -> Iterator[Proxy]:
    with recording_proxy(bare_server.port) as proxy:
        yield proxy


@pytest.fixture
def project(bare_server: PrefectServer, proxy: Proxy, tmp_path: Path) -> Iterator[Project]:
    """The repository's own files over two sources, on a server that holds nothing yet."""
    shutil.copytree(ROOT / "deployments" / "automations", tmp_path / "automations")
    export = {"kind": "shopify_export", "options": {"path": "."}}
    made = Project(
        tmp_path, bare_server, proxy,
        config={
            "sources": [
                {"name": "shop", "schedule": NEW_YEAR, **export},
                {"name": "shop_emea", "schedule": "12h", "parallel_slices": 2, **export},
            ],
            "orchestration": {"time_zone": "Europe/Berlin", "automations": "automations"},
        },
        file=_apart(yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))),
    )  # fmt: skip
    made.entry("refresh")["schedules"][0]["cron"] = NEW_YEAR
    proxy.reset()
    yield made
    proxy.reset()
    made.clear()
