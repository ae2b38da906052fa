"""`crmhouse sync` and `status`, and how tables look on a terminal and elsewhere."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psycopg
from command_line import Cli, source

if TYPE_CHECKING:
    from pathlib import Path


def streams(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {stream["stream"]: stream for stream in said["streams"]}


def test_a_sync_lands_every_stream_and_the_next_one_finds_nothing_new(
    cli: Cli, exports: Path
) -> None:
    cli.configure(sources=[source("salesforce", exports), source("hubspot", exports)])
    first = streams(cli.json("sync"))
    assert first.keys() >= {
        "salesforce.account", "salesforce.contact", "salesforce.opportunity",
        "salesforce.opportunity_history", "salesforce.lead", "hubspot.contacts", "hubspot.deals",
    }  # fmt: skip
    assert all(stream["inserted"] > 0 for stream in first.values())
    for stream in first.values():
        counts = ("inserted", "updated", "unchanged", "quarantined")
        assert stream["extracted"] == sum(stream[name] for name in counts)
    assert cli.json("sync") == {"streams": [], "errors": {}}
    cli("sync")
    assert "Nothing new" in cli.errors


def test_a_log_that_is_json_is_json_in_every_line_and_holds_no_value(
    cli: Cli, exports: Path
) -> None:
    shutil.copytree(exports, cli.folder / "broken")
    (cli.folder / "broken/batch_1/salesforce/Account.csv").write_text("{broken\n" * 500)
    cli.configure(sources=[source("salesforce", cli.folder / "broken")], log_format="json")
    cli("sync", "salesforce.account", "salesforce.contact", expect=3)
    lines = [json.loads(line) for line in cli.errors.splitlines()]
    landed, *more = [line for line in lines if line["logger"] == "ingestion.landing"]
    places = {(line["source"], line["stream"]) for line in (landed, *more)}
    assert places == {("salesforce", "contact")}
    (failed,) = [line for line in lines if line["logger"] == "ingestion.sync"]
    assert (failed["stream"], failed["level"]) == ("account", "ERROR")
    assert failed["run_id"] == landed["run_id"]
    assert "@" not in cli.errors, "no address of anybody"
    cli("sync", "nowhere", expect=2)
    (refused,) = [json.loads(line) for line in cli.errors.splitlines()]
    assert "No source is called 'nowhere'" in refused["message"]


def test_targets_choose_sources_and_streams(cli: Cli, exports: Path) -> None:
    cli.configure(sources=[source("salesforce", exports), source("stripe", exports)])
    assert streams(cli.json("sync", "stripe.charges")).keys() == {"stripe.charges"}
    assert streams(cli.json("sync", "salesforce.account", "stripe")).keys() == {
        "salesforce.account", "stripe.customers", "stripe.subscriptions", "stripe.invoices",
        "stripe.products", "stripe.prices", "stripe.refunds",
    }  # fmt: skip


def test_a_stream_that_fails_beside_one_that_lands_is_partial_and_alone_a_failure(
    cli: Cli, exports: Path
) -> None:
    shutil.copytree(exports, cli.folder / "broken")
    (cli.folder / "broken/batch_1/salesforce/Account.csv").write_text("{broken\n" * 500)
    cli.configure(sources=[source("salesforce", cli.folder / "broken")])
    said = cli.json("sync", "salesforce", expect=3)
    assert said["errors"].keys() == {"salesforce"}
    assert "salesforce.contact" in streams(said)
    # The others have nothing new now, which is a success.
    assert cli.json("sync", "salesforce", expect=3)["streams"] == []
    cli("sync", "salesforce.account", expect=1)


def test_unknown_targets_are_a_usage_error_and_nothing_is_synced(cli: Cli, exports: Path) -> None:
    cli.configure(sources=[source("stripe", exports)])
    cli("sync", "paypal", expect=2)
    assert "Configured sources: stripe" in cli.errors
    cli("sync", "stripe.cheques", expect=2)
    assert "no stream cheques" in cli.errors
    cli("sync", "stripe.charges", "stripe.cheques", expect=2)
    cli.configure(sources=[source("stripe", exports), source("salesforce", exports)])
    cli("sync", "stripe", "salesforce.nope", expect=2)
    assert "no stream nope" in cli.errors
    cli.configure(sources=[source("stripe", exports), {"name": "odd", "kind": "fax"}])
    cli("sync", expect=2)
    assert cli.json("status")["streams"] == []


def test_without_a_source_there_is_nothing_to_sync(cli: Cli) -> None:
    cli("sync", expect=2)
    assert "No source is configured" in cli.errors


def test_a_source_that_fails_does_not_stop_the_others_and_the_exit_code_is_3(
    cli: Cli, exports: Path
) -> None:
    shutil.copytree(exports, cli.folder / "broken")
    file = cli.folder / "broken/batch_1/hubspot/contacts.jsonl"
    file.write_text("{broken\n" * 500)
    cli.configure(sources=[source("hubspot", cli.folder / "broken"), source("stripe", exports)])
    said = cli.json("sync", expect=3)
    assert said["errors"].keys() == {"hubspot"}
    assert "stripe.charges" in streams(said)
    status = {f"{s['source']}.{s['stream']}": s for s in cli.json("status")["streams"]}
    assert status["hubspot.contacts"]["status"] == "failed"
    since = status["hubspot.contacts"]["failing_since"]
    assert since
    assert status["hubspot.contacts"]["last_error"]
    assert status["stripe.charges"]["status"] == "succeeded"
    assert status["stripe.charges"]["failing_since"] is None

    said = cli.json("sync", "hubspot.contacts", expect=1)
    again = {f"{s['source']}.{s['stream']}": s for s in cli.json("status")["streams"]}
    assert again["hubspot.contacts"]["failing_since"] == since

    assert 0 < again["hubspot.contacts"]["failing_seconds"] < 600
    assert again["stripe.charges"]["lag_seconds"] > again["stripe.charges"]["landed_seconds"] > 0
    with psycopg.connect(cli.environment["CRMHOUSE_WAREHOUSE_URL"]) as connection:
        connection.execute(
            "update ops.sync_runs set started_at = started_at - interval '3 hours' "
            "where stream = 'contacts'"
        )
    text = cli("status")
    assert "lag is the age of the newest source time" in text
    assert re.search(r"hubspot\.contacts: failing for 3 h, since 2\d{3}-.* UTC: .*bad", cli.errors)

    shutil.copy(exports / "batch_1/hubspot/contacts.jsonl", file)
    cli("sync")
    healed = {f"{s['source']}.{s['stream']}": s for s in cli.json("status")["streams"]}
    assert healed["hubspot.contacts"]["failing_since"] is None
    assert healed["hubspot.contacts"]["last_error"] is None


def test_status_counts_what_is_held_back_and_names_what_never_ran(cli: Cli, exports: Path) -> None:
    shutil.copytree(exports, cli.folder / "exports")
    file = cli.folder / "exports/batch_1/stripe/charges.jsonl"
    with file.open("a") as text:
        text.write("{not json\n")
    cli.configure(
        max_quarantine_share=0.5,
        sources=[source("stripe", cli.folder / "exports"), source("shopify", exports)],
    )
    cli("sync", "stripe")
    said = cli.json("status")
    held = {s["stream"]: s["quarantined"] for s in said["streams"]}
    assert held["charges"] == 1
    assert held["customers"] == 0
    assert said["never_synced"] == ["shopify"]
    assert all(s["data_until"] for s in said["streams"] if s["last_run_at"])
    assert all(s["status"] == "succeeded" and s["succeeded_at"] for s in said["streams"])
    text = cli("status")
    assert "stripe.charges" in text
    assert "shopify: never synced" in cli.errors


def test_tables_are_drawn_on_a_terminal_and_plain_lines_elsewhere(cli: Cli) -> None:
    plain = cli("sources", "--kinds")
    assert plain.splitlines()[0] == "Kinds of source"
    assert "\x1b" not in plain
    assert "┃" not in plain
    drawn = on_a_terminal(cli, "sources", "--kinds")
    assert "┃" in drawn
    assert "stripe_export" in drawn


def on_a_terminal(cli: Cli, *arguments: str) -> str:
    """What a command prints on a terminal of 200 columns."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "crmhouse.cli", *arguments],
        cwd=cli.folder,
        env={**cli.environment, "COLUMNS": "200", "TERM": "xterm"},
        stdout=follower,
    )
    os.close(follower)
    printed = b""
    try:
        while chunk := os.read(leader, 4096):
            printed += chunk
    except OSError:  # the other end is closed
        pass
    os.close(leader)
    assert process.wait() == 0
    return printed.decode()
