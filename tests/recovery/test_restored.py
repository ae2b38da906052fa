"""Backup and restore: both databases into a new PostgreSQL, and the next run has nothing to do.

The dump is a superuser's; what is restored belongs to a role for each database that is none.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from own_postgres import own_postgres
from prefect_server import DATABASE, PrefectServer, free_port, url_of_database
from recovery import everything, execute, take_slot, wait_for_state

from crmhouse.embedded_files import PROGRAMS
from crmhouse.warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Company
    from recovery import Deployment

    from crmhouse.embedded import EmbeddedServer

pytestmark = [pytest.mark.xdist_group("recovery"), pytest.mark.timeout(1800)]


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with own_postgres(tmp_path_factory.mktemp("home of the restored")) as server:
        yield server


def program(name: str, *arguments: str, server: EmbeddedServer) -> None:
    """Run one of PostgreSQL's programs against a server, as docs/recovery.md does."""
    known = {
        "PGHOST": server.parameters["host"], "PGUSER": server.parameters["user"],
    }  # fmt: skip
    result = subprocess.run(
        [str(PROGRAMS / "bin" / name), *arguments],
        env={**os.environ, **known}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def test_a_restored_backup_goes_on_as_if_nothing_had_been(
    postgres: EmbeddedServer, calm: Company, fresh: EmbeddedServer,
    deployments: dict[str, Deployment], tmp_path: Path,
) -> None:  # fmt: skip
    run = deployments["pods"].run_by_hand()
    warehouse = calm.warehouse.parameters["dbname"]
    held = everything(calm.warehouse)
    for database, owner in ((warehouse, "crmhouse"), (DATABASE, "prefect")):
        dump = str(tmp_path / f"{database}.dump")
        program("pg_dump", "--format=custom", f"--file={dump}", database, server=postgres)
        made = (f"create role {owner} login", f"create database {database} owner {owner}")
        program("psql", "--dbname=postgres", *(f"--command={each}" for each in made), server=fresh)
        into = ("--exit-on-error", "--no-owner", f"--role={owner}", f"--dbname={database}")
        program("pg_restore", *into, dump, server=fresh)

    owned = {**fresh.parameters, "user": "crmhouse", "dbname": warehouse}
    there = Warehouse(owned, embedded=False)
    assert everything(there) == held
    home = tmp_path / "prefect"
    home.mkdir()
    of_prefect = Warehouse({**owned, "user": "prefect"}, embedded=False)
    restored = PrefectServer(home, free_port(), url_of_database(of_prefect, DATABASE))
    with restored.service():
        restored.wait_until_it_answers()
        take_slot(restored, run)
        variables = {**calm.variables, "CRMHOUSE_WAREHOUSE_URL": there.url()}
        assert execute(restored, run, tmp_path / "run.log", **variables).wait(600) == 0
        run = wait_for_state(restored, run, "Completed", seconds=10)
        assert run["state"]["message"] == "nothing new"
        names = {found["name"] for found in restored.call("/automations/filter", {})}
        assert "crmhouse-resume-crashed-run" in names
    assert everything(there) == held
