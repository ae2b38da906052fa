"""The book of runs: one at a time, closed whatever happens, nothing done twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from crmhouse import pipeline
from crmhouse.errors import (
    AlreadyRunningError,
    ConfigurationError,
    GateFailedError,
    RunFailedError,
)
from crmhouse.settings import Settings, SourceConfig

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse

BATCH_1 = datetime(2025, 4, 1, tzinfo=UTC)
SALESFORCE = SourceConfig(name="salesforce", kind="salesforce_export", options={"path": "x"})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, sources=(SALESFORCE,))


def the_run(warehouse: Warehouse, run_id: uuid.UUID) -> tuple[Any, ...]:
    with warehouse.connect() as connection:
        row = connection.execute(
            "select status, outcome, error, finished_at is not null from ops.pipeline_runs "
            "where run_id = %s",
            [run_id],
        ).fetchone()
    assert row
    return row


def land(
    warehouse: Warehouse, stream: str, *, changed: bool, until: datetime | str | None = None
) -> None:
    """Say that a run has landed a slice of a stream."""
    with warehouse.connect() as connection:
        connection.execute(
            """
            insert into ops.stream_state (source, stream, slice, checkpoint, cursor_at, run_id,
                changed_run_id, updated_at)
            values ('salesforce', %(stream)s, 'one', '{}', %(until)s, %(run_id)s,
                case when %(changed)s then %(run_id)s::uuid end, now())
            on conflict (source, stream, slice) do update set
                run_id = excluded.run_id, cursor_at = excluded.cursor_at,
                changed_run_id = coalesce(excluded.changed_run_id, stream_state.changed_run_id)
            """,
            {"stream": stream, "until": until, "run_id": uuid.uuid4(), "changed": changed},
        )


def test_a_run_that_finishes_is_closed_as_it_said(warehouse: Warehouse) -> None:
    with pipeline.begin(warehouse) as run_id:
        assert the_run(warehouse, run_id) == ("running", None, None, False)
        pipeline.finish(warehouse, run_id, "partial", pipeline.PUBLISHED, error="stripe failed")
    assert the_run(warehouse, run_id) == ("partial", "published", "stripe failed", True)


def test_a_second_run_is_refused_while_the_first_one_works(warehouse: Warehouse) -> None:
    with pipeline.begin(warehouse) as run_id:
        with (
            pytest.raises(AlreadyRunningError, match=str(run_id)),
            pipeline.begin(warehouse),
        ):
            pass
        assert the_run(warehouse, run_id)[0] == "running"
        pipeline.finish(warehouse, run_id, "succeeded", pipeline.PUBLISHED)
    with pipeline.begin(warehouse) as second:
        pipeline.finish(warehouse, second, "succeeded", pipeline.PUBLISHED)


def test_a_lock_connection_that_was_lost_does_not_undo_a_run_that_has_finished(
    warehouse: Warehouse,
) -> None:
    with pipeline.begin(warehouse) as run_id:
        pipeline.finish(warehouse, run_id, "succeeded", pipeline.PUBLISHED)
        with warehouse.connect() as connection:
            lost = connection.execute(
                "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' "
                "and database = (select oid from pg_database where datname = current_database())"
            ).fetchall()
        assert lost == [(True,)]
    assert the_run(warehouse, run_id)[:2] == ("succeeded", "published")


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (GateFailedError("12 rows break unique(id)"), "12 rows break unique(id)"),
        (ValueError("ann@example.org is not a number"), "ended by ValueError"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_an_error_closes_the_run_and_only_our_own_words_are_kept(
    warehouse: Warehouse, error: BaseException, kept: str
) -> None:
    seen = []

    def fail() -> None:
        with pipeline.begin(warehouse) as run_id:
            seen.append(run_id)
            raise error

    with pytest.raises(type(error)):
        fail()
    assert the_run(warehouse, seen[0]) == ("failed", "failed", kept, True)


def test_a_run_that_forgets_to_finish_has_failed(warehouse: Warehouse) -> None:
    with pipeline.begin(warehouse) as run_id:
        pass
    assert the_run(warehouse, run_id)[0] == "failed"
    with pytest.raises(RunFailedError, match="already closed"):
        pipeline.finish(warehouse, run_id, "succeeded", pipeline.PUBLISHED)


def test_a_killed_run_is_closed_by_the_next_one(warehouse: Warehouse) -> None:
    script = f"""
import sys
from crmhouse import pipeline
from crmhouse.warehouse import Warehouse
with pipeline.begin(Warehouse({warehouse.parameters!r}, True)) as run_id:
    print(run_id, flush=True)
    sys.stdin.read()
"""
    killed = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout
    run_id = uuid.UUID(killed.stdout.readline().strip())
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    for _ in range(100):
        try:
            with pipeline.begin(warehouse) as second:
                pipeline.finish(warehouse, second, "succeeded", pipeline.PUBLISHED)
            break
        except AlreadyRunningError:  # the server has not noticed yet
            time.sleep(0.05)
    status, outcome, error, closed = the_run(warehouse, run_id)
    assert (status, outcome, closed) == ("failed", "died", True)
    assert "ended without closing its run" in error


def test_the_fingerprint_changes_with_every_input_and_with_nothing_else(
    warehouse: Warehouse, settings: Settings
) -> None:
    def now(**changes: Any) -> str:
        return pipeline.fingerprint(warehouse, settings.model_copy(update=changes))

    land(warehouse, "account", changed=True, until=BATCH_1)
    first = now()
    assert now() == first
    # A sync that found the same rows again, and settings that no figure depends on.
    land(warehouse, "account", changed=False, until=BATCH_1)
    assert now() == first
    assert now(log_level="DEBUG", home=Path("/elsewhere"), batch_rows=1) == first
    others = [
        now(as_of=BATCH_1),
        now(reporting_currency="EUR"),
        now(source_trust=("stripe",)),
        now(fx_rates="reference.fx"),
        now(sources=(SALESFORCE, SALESFORCE.model_copy(update={"name": "salesforce_emea"}))),
        now(sources=()),
    ]
    land(warehouse, "account", changed=True, until=BATCH_1)
    others.append(now())
    land(warehouse, "contact", changed=True, until=BATCH_1)
    others.append(now())
    land(warehouse, "contact", changed=False, until=BATCH_1 + timedelta(days=1))
    others.append(now())
    assert len({first, *others}) == len(others) + 1


def test_the_fingerprint_does_not_depend_on_the_clock_where_a_record_has_a_future_time(
    warehouse: Warehouse, settings: Settings
) -> None:
    land(warehouse, "account", changed=True, until=datetime.now(UTC) + timedelta(days=400))
    assert pipeline.fingerprint(warehouse, settings) == pipeline.fingerprint(warehouse, settings)


def test_a_changed_model_or_rule_changes_the_fingerprint(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    """In a copy of the packages: the real ones are not touched."""
    root = Path(pipeline.__file__).parents[1]
    for folder in ("crmhouse", "dbt", "quality", "identity", "ingestion"):
        shutil.copytree(
            root / folder,
            tmp_path / folder,
            ignore=shutil.ignore_patterns("__pycache__", "target", "logs"),
        )
    script = f"""
from crmhouse import pipeline
from crmhouse.settings import Settings
from crmhouse.warehouse import Warehouse
print(pipeline.fingerprint(Warehouse({warehouse.parameters!r}, True), Settings()))
"""

    def now() -> str:
        return subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    seen = [now()]
    (tmp_path / "dbt" / "target").mkdir()
    (tmp_path / "dbt" / "target" / "noise.sql").write_text("select 1")
    assert now() == seen[0]
    for file in (
        "dbt/models/marts/finance/dim_dates.sql", "dbt/dbt_project.yml",
        "quality/rules/raw.yaml", "identity/rules.py",
    ):  # fmt: skip
        with (tmp_path / file).open("a") as text:
            text.write("\n")
        seen.append(now())
    (tmp_path / "dbt/models/marts/finance/dim_dates.sql").unlink()
    seen.append(now())
    assert len(set(seen)) == len(seen)


def test_only_a_run_that_published_makes_its_inputs_current(warehouse: Warehouse) -> None:
    assert not pipeline.is_current(warehouse, "a")
    for printed, expected in (("a", "a"), (None, "a"), ("b", "b")):
        with pipeline.begin(warehouse) as run_id:
            pipeline.finish(warehouse, run_id, "succeeded", "x", fingerprint=printed)
        assert pipeline.is_current(warehouse, expected)
    assert not pipeline.is_current(warehouse, "a")


def test_a_moment_before_the_newest_record_is_refused(
    warehouse: Warehouse, settings: Settings
) -> None:
    land(warehouse, "account", changed=True, until=BATCH_1)
    early = settings.model_copy(update={"as_of": BATCH_1})
    with (
        pytest.raises(ConfigurationError, match=r"as_of is 2025-04-01.* up to 2025-04-01.*000001"),
        pipeline.begin(warehouse) as run_id,
    ):
        pipeline.write_context(warehouse, early, run_id)


@pytest.mark.parametrize(
    ("configured", "landed", "expected"),
    [
        (BATCH_1, BATCH_1 - timedelta(microseconds=1), BATCH_1),
        (None, BATCH_1, BATCH_1 + timedelta(microseconds=1)),
        (None, None, "now"),
        (None, datetime(2099, 1, 1, tzinfo=UTC), "now"),
        (None, "infinity", "now"),
    ],
)
def test_figures_are_for_the_configured_moment_or_just_after_the_newest_record(
    warehouse: Warehouse,
    settings: Settings,
    configured: datetime | None,
    landed: datetime | str | None,
    expected: datetime | str,
) -> None:
    land(warehouse, "account", changed=True, until=landed)
    chosen = settings.model_copy(update={"as_of": configured, "reporting_currency": "EUR"})
    with pipeline.begin(warehouse) as run_id:
        as_of = pipeline.write_context(warehouse, chosen, run_id)
        assert pipeline.write_context(warehouse, chosen, run_id) >= as_of  # written over, not twice
        pipeline.finish(warehouse, run_id, "succeeded", pipeline.PUBLISHED)
    if expected == "now":
        assert abs(datetime.now(UTC) - as_of) < timedelta(minutes=1)
    else:
        assert as_of == expected
    with warehouse.connect() as connection:
        context = connection.execute("select run_id, reporting_currency from ops.run_context")
        assert context.fetchall() == [(run_id, "EUR")]
