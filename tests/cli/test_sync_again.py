"""`crmhouse sync` beyond what is new: full refreshes, backfills, several processes, progress."""

from __future__ import annotations

import os
import pty
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from command_line import Cli, source

if TYPE_CHECKING:
    from pathlib import Path

DEALS = {"deals": {"cursor": "updated_at", "sweep_every_hours": None}}


def database(cli: Cli, rows: int, **options: Any) -> dict[str, Any]:
    """Write an SQLite file with deals, one for each day of 2026; return the source."""
    with closing(sqlite3.connect(cli.folder / "crm.db")) as connection:
        connection.execute("create table deals (id integer primary key, updated_at datetime)")
        connection.execute(
            "with recursive n (id) as (select 1 union all select id + 1 from n where id < ?) "
            "insert into deals select id, datetime('2026-01-01', (id % 365) || ' days') from n",
            [rows],
        )
        connection.commit()
    tables = {"deals": {**DEALS["deals"], **options}}
    return {
        "name": "crm", "kind": "database",
        "options": {"url": "sqlite:///crm.db", "tables": tables},
    }  # fmt: skip


def delete(cli: Cli, where: str) -> None:
    with closing(sqlite3.connect(cli.folder / "crm.db")) as connection:
        connection.execute(f"delete from deals where {where}")
        connection.commit()


def test_a_full_refresh_marks_what_the_source_has_no_more(cli: Cli) -> None:
    cli.configure(sources=[database(cli, 100)])
    cli("sync")
    delete(cli, "id <= 3")
    assert cli.json("sync")["streams"][0]["deleted"] == 0
    (stream,) = cli.json("sync", "crm.deals", "--full-refresh")["streams"]
    assert (stream["extracted"], stream["deleted"], stream["unchanged"]) == (97, 3, 97)


def test_a_full_refresh_below_the_floor_fails_and_says_how_to_go_on(cli: Cli) -> None:
    cli.configure(sources=[database(cli, 100)])
    cli("sync")
    delete(cli, "id > 10")
    cli("sync", "crm", "--full-refresh", expect=1)
    assert "source has 10 records, raw holds 100" in cli.errors
    cli("sync", "crm", "--full-refresh", CRMHOUSE_REFRESH_ROW_FLOOR="0")


def test_a_backfill_reads_the_window_and_nothing_else(cli: Cli) -> None:
    cli.configure(sources=[database(cli, 365)])
    cli("sync")
    window = ("--from", "2026-03-01", "--to", "2026-03-11T12:00:00Z")
    (stream,) = cli.json("sync", "crm.deals", *window)["streams"]
    assert (stream["extracted"], stream["unchanged"]) == (11, 11)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("crm", "--full-refresh", "--from", "2026-01-01", "--to", "2026-02-01"), "leave out"),
        (("crm", "--from", "2026-01-01"), "needs both"),
        (("crm", "--from", "2026-02-01", "--to", "2026-01-01"), "before"),
        (("--full-refresh",), "Name the sources"),
        (("crm", "--from", "soon", "--to", "2026-01-01"), "soon"),
    ],
)
def test_what_contradicts_itself_is_a_usage_error(
    cli: Cli, arguments: tuple[str, ...], said: str
) -> None:
    cli.configure(sources=[database(cli, 1)])
    cli("sync", *arguments, expect=2)
    assert said in cli.errors


def test_files_have_no_windows(cli: Cli, exports: Path) -> None:
    cli.configure(sources=[source("stripe", exports)])
    cli("sync", "stripe.charges", "--from", "2026-01-01", "--to", "2026-02-01", expect=2)
    assert "files, which have no windows" in cli.errors


def test_processes_that_sync_one_table_share_its_first_load(cli: Cli) -> None:
    cli.configure(sources=[database(cli, 60_000, slice_rows=1000)])
    command = [sys.executable, "-m", "crmhouse.cli", "sync", "crm.deals", "--format", "json"]
    processes = [
        subprocess.Popen(
            command, cwd=cli.folder, env=cli.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]  # fmt: skip
    said = [(process.communicate(), process.returncode) for process in processes]
    # One that came when there was nothing to share yet, or no more, is told that it is not needed.
    assert {code for _, code in said} <= {0, 1}
    assert all("Another process" in errors for (_, errors), code in said if code)
    assert cli.json("sync", "crm.deals")["errors"] == {}
    (stream,) = [s for s in cli.json("status")["streams"] if s["stream"] == "deals"]
    assert stream["status"] == "succeeded"


def test_a_database_that_does_not_answer_does_not_stop_the_other_sources(
    cli: Cli, exports: Path
) -> None:
    gone = {"name": "erp", "kind": "database", "options": {"url": "postgresql://127.0.0.1:1/erp"}}
    cli.configure(sources=[gone, source("stripe", exports)])
    said = cli.json("sync", expect=3)
    assert said["errors"].keys() == {"erp"}
    assert {stream["stream"].split(".")[0] for stream in said["streams"]} == {"stripe"}
    (erp,) = [s for s in cli.json("status")["streams"] if s["source"] == "erp"]
    assert erp["failing_since"]
    cli("sync", "erp", expect=1)
    assert "127.0.0.1/erp did not do its part" in cli("check", expect=2)
    assert cli.json("sources")[0]["streams"] is None
    assert "127.0.0.1/erp did not do its part" in cli.errors


def test_on_a_terminal_a_bar_shows_records_and_their_rate(cli: Cli) -> None:
    cli.configure(sources=[database(cli, 120_000)])
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "crmhouse.cli", "sync"],
        cwd=cli.folder, env={**cli.environment, "COLUMNS": "160", "TERM": "xterm"},
        stdout=subprocess.DEVNULL, stderr=child,
    )  # fmt: skip
    os.close(child)
    shown = b""
    while True:
        try:
            shown += os.read(parent, 65536)
        except OSError:  # the other end is closed
            break
    os.close(parent)
    assert process.wait() == 0
    assert b"crm.deals changes" in shown
    assert b"120,000 records" in shown
    assert b"/s" in shown
