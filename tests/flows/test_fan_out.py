"""Large syncs and backfills as sub-runs on a work pool: the same result, whatever is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
import yaml
from prefect_server import FINAL, wait_for
from project import fingerprint

from crmhouse.settings import load_settings
from crmhouse.warehouse import open_warehouse
from ingestion.backfills import missing
from ingestion.locks import open_locks
from ingestion.stream_sync import Asked
from ingestion.sync import sync_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_server import PrefectServer

    from crmhouse.warehouse import Warehouse

pytestmark = [pytest.mark.xdist_group("prefect-server"), pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
ROWS, SLICES = 8_000, 8
BACKFILL_SLICES = 4  # fewer: each is a process that starts
SPAN = {"start": "2026-01-01T00:00:00Z", "end": "2026-09-01T00:00:00Z"}


NO_ROOM = """
import json
from flows import fan_out

fan_out._SECONDS_WITHOUT_START = 5.0
part = fan_out.Part("a slice without room", {"source": "shop"})
print(json.dumps(fan_out.land(
    [part], missing=lambda: [part.name], at_once=2, tell=lambda *_: None
)))
"""


@dataclass(frozen=True)
class FanOut:
    """A project whose source is a database with a large table, and a server that runs its flows."""

    prefect: PrefectServer
    config: Path
    warehouse: Warehouse
    source: sa.Engine

    def start(self, deployment: str, **parameters: Any) -> dict[str, Any]:
        found = self.prefect.call(f"/deployments/name/{deployment}")
        body = {"parameters": {"source": "shop", "config": str(self.config), **parameters}}
        run: dict[str, Any] = self.prefect.call(f"/deployments/{found['id']}/create_flow_run", body)
        return run

    def end_of(self, run: dict[str, Any]) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            now: dict[str, Any] = self.prefect.call(f"/flow_runs/{run['id']}")
            return now if now["state_type"] in FINAL else None

        found: dict[str, Any] = wait_for(ended, seconds=400, what=run["name"])
        return found

    def backfill(self) -> uuid.UUID | None:
        """The backfill under way."""
        with self.warehouse.connect() as connection:
            found = connection.execute(
                "select backfill_id from ops.backfills where finished_at is null"
            ).fetchone()
        return found[0] if found else None

    def require_alive(self, run: dict[str, Any]) -> None:
        now = self.prefect.call(f"/flow_runs/{run['id']}")
        assert now["state_type"] not in FINAL, self.prefect.logs(run)

    def sub_runs(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        body = {"flow_runs": {"parent_flow_run_id": {"any_": [run["id"]]}}}
        found: list[dict[str, Any]] = self.prefect.call("/flow_runs/filter", body)
        return found

    def landed(self) -> dict[str, int]:
        """How many rows each slice of the first load has brought."""
        with self.warehouse.connect() as connection:
            return dict(
                connection.execute(
                    "select slice, sum(rows_inserted)::int from ops.sync_runs "
                    "where slice like 'load %' and status = 'succeeded' group by 1 order by 1"
                ).fetchall()
            )

    def in_one(self, **asked: Any) -> None:
        """Sync in this process."""
        settings = load_settings(self.config)
        sync_source(
            self.warehouse, settings, settings.source("shop"), run_id=uuid.uuid4(),
            asked=Asked(**asked),
        )  # fmt: skip


@pytest.fixture(scope="module")
def company(
    prefect: PrefectServer,
    process_worker: None,  # noqa: ARG001  # it must be there
    project_warehouse: Warehouse,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[FanOut]:
    folder = tmp_path_factory.mktemp("fan_out")
    with project_warehouse.connect(autocommit=True) as connection:
        for name in ("fan_out", "fan_out_source"):
            connection.execute(f"create database {name}")
    at = project_warehouse.sqlalchemy_url()
    source = at.set(database="fan_out_source").render_as_string(hide_password=False)
    engine = sa.create_engine(source, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text(
            "create table orders as select id, md5(id::text) as name, "
            "'2026-01-01 00:00:00Z'::timestamptz + id * interval '43 minutes' as updated_at "
            f"from generate_series(1, {ROWS}) as id"
        ))  # fmt: skip
        connection.execute(sa.text("alter table orders add primary key (id)"))
    tables = {"orders": {"cursor": "updated_at", "slice_rows": ROWS // SLICES}}
    shop = {
        "name": "shop", "kind": "database", "parallel_slices": 3,
        "options": {"url": source, "tables": tables},
    }  # fmt: skip
    warehouse_url = at.set(database="fan_out", drivername="postgresql")
    content = {"warehouse_url": warehouse_url.render_as_string(hide_password=False)}
    config = folder / "crmhouse.yaml"
    config.write_text(yaml.safe_dump({**content, "sources": [shop]}), encoding="utf-8")
    prefect.prefect("--no-prompt", "deploy", "--all", cwd=ROOT)
    body = {"name": "source-shop", "limit": 3}
    prefect.call("/v2/concurrency_limits/", body)
    with open_warehouse(load_settings(config)) as warehouse:
        yield FanOut(prefect, config, warehouse, engine)
    with project_warehouse.connect(autocommit=True) as connection:
        for name in ("fan_out", "fan_out_source"):
            connection.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def loaded(company: FanOut) -> dict[str, Any]:
    """A first load in eight slices. The run that lands one of them is killed on the way."""
    with open_locks(company.warehouse) as locks:
        assert locks.take("sync shop.orders load 0003")  # so its run waits, and can be met
        run = company.start("sync-source/sync-source")

        def waiting() -> dict[str, Any] | None:
            company.require_alive(run)
            left = {f"load {number:04d}" for number in range(1, SLICES + 1)} - {*company.landed()}
            found = [one for one in company.sub_runs(run) if one["name"].endswith("load 0003")]
            return found[0] if left == {"load 0003"} and found else None

        victim = wait_for(waiting, seconds=500, what="the other slices")
        assert company.prefect.call(f"/flow_runs/{run['id']}")["state_type"] == "RUNNING"
        os.kill(int(victim["infrastructure_pid"].rpartition(":")[2]), signal.SIGKILL)
    ended = company.end_of(run)
    assert ended["state_type"] == "COMPLETED", company.prefect.logs(run)
    return ended


def test_a_first_load_in_eight_sub_runs_equals_the_same_in_one(
    loaded: dict[str, Any], company: FanOut
) -> None:
    assert loaded["state_type"] == "COMPLETED"
    assert company.landed() == {f"load {n:04d}": ROWS // SLICES for n in range(1, SLICES + 1)}
    several = fingerprint(company.warehouse, "raw_shop")
    with company.warehouse.connect() as connection:
        connection.execute("drop schema raw_shop cascade")
        connection.execute("delete from ops.stream_state")
    company.in_one()
    assert fingerprint(company.warehouse, "raw_shop") == several
    assert {*several} == {"raw_shop.orders"}


def test_a_slice_that_was_lost_is_started_again_and_no_other(
    loaded: dict[str, Any], company: FanOut
) -> None:
    runs = company.sub_runs(loaded)
    by_name: dict[str, list[str]] = {}
    for run in sorted(runs, key=lambda run: run["created"]):
        by_name.setdefault(run["name"].rpartition("load ")[2], []).append(run["state_type"])
    assert by_name == {
        f"{number:04d}": ["CRASHED", "COMPLETED"] if number == 3 else ["COMPLETED"]
        for number in range(1, SLICES + 1)
    }


def test_the_bound_of_the_source_was_kept(loaded: dict[str, Any], company: FanOut) -> None:
    moments = []
    for run in company.sub_runs(loaded):
        moments += [(run["created"], 1), (run["end_time"], -1)]  # waiting ones count, too
    at_work = most = 0
    for _, change in sorted(moments):
        at_work += change
        most = max(most, at_work)
    assert most == 3


def test_the_run_tells_what_its_sub_runs_have_landed(
    loaded: dict[str, Any], company: FanOut
) -> None:
    (row,) = json.loads(company.prefect.artifacts(loaded)["rows-per-stream"])
    assert (row["stream"], row["inserted"], row["error"]) == ("orders", ROWS, "")


@dataclass(frozen=True)
class Backfilled:
    """A backfill that was killed but for one slice, and the same once more.

    Attributes:
        wanted: what raw held before its rows were lost.
    """

    killed: dict[str, Any]
    again: dict[str, Any]
    wanted: dict[str, str]


@pytest.fixture(scope="module")
def backfilled(loaded: dict[str, Any], company: FanOut) -> Backfilled:
    assert loaded["state_type"] == "COMPLETED"
    wanted = fingerprint(company.warehouse, "raw_shop")
    with company.warehouse.connect() as connection:
        connection.execute("delete from raw_shop.orders where id % 5 = 0")
    asked = {**SPAN, "slices": BACKFILL_SLICES}
    with open_locks(company.warehouse) as locks:
        killed = company.start("backfill/backfill", **asked)
        backfill = wait_for(company.backfill, seconds=120, what="the plan of the backfill")
        assert locks.take(f"backfill {backfill} 3", seconds=60)

        def waiting() -> dict[str, Any] | None:
            company.require_alive(killed)
            found = [one for one in company.sub_runs(killed) if "slice 3 of" in one["name"]]
            return found[0] if missing(company.warehouse, backfill) == [3] and found else None

        victim = wait_for(waiting, seconds=500, what="the other slices")
        for run in (company.prefect.call(f"/flow_runs/{killed['id']}"), victim):
            os.kill(int(run["infrastructure_pid"].rpartition(":")[2]), signal.SIGKILL)
    killed = company.end_of(killed)
    again = company.end_of(company.start("backfill/backfill", **asked))
    return Backfilled(killed, again, wanted)


def test_a_backfill_that_was_killed_lands_the_missing_slice_only(
    backfilled: Backfilled, company: FanOut
) -> None:
    assert (backfilled.killed["state_type"], backfilled.again["state_type"]) == (
        "CRASHED", "COMPLETED",
    )  # fmt: skip
    assert len(company.sub_runs(backfilled.killed)) == BACKFILL_SLICES
    assert [run["name"].rpartition(", ")[2] for run in company.sub_runs(backfilled.again)] == [
        "slice 3 of 4"
    ]
    with company.warehouse.connect() as connection:
        brought = connection.execute(
            "select part.slice, count(*), sum(rows_inserted) > 0 from ops.backfill_slices as part "
            "join ops.sync_runs using (run_id, window_start) group by 1 order by 1"
        ).fetchall()
    assert brought == [(number, 1, True) for number in range(1, BACKFILL_SLICES + 1)]


def test_a_backfill_in_slices_equals_the_same_in_one(
    backfilled: Backfilled, company: FanOut
) -> None:
    assert fingerprint(company.warehouse, "raw_shop") == backfilled.wanted
    with company.warehouse.connect() as connection:
        connection.execute("delete from raw_shop.orders where id % 5 = 0")
    company.in_one(window=tuple(datetime.fromisoformat(moment) for moment in SPAN.values()))
    assert fingerprint(company.warehouse, "raw_shop") == backfilled.wanted


def test_a_backfill_that_has_ended_is_no_longer_under_way(
    backfilled: Backfilled, company: FanOut
) -> None:
    assert backfilled.again["state_type"] == "COMPLETED"
    assert company.backfill() is None


def test_a_sync_after_the_first_load_plans_none_and_waits_for_who_builds_from_the_source(
    backfilled: Backfilled, company: FanOut
) -> None:
    assert backfilled.again["state_type"] == "COMPLETED"
    with open_locks(company.warehouse) as locks:
        assert locks.take("sync shop")
        run = company.start("sync-source/sync-source")

        def steps() -> list[str]:
            body = {"task_runs": {"flow_run_id": {"any_": [run["id"]]}}}
            return [one["name"] for one in company.prefect.call("/task_runs/filter", body)]

        wait_for(steps, seconds=300, what="the sync of the stream")
        company.require_alive(run)
    assert company.end_of(run)["state_type"] == "COMPLETED"
    assert steps() == ["sync shop.orders"]


def test_slices_for_which_the_pool_has_no_room_are_given_up(company: FanOut) -> None:
    def pause(*, is_paused: bool) -> None:
        company.prefect.call("/work_pools/crmhouse", {"is_paused": is_paused}, "PATCH")

    pause(is_paused=True)
    try:
        result = subprocess.run(
            [sys.executable, "-c", NO_ROOM], env=company.prefect.environment(),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        pause(is_paused=False)
    assert result.returncode == 0, result.stderr
    assert "no room" in json.loads(result.stdout)["a slice without room"]
    body = {"flow_runs": {"name": {"any_": ["a slice without room"]}}}
    (run,) = company.prefect.call("/flow_runs/filter", body)
    assert run["state_type"] == "CANCELLED"


def test_the_slots_of_killed_runs_are_free_again(backfilled: Backfilled, company: FanOut) -> None:
    assert backfilled.again["state_type"] == "COMPLETED"

    def free() -> bool:
        limit = company.prefect.call("/v2/concurrency_limits/source-shop")
        return (limit["limit"], limit["active_slots"]) == (3, 0)

    assert wait_for(free, seconds=150, what="the slots of the killed runs")
