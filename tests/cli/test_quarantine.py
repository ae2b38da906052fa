"""`crmhouse quarantine`: list, show, replay and discard."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from command_line import Cli

PERSON = "Ada Lovelace"


@pytest.fixture
def held(cli: Cli) -> Cli:
    """A project that holds back three records: two that do not fit and one that is no record."""
    content = f"id,name,n\n1,{PERSON},x\n2,\x1b[2J,y\n3,Bob,3\n4\n"
    (cli.folder / "1.csv").write_text(content)
    configure(cli, "numeric")
    cli("sync")
    return cli


def configure(cli: Cli, kind: str) -> None:
    """Declare the stream `lists.things`, its column n of that type."""
    stream = {"glob": "*.csv", "key": ["id"], "columns": {"n": kind}}
    source = {"name": "lists", "kind": "files", "options": {"path": ".", "streams": {}}}
    source["options"]["streams"]["things"] = stream  # type: ignore[index]
    cli.configure(sources=[source])


def open_ids(cli: Cli) -> dict[str, list[int]]:
    """The ids of the held records, by reason."""
    found: dict[str, list[int]] = {}
    for record in cli.json("quarantine", "list")["records"]:
        found.setdefault(record["reason"], []).append(record["quarantine_id"])
    return found


def test_list_counts_by_reason_and_says_what_is_not_listed(held: Cli) -> None:
    text = held("quarantine", "list", "--limit", "2")
    assert "2 of 3 records are listed" in held.errors
    assert PERSON not in text
    assert [line.split() for line in text.splitlines()[2:4]] == [
        ["lists.things", "ragged_row", "1"],
        ["lists.things", "value_does_not_fit", "2"],
    ]
    said = held.json("quarantine", "list", "lists.things", "--reason", "ragged_row")
    assert (said["total"], len(said["records"]), said["counts"][0]["records"]) == (1, 1, 1)
    assert said["records"][0]["detail"] == "the line has 1 fields, the header 3"
    assert "payload" not in said["records"][0]
    held("quarantine", "list", "lists.thing", expect=2)
    assert "lists.thing" in held.errors
    assert held.json("quarantine", "list", "--reason", "none")["total"] == 0
    assert "--limit" not in held.errors


def test_show_gives_everything_and_nothing_that_steers_the_terminal(held: Cli) -> None:
    ids = sorted(open_ids(held)["value_does_not_fit"])
    said = held.json("quarantine", "show", *map(str, ids))
    assert [record["quarantine_id"] for record in said] == ids
    assert {record["record_key"] for record in said} == {"1", "2"}
    assert any(PERSON in record["payload"] for record in said)
    text = held("quarantine", "show", *map(str, ids))
    assert f'\n  "name": "{PERSON}",\n' in text
    assert "\x1b" not in text
    held("quarantine", "show", str(ids[0]), "98765", expect=2)
    assert "98765 does not exist" in held.errors
    held("quarantine", "show", expect=2)


def test_replay_lands_what_fits_now_and_says_what_cannot_be_replayed(held: Cli) -> None:
    nothing = held.json("quarantine", "replay", expect=3)
    assert nothing["streams"] == [
        {"source": "lists", "stream": "things", "replayed": 0, "superseded": 0, "still_held": 2,
         "not_replayable": {"ragged_row": 1}}
    ]  # fmt: skip
    assert "1 x ragged_row cannot be replayed" in held.errors
    held("warehouse", "psql", "-qc", "alter table raw_lists.things alter n type text")
    configure(held, "text")
    first, second = open_ids(held)["value_does_not_fit"]
    assert "replayed" in held("quarantine", "replay", "--id", str(first))
    left = held.json("quarantine", "replay", "lists.things", expect=3)["streams"][0]
    assert (left["replayed"], left["still_held"]) == (1, 0)
    held("quarantine", "replay", "--id", str(second), expect=2)
    assert f"{second} is resolved already (replayed)" in held.errors
    said = held.json("quarantine", "list", "--all")["records"]
    assert sorted(str(record["resolution"]) for record in said) == ["None", "replayed", "replayed"]


def test_replay_without_held_records_is_done_and_a_source_that_is_gone_a_failure(
    held: Cli,
) -> None:
    held("quarantine", "replay", "--reason", "none")
    assert "No record is held back" in held.errors
    held.configure(sources=[])
    said = held.json("quarantine", "replay", expect=1)
    assert said["errors"].keys() == {"lists.things"}
    assert "No source is called 'lists'" in held.errors


def test_discard_asks_on_a_terminal_and_refuses_elsewhere(held: Cli) -> None:
    held("quarantine", "discard", "--yes", expect=2)
    assert "Name a source" in held.errors
    held("quarantine", "discard", "lists", expect=2)
    assert "3 records would be discarded" in held.errors
    assert asked(held, "n")[0] == 1
    assert held.json("quarantine", "list")["total"] == 3
    code, shown = asked(held, "y")
    assert (code, "Discard 1 records?" in shown) == (0, True)
    assert held.json("quarantine", "list")["total"] == 2
    assert held.json("quarantine", "discard", "lists", "--yes") == {"discarded": 2}
    assert held.json("quarantine", "discard", "lists") == {"discarded": 0}
    ids = held.json("quarantine", "list", "--all")["records"]
    held("quarantine", "discard", "--id", str(ids[0]["quarantine_id"]), "--yes", expect=2)
    assert "is resolved already (discarded)" in held.errors


def asked(cli: Cli, answer: str) -> tuple[int, str]:
    """Discard the ragged lines on a terminal; return the exit code and what it shows."""
    leader, follower = pty.openpty()
    command = ("quarantine", "discard", "lists.things", "--reason", "ragged_row")
    with subprocess.Popen(
        [sys.executable, "-m", "crmhouse.cli", *command],
        cwd=cli.folder,
        env=cli.environment,
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        os.write(leader, f"{answer}\n".encode())
        shown: Any = process.communicate()[0]
    os.close(leader)
    os.close(follower)
    return process.returncode, shown
