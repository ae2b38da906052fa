"""`crmhouse warehouse`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from command_line import Cli


def test_the_embedded_server_runs_between_start_and_stop(embedded_cli: Cli) -> None:
    url = embedded_cli("warehouse", "start").strip()
    assert embedded_cli("warehouse", "url").strip() == url
    with psycopg.connect(url) as connection:
        assert connection.execute("select count(*) from ops.sync_runs").fetchone() == (0,)
    assert embedded_cli("warehouse", "psql", "-Atc", "select 6 * 7") == "42\n"
    with psycopg.connect(url):
        pass
    embedded_cli("warehouse", "stop")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_psql_starts_the_embedded_server_and_gives_its_exit_code(embedded_cli: Cli) -> None:
    assert embedded_cli("warehouse", "psql", "-Atc", "select current_database()") == "crmhouse\n"
    embedded_cli("warehouse", "psql", "-c", "select nonsense", expect=1)
    assert 'column "nonsense" does not exist' in embedded_cli.errors


def test_an_interruption_is_for_psql_and_the_server_goes_on(embedded_cli: Cli) -> None:
    embedded_cli("warehouse", "start")
    process = subprocess.Popen(
        [sys.executable, "-m", "crmhouse.cli", "warehouse", "psql", "-At"],
        cwd=embedded_cli.folder,
        env=embedded_cli.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write("select 'ready';\nselect pg_sleep(60);\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert "canceling statement" in errors
    assert "Interrupted" not in errors
    assert embedded_cli("warehouse", "psql", "-Atc", "select 1") == "1\n"


def test_a_server_that_is_not_ours_is_not_started_or_stopped(cli: Cli) -> None:
    for command in ("start", "stop"):
        cli("warehouse", command, expect=2)
        assert "not ours" in cli.errors
    assert cli("warehouse", "psql", "-Atc", "select 1") == "1\n"


def test_the_password_is_shown_only_when_asked_for(cli: Cli) -> None:
    secret = {"CRMHOUSE_WAREHOUSE_URL": "postgresql://me:geheim@db.example:5432/crm"}
    assert cli("warehouse", "url", **secret) == "postgresql://me:***@db.example:5432/crm\n"
    shown = cli("warehouse", "url", "--with-password", **secret)
    assert shown == "postgresql://me:geheim@db.example:5432/crm\n"


def test_the_url_is_there_for_programs_too(cli: Cli) -> None:
    secret = {"CRMHOUSE_WAREHOUSE_URL": "postgresql://me:geheim@db.example:5432/crm"}
    url = "postgresql://me:***@db.example:5432/crm"
    assert cli.json("warehouse", "url", **secret) == {"url": url, "embedded": False}
