"""What a run leaves behind outside its own tables: no password, and no address of a person."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from project import Project, environment

from simulators.demo_data import generate

if TYPE_CHECKING:
    from pathlib import Path

    from crmhouse.warehouse import Warehouse

pytestmark = pytest.mark.xdist_group("secrets")
CANARY = "canary-7f3a"
# Where records belong: they are kept there on purpose.
RECORDS = {("ops", "quarantine")}


def addresses(data: Path) -> set[str]:
    """The e-mail addresses of the people of a delivery."""
    found = set()
    for line in (data / "batch_1/stripe/customers.jsonl").read_text().splitlines():
        found.add(json.loads(line)["email"])
    for line in (data / "batch_1/hubspot/contacts.jsonl").read_text().splitlines():
        found.add(json.loads(line)["properties"]["email"])
    return {address for address in found if address and "@" in address}


def leaks(text: bytes, secrets: set[str]) -> set[str]:
    return {secret for secret in secrets if secret.encode() in text}


def test_neither_files_nor_logs_nor_ops_hold_a_secret_or_a_person(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    generate(data, persons=60, seed=5)
    with (data / "batch_1/stripe/customers.jsonl").open("a") as file:
        bad = {"id": "cus_bad", "created": "soon", "email": "bad.record@quist.example"}
        file.write(json.dumps(bad) + "\n")
    secrets = {*addresses(data), "bad.record@quist.example", CANARY}
    assert len(secrets) > 20
    project = Project(tmp_path, data)
    project.configure(until="batch_1")
    address = warehouse.url().replace("postgres@", f"postgres:{CANARY}@")
    assert CANARY in address

    def run(*more: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            project.command("run", "--force", *more),
            cwd=tmp_path, capture_output=True, check=False,
            env={
                **environment(), "CRMHOUSE_WAREHOUSE_URL": address, "CRMHOUSE_LOG_LEVEL": "DEBUG",
            },
        )  # fmt: skip

    good = run()
    assert good.returncode == 0, good.stderr[-4000:]
    with warehouse.connect() as connection:
        connection.execute("update raw_stripe.charges set amount = -1")
    red = run("--format", "json")
    assert red.returncode == 1
    said = json.loads(red.stdout)
    assert said["status"] == "failed"
    assert "The raw gate is red" in said["error"]

    for result in (good, red):
        assert leaks(result.stdout + result.stderr, secrets) == set()
    files = [path for path in (tmp_path / ".crmhouse").rglob("*") if path.is_file()]
    assert {"gates.html", "run_results.json", "prefect.db"} <= {path.name for path in files}
    assert {path.name: leaks(path.read_bytes(), secrets) for path in files} == {
        path.name: set() for path in files
    }
    with warehouse.connect() as connection:
        tables = connection.execute(
            "select schemaname, tablename from pg_tables where schemaname in ('ops', 'identity')"
        ).fetchall()
        for schema, table in set(tables) - RECORDS:
            rows = connection.execute(f"select t::text from {schema}.{table} as t").fetchall()
            text = "\n".join(row for (row,) in rows).encode()
            assert (table, leaks(text, secrets)) == (table, set())
