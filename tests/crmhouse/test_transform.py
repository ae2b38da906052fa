"""Running dbt: results as values, failures as one error, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crmhouse import transform
from crmhouse.errors import TransformFailedError, TransformInterruptedError
from crmhouse.settings import DbtSettings, Settings, SourceConfig

if TYPE_CHECKING:
    from crmhouse.dbt_progress import NodeDone
    from crmhouse.warehouse import Warehouse

ROOT = Path(__file__).parents[2]
PROFILES = (ROOT / "dbt" / "profiles.yml").read_text()
MACRO = (ROOT / "dbt" / "macros" / "generate_schema_name.sql").read_text()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one good model; tests add to it."""
    files = {
        "dbt_project.yml": "{name: crmhouse, version: '1.0', config-version: 2, profile: crmhouse, "
        "models: {+schema: marts_build, +materialized: table}}",
        "profiles.yml": PROFILES,
        "macros/generate_schema_name.sql": MACRO,
        "models/good.sql": "select 1 as id union all select 2",
    }
    for name, text in files.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "project"


def processes_of(marker: str) -> list[int]:
    """The processes that have this text among their arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and marker in (entry / "cmdline").read_text():
                found.append(int(entry.name))
        except (OSError, UnicodeDecodeError):
            continue
    return [pid for pid in found if pid != os.getpid()]


def until_gone(marker: str, seconds: float = 15) -> list[int]:
    deadline = time.monotonic() + seconds
    while (left := processes_of(marker)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def test_a_build_tells_each_node_with_its_rows_and_its_time(
    warehouse: Warehouse, settings: Settings, project: Path
) -> None:
    (project / "models/schema.yml").write_text(
        "models: [{name: good, columns: [{name: id, data_tests: [not_null]}]}]"
    )
    run = transform.build(warehouse, settings, "all", [], project=project)
    model, test = sorted(run.nodes, key=lambda node: node.kind)
    assert (model.name, model.kind, model.schema) == ("good", "model", "marts_build")
    assert (model.status, model.rows, model.failed) == ("success", 2, False)
    assert (test.kind, test.status, test.rows) == ("test", "pass", 0)
    assert 0 < model.seconds < run.seconds


def test_every_failed_node_is_named_with_its_reason_and_without_values(
    warehouse: Warehouse, settings: Settings, project: Path
) -> None:
    (project / "models/bad.sql").write_text(
        "select cast(chr(97) || 'nn@example.org' as integer) as id"
    )
    (project / "models/after.sql").write_text("select * from {{ ref('bad') }}")
    (project / "models/schema.yml").write_text(
        "models: [{name: good, columns: [{name: id, data_tests: "
        "[{accepted_values: {arguments: {values: [1]}}}]}]}]"
    )
    told: list[NodeDone] = []
    with pytest.raises(TransformFailedError) as caught:
        transform.build(warehouse, settings, "all", [], project=project, listener=told.append)
    message = str(caught.value)
    assert {node.name: node.status for node in told} == {
        "good": "success", "bad": "error", "after": "skipped",
        "accepted_values_good_id__1": "fail",
    }  # fmt: skip
    assert [(node.number, node.total) for node in told] == [(n, 4) for n in range(1, 5)]
    assert "ann@example.org" not in "".join(map(str, told))
    assert "2 of 4 nodes failed, 1 skipped" in message
    assert "model bad: error" in message
    assert "invalid input syntax for type integer" in message
    assert "ann@example.org" not in message
    assert "test accepted_values_good_id__1: fail" in message
    assert "Got 1 result" in message
    assert str(settings.home / "dbt" / "all.log") in message


def test_a_node_is_told_while_the_others_still_run(
    warehouse: Warehouse, settings: Settings, project: Path
) -> None:
    (project / "models/slow.sql").write_text(
        "select 1 as id from {{ ref('good') }}, pg_sleep(2) limit 1"
    )
    told: list[tuple[float, NodeDone]] = []
    run = transform.build(
        warehouse, settings, "all", [], project=project,
        listener=lambda node: told.append((time.monotonic(), node)),
    )  # fmt: skip
    (first, good), (last, slow) = told
    assert (good.name, slow.name) == ("good", "slow")
    assert last - first > 1
    assert {node.name: node.seconds for _, node in told} == {
        node.name: pytest.approx(node.seconds, abs=0.5) for node in run.nodes
    }
    again: list[NodeDone] = []
    transform.build(
        warehouse, settings, "all", ["--select", "good"], project=project, listener=again.append
    )
    assert [(node.name, node.total) for node in again] == [("good", 1)], "of this call alone"


@pytest.mark.parametrize(
    ("also", "kind"),
    [("select 1 as id", TransformInterruptedError), ("select 1 / 0 as id", TransformFailedError)],
)
def test_a_deadlock_is_told_from_a_model_that_is_wrong(
    warehouse: Warehouse, settings: Settings, project: Path, also: str, kind: type[Exception]
) -> None:
    raised = "raise sqlstate '40P01' using message = 'deadlock detected'"
    hook = f'{{{{ config(pre_hook="do $$ begin {raised}; end $$") }}}}'
    (project / "models/held.sql").write_text(f"{hook} select 1 as id")
    (project / "models/also.sql").write_text(also)
    with pytest.raises(TransformFailedError) as caught:
        transform.build(warehouse, settings, "all", [], project=project)
    assert type(caught.value) is kind


def test_a_project_that_does_not_parse_shows_what_dbt_said(
    warehouse: Warehouse, settings: Settings, project: Path
) -> None:
    (project / "models/bad.sql").write_text("select * from {{ ref('nowhere') }}")
    with pytest.raises(TransformFailedError, match=r"(?s)could not start.*nowhere.*Its log: "):
        transform.build(warehouse, settings, "all", [], project=project)


def test_results_of_an_earlier_call_are_not_taken_for_those_of_this_one(
    warehouse: Warehouse, settings: Settings, project: Path
) -> None:
    transform.build(warehouse, settings, "all", [], project=project)
    (project / "dbt_project.yml").write_text("{}")
    with pytest.raises(TransformFailedError, match="could not start"):
        transform.build(warehouse, settings, "all", [], project=project)


def slow(project: Path) -> None:
    (project / "models/slow.sql").write_text("select 1 as id from pg_sleep(300)")


def statements(warehouse: Warehouse) -> int:
    with warehouse.connect() as connection:
        row = connection.execute(
            "select count(*) from pg_stat_activity where query like '%pg_sleep(300)%' "
            "and datname = current_database() and pid <> pg_backend_pid()"
        ).fetchone()
    return int(row[0]) if row else 0


def wait_for_statement(warehouse: Warehouse) -> None:
    deadline = time.monotonic() + 60
    while not statements(warehouse):
        assert time.monotonic() < deadline, "dbt never came to its statement"
        time.sleep(0.1)


def test_after_the_timeout_no_process_and_no_statement_of_dbt_is_left(
    warehouse: Warehouse, tmp_path: Path, project: Path
) -> None:
    slow(project)
    settings = Settings(home=tmp_path / "home", dbt=DbtSettings(timeout_seconds=8))
    with pytest.raises(TransformFailedError, match=r"longer than 8 s.*dbt\.timeout_seconds"):
        transform.build(warehouse, settings, "all", [], project=project)
    assert until_gone(str(tmp_path)) == []
    deadline = time.monotonic() + 15  # the server ends them once it is told, not at once
    while statements(warehouse) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert statements(warehouse) == 0


def test_calls_share_a_process_and_one_that_is_stopped_does_not_stop_the_next(
    warehouse: Warehouse, settings: Settings, project: Path
) -> None:
    stop = threading.Event()

    def when_it_works() -> None:
        wait_for_statement(warehouse)
        stop.set()

    with transform.dbt_process(warehouse, settings) as process:
        first = transform.build(warehouse, settings, "1", [], project=project, process=process)
        loaded = processes_of(str(settings.home))
        slow(project)
        threading.Thread(target=when_it_works).start()
        with pytest.raises(TransformFailedError, match="stopped on request"):
            transform.build(
                warehouse, settings, "2", [], project=project, process=process, stop=stop
            )
        assert until_gone(str(settings.home)) == []
        (project / "models/slow.sql").unlink()
        third = transform.build(warehouse, settings, "3", [], project=project, process=process)
        assert len(loaded) == len(processes_of(str(settings.home))) == 1
        assert loaded != processes_of(str(settings.home))
        fourth = transform.build(warehouse, settings, "4", [], project=project, process=process)
    assert [node.name for run in (first, third, fourth) for node in run.nodes] == ["good"] * 3
    assert until_gone(str(settings.home)) == []
    logs = [(settings.home / "dbt" / f"{name}.log").read_text() for name in "134"]
    assert [log.count("Running with dbt") for log in logs] == [1, 1, 1]


def test_a_dbt_that_cannot_be_loaded_shows_why(
    warehouse: Warehouse, settings: Settings, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "dbt").mkdir()
    (project / "dbt/__init__.py").write_text(
        "print('loading')\nraise ImportError('half installed')"
    )
    monkeypatch.setenv("PYTHONPATH", str(project), prepend=os.pathsep)
    with pytest.raises(TransformFailedError, match=r"(?s)could not start.*half installed"):
        transform.build(warehouse, settings, "all", [], project=project)


def test_dbt_does_not_outlive_a_killed_parent(
    warehouse: Warehouse, settings: Settings, project: Path, tmp_path: Path
) -> None:
    slow(project)
    script = textwrap.dedent(
        f"""
        from pathlib import Path
        from crmhouse import transform
        from crmhouse.settings import Settings
        from crmhouse.warehouse import Warehouse
        transform.build(
            Warehouse({warehouse.parameters!r}, True), Settings(home={str(settings.home)!r}),
            "all", [], project=Path({str(project)!r}),
        )
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    try:
        wait_for_statement(warehouse)
        assert processes_of(str(tmp_path))
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert until_gone(str(tmp_path)) == []
    deadline = time.monotonic() + 10
    while statements(warehouse) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert statements(warehouse) == 0


def test_the_password_is_in_no_argument_and_in_no_file(
    warehouse: Warehouse, settings: Settings, project: Path
) -> None:
    secret = "a-long-sentence"  # noqa: S105
    slow(project)
    known = type(warehouse)({**warehouse.parameters, "password": secret}, embedded=False)
    stop = threading.Event()
    seen: list[str] = []

    def look() -> None:
        wait_for_statement(warehouse)
        pids = processes_of(str(settings.home))
        seen.extend(Path(f"/proc/{pid}/cmdline").read_text() for pid in pids)
        stop.set()

    threading.Thread(target=look).start()
    with pytest.raises(TransformFailedError, match="stopped"):
        transform.build(known, settings, "all", [], project=project, stop=stop)
    assert seen
    assert not any(secret in arguments for arguments in seen)
    (project / "models/slow.sql").unlink()
    transform.build(known, settings, "all", [], project=project)
    files = [path for path in settings.home.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_the_variables_name_the_sources_by_system_and_leave_files_out() -> None:
    settings = Settings(
        fx_rates="reference.fx",
        sources=(
            SourceConfig(name="salesforce", kind="salesforce_export"),
            SourceConfig(name="salesforce_emea", kind="salesforce_export", currency="EUR"),
            SourceConfig(name="shop", kind="shopify_export"),
            SourceConfig(name="reference", kind="files"),
        ),
    )
    assert transform.dbt_variables(settings) == {
        "sources": {"salesforce": ["salesforce", "salesforce_emea"], "shopify": ["shop"]},
        "source_currencies": {"salesforce_emea": "EUR"},
        "fx_rates": "reference.fx",
        "source_trust": ["salesforce", "hubspot", "stripe", "shopify"],
    }


def test_a_candidate_of_a_model_that_is_no_more_is_dropped(
    warehouse: Warehouse, settings: Settings, project: Path
) -> None:
    with warehouse.connect() as connection:
        connection.execute("create table marts_build.gone (id int)")
    transform.build_marts(warehouse, settings, project=project)
    with warehouse.connect() as connection:
        tables = connection.execute(
            "select tablename from pg_tables where schemaname = 'marts_build'"
        ).fetchall()
    assert tables == [("good",)]


def test_every_node_of_the_project_belongs_to_exactly_one_phase(tmp_path: Path) -> None:
    def nodes(selection: tuple[str, ...]) -> set[str]:
        listed = subprocess.run(
            [
                sys.executable, "-P", "-m", "dbt.cli.main", "--quiet", "--log-path", str(tmp_path),
                "ls", "--project-dir", str(ROOT / "dbt"), "--profiles-dir", str(ROOT / "dbt"),
                "--target-path", str(tmp_path), "--output", "json", "--output-keys", "unique_id",
                *selection,
            ],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        return {json.loads(line)["unique_id"] for line in listed.splitlines()}

    before, after = nodes(transform.BEFORE_IDENTITY), nodes(transform.AFTER_IDENTITY)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert before & after == set()
    assert before | after - manifest["sources"].keys() >= manifest["nodes"].keys()
    assert {f"model.crmhouse.{name}" for name in transform.IDENTITY_INPUTS} <= before
    assert not any("dim_customers" in name for name in before)
