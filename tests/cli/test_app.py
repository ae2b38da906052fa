"""The root command: errors, exit codes, and what it costs to ask for help."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from crmhouse.cli import main
from crmhouse.cli.app import CommandLine
from crmhouse.errors import ConfigurationError, CrmhouseError, GateFailedError

HEAVY = ("prefect", "dbt", "great_expectations", "pandas", "pyarrow", "sqlalchemy.orm")


def command_that_raises(error: BaseException) -> CommandLine:
    @click.group(cls=CommandLine)
    def root() -> None:
        pass

    @root.command()
    def work() -> None:
        raise error

    return root


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigurationError("no such source"), 2, "Error: no such source"),
        (GateFailedError("12 rows"), 1, "Error: 12 rows"),
        (CrmhouseError("x"), 1, "Error: x"),
        (KeyboardInterrupt(), 130, "Interrupted"),
    ],
)
def test_an_error_of_ours_is_a_message_on_standard_error_and_an_exit_code(
    error: BaseException, code: int, said: str
) -> None:
    result = CliRunner().invoke(command_that_raises(error), ["work"])
    assert result.exit_code == code
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_a_bug_keeps_its_traceback() -> None:
    result = CliRunner().invoke(command_that_raises(ZeroDivisionError("a bug")), ["work"])
    assert isinstance(result.exception, ZeroDivisionError)


@pytest.mark.parametrize("arguments", [["nonsense"], ["run", "--nonsense"], ["status", "extra"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, arguments).exit_code == 2


def test_a_configuration_that_is_missing_is_exit_code_2() -> None:
    result = CliRunner().invoke(main, ["--config", "nowhere.yaml", "status"])
    assert result.exit_code == 2
    assert "nowhere.yaml does not exist" in result.stderr


def test_the_commands_of_the_design_exist_and_each_says_what_it_does() -> None:
    assert set(main.commands) == {
        "demo", "init", "check", "quarantine", "sources", "sync", "run", "status",
        "simulate", "warehouse", "metrics", "deploy", "maintain",
    }  # fmt: skip
    warehouse = main.commands["warehouse"]
    assert isinstance(warehouse, click.Group)
    assert set(warehouse.commands) == {"url", "start", "stop", "psql"}
    assert all(command.help for command in (*main.commands.values(), *warehouse.commands.values()))


def test_everything_that_reads_speaks_json_too() -> None:
    warehouse = main.commands["warehouse"]
    assert isinstance(warehouse, click.Group)
    commands = {**main.commands, **{f"warehouse {k}": v for k, v in warehouse.commands.items()}}
    speak = {
        name
        for name, command in commands.items()
        if any("--format" in option.opts for option in command.params)
    }
    # These write a file, show it all to a person, start and stop a server, serve, or are psql.
    assert set(commands) - speak == {
        "init", "demo", "quarantine", "simulate", "warehouse", "warehouse start", "warehouse stop",
        "warehouse psql", "metrics",
    }  # fmt: skip


def imported(*arguments: str) -> set[str]:
    script = (
        "import sys\nfrom crmhouse.cli import main\n"
        f"main({list(arguments)!r}, standalone_mode=False)\n"
        "print('IMPORTED', *sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split("IMPORTED ")[1].split())


def test_help_imports_nothing_but_the_command_line() -> None:
    loaded = imported("--help")
    assert not loaded & {*HEAVY, "psycopg", "pydantic", "sqlalchemy", "rich"}


def test_status_imports_none_of_the_heavy_parts() -> None:
    assert not imported("status", "--help") & set(HEAVY)
    script = (
        "import sys, crmhouse.status, crmhouse.warehouse, crmhouse.settings, crmhouse.cli.state"
    )
    result = subprocess.run(
        [sys.executable, "-c", f"{script}\nprint(*sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not set(result.stdout.split()) & set(HEAVY)
