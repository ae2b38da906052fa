"""A crmhouse project in a folder, run through its command line as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from crmhouse.settings import load_settings
from crmhouse.warehouse import open_warehouse
from ingestion.sources import hubspot, salesforce, shopify, stripe
from simulators import systems

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from stand_in import StandIn

    from crmhouse.warehouse import Warehouse

SYSTEMS = ("salesforce", "hubspot", "stripe", "shopify")
KEYS = {
    f"STAND_IN_{name}_{option}".upper(): value
    for name, system in systems.SYSTEMS.items()
    for option, value in system.credentials.items()
}
# What each export has: the further objects take time and feed no mart.
EXPORTED = {
    "salesforce": salesforce.STREAMS, "hubspot": hubspot.STREAMS,
    "stripe": stripe.STREAMS, "shopify": shopify.STREAMS,
}  # fmt: skip
SHARED = "SHARED_"
"""SHARED_PREFECT_API_URL and the like become commands' own PREFECT_API_URL; see tests/e2e."""
FX_RATES = {
    "glob": "reference/fx_rates_monthly.csv",
    "key": ["month", "currency"],
    "columns": {"usd_per_unit": "numeric"},
}


@dataclass(frozen=True)
class Project:
    """A project over a folder of exports.

    Attributes:
        folder: holds crmhouse.yaml and everything the project makes.
        data: the exports, laid out in batches.
        stand_in: serves them; they are then read over HTTP instead of from the files. `KEYS` have
            to be in the environment.
        options: further ones of the sources that read over HTTP, by their name.
        variables: of the environment of its commands.
    """

    folder: Path
    data: Path
    stand_in: StandIn | None = None
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.folder / "crmhouse.yaml"

    def configure(self, until: str | None = None, **settings: Any) -> None:
        """Write the configuration, with the batches up to `until`."""
        sources = self._over_http(until) if self.stand_in else self._exports(until)
        files = {"path": str(self.data), "streams": {"fx_rates_monthly": FX_RATES}}
        sources.append({"name": "reference", "kind": "files", "options": files})
        content = {"sources": sources, "fx_rates": "reference.fx_rates_monthly", **settings}
        self.config.write_text(yaml.safe_dump(content), encoding="utf-8")

    def _exports(self, until: str | None) -> list[dict[str, Any]]:
        options = {"path": str(self.data), **({"until": until} if until else {})}
        return [
            {
                "name": name,
                "kind": f"{name}_export",
                "options": options,
                "streams": [stream.name for stream in streams],
            }
            for name, streams in EXPORTED.items()
        ]

    def _over_http(self, until: str | None) -> list[dict[str, Any]]:
        """Let the stand-ins go on up to the batch; return the sources that read them."""
        assert self.stand_in
        while until and self.stand_in.simulator.store.batch < int(until.removeprefix("batch_")):
            self.stand_in.advance()
        return [
            {
                "name": name,
                "kind": name,
                "options": {
                    "url": f"{self.stand_in.url}/{name}",
                    **{
                        option: f"${{STAND_IN_{name.upper()}_{option.upper()}}}"
                        for option in systems.SYSTEMS[name].credentials
                    },
                    **self.options.get(name, {}),
                },
            }
            for name in SYSTEMS
        ]

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "crmhouse.cli", "--config", str(self.config), *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command without waiting for it, in a process group of its own."""
        return subprocess.Popen(
            self.command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env={**environment(), **self.variables},
            start_new_session=True,
        )

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command, however it ends."""
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**environment(), **self.variables},
            check=False,
        )

    def crmhouse(self, *arguments: str, expect: int = 0) -> str:
        """Run a command; return what it printed on standard output."""
        result = self.call(*arguments)
        assert result.returncode == expect, f"exit {result.returncode}\n{result.stderr[-6000:]}"
        return result.stdout

    def run(self, *arguments: str, expect: int = 0) -> Any:
        """Run everything; return the summary."""
        return json.loads(self.crmhouse("run", "--format", "json", *arguments, expect=expect))

    def warehouse(self) -> AbstractContextManager[Warehouse]:
        return open_warehouse(load_settings(self.config))

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with self.warehouse() as warehouse, warehouse.connect() as connection:
            return connection.execute(statement).fetchall()


def environment() -> dict[str, str]:
    """The environment of a command: nothing of ours but a shared Prefect server, no telemetry."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CRMHOUSE_", "PREFECT_", "DBT_", "PYTEST_"))
    }
    shared = {n: v for n, v in os.environ.items() if n.startswith(f"{SHARED}PREFECT_")}
    return {**kept, "DO_NOT_TRACK": "1", **{n.removeprefix(SHARED): v for n, v in shared.items()}}


def fingerprint(warehouse: Warehouse, *schemas: str) -> dict[str, str]:
    """Hash the content of every table of some schemas, volatile columns left out.

    Where the source has no time of a deletion, it is that of the landing.
    """
    with warehouse.connect() as connection:
        tables = connection.execute(
            """
            select table_schema, table_name,
                   array_agg(
                       case column_name when '_deleted_at' then '_deleted_at is null'
                       else format('%%I', column_name) end order by column_name
                   )
            from information_schema.columns
            inner join information_schema.tables using (table_schema, table_name)
            where table_schema = any(%s) and table_type = 'BASE TABLE'
                and column_name not in ('_loaded_at', '_run_id', 'linked_at', 'run_id')
                and (table_schema, data_type) <> ('identity', 'timestamp with time zone')
            group by 1, 2 order by 1, 2
            """,
            [list(schemas)],
        ).fetchall()
        found = {}
        for schema, table, columns in tables:
            row = ", ".join(columns)
            digest = connection.execute(
                f"select md5(coalesce(string_agg(line, chr(10) order by line), '')) from "
                f'(select row({row})::text as line from "{schema}"."{table}") as lines'
            ).fetchone()
            found[f"{schema}.{table}"] = digest[0] if digest else ""
    return found
