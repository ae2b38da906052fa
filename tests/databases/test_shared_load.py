"""First loads of large tables that several processes land at once: killed, failing, late."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from fault_points import Child
from prefect_server import wait_for

from crmhouse.errors import AlreadyRunningError
from ingestion.locks import open_locks
from ingestion.runs import checkpoints
from ingestion.sources import connector
from ingestion.stream_sync import Asked, Silent
from ingestion.sync import plan_first_load, sync_source

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

    from conftest import Source

    from crmhouse.settings import Settings, SourceConfig
    from crmhouse.warehouse import Warehouse
    from ingestion.runs import SliceRun

ROWS, SLICES = 8_000, 8
TIME = {"postgresql": "timestamptz", "mariadb": "timestamp(6)", "sqlite": "datetime"}
CUT: dict[str, Any] = {"cursor": "updated_at", "sweep_every_hours": None, "slice_rows": 1000}


class Watch(Silent):
    """Tells a pipe what has landed; ends or rests where it is told to."""

    def __init__(self, pipe: Pipe | None = None, *, rest_in: str = "", end_after: str = "") -> None:
        self._pipe, self._rest_in, self._end_after = pipe, rest_in, end_after

    def arrived(self, place: str, *_: object) -> None:
        if self._pipe and self._rest_in and place.endswith(self._rest_in):
            self._pipe.send(place)
            time.sleep(60)

    def landed(self, run: SliceRun) -> None:
        if run.slice == self._end_after:
            raise KeyboardInterrupt


def sync(
    pipe: Pipe,
    warehouse: Warehouse,
    settings: Settings,
    source: SourceConfig,
    rest_in: str = "",
) -> None:
    """Sync in a process of its own, and tell which slices it has landed."""
    runs = sync_source(
        warehouse, settings, source, run_id=uuid.uuid4(), listener=Watch(pipe, rest_in=rest_in)
    )
    pipe.send([run.slice for run in runs])


@pytest.fixture
def things(source: Source) -> Source:
    """Many things, and the plan of their first load."""
    return with_plan(source)


def with_plan(source: Source) -> Source:
    """Make many things, and the plan of their first load."""
    source.execute(
        f"create table things (id integer primary key, updated_at {TIME[source.dialect]} not null)"
    )
    source.fill(
        "insert into things values (:id, '2026-01-01 00:00:00')",
        [{"id": number} for number in range(ROWS)],
    )
    with pytest.raises(KeyboardInterrupt):
        sync_source(
            source.warehouse, *source.configured({"things": CUT}, {}),
            run_id=uuid.uuid4(), listener=Watch(end_after="load"),
        )  # fmt: skip
    return source


def landings(things: Source) -> list[tuple[str, int, int]]:
    """How often each slice of the load has landed, and with how many rows."""
    with things.warehouse.connect() as connection:
        return connection.execute(
            "select slice, count(*), sum(rows_inserted)::int from ops.sync_runs "
            "where slice like 'load %' and status = 'succeeded' group by 1 order by 1"
        ).fetchall()


def require_all_landed_once(things: Source) -> None:
    assert things.raw("count(*), count(distinct id)") == [(ROWS, ROWS)]
    assert [(times, rows) for _, times, rows in landings(things)] == [(1, 1000)] * SLICES


def test_processes_at_once_land_each_slice_once(things: Source) -> None:
    arguments = things.warehouse, *things.configured({"things": CUT}, {})
    with (
        open_locks(things.warehouse) as locks,
        Child(sync, *arguments) as one,
        Child(sync, *arguments) as two,
        ThreadPoolExecutor() as pool,
    ):
        assert locks.take("sync test.things load 0008")  # so none is done before all have begun
        third = pool.submit(sync_source, *arguments, run_id=uuid.uuid4())
        wait_for(lambda: at_work(things) == 3, seconds=60, what="three processes")
        locks.release("sync test.things load 0008")
        done = [*one.said(), *two.said(), *(run.slice for run in third.result(timeout=60))]
        assert (one.wait(), two.wait()) == (0, 0)
    require_all_landed_once(things)
    assert sorted(done) == ["changes", *(f"load {n:04d}" for n in range(1, SLICES + 1))]


def at_work(things: Source) -> int:
    """How many processes sync the source."""
    with things.warehouse.connect() as connection:
        found = connection.execute(
            "select count(*) from pg_locks where locktype = 'advisory' and granted "
            "and (classid::bigint << 32) | objid::bigint = hashtextextended('sync test', 0) "
            "and database = (select oid from pg_database where datname = current_database())"
        ).fetchone()
    assert found
    return int(found[0])


def test_the_slice_of_a_killed_leader_is_landed_by_its_helper(things: Source) -> None:
    arguments = things.warehouse, *things.configured({"things": CUT}, {})
    with Child(sync, *arguments, rest_in="load 0003") as leader:
        assert leader.said().endswith("load 0003")
        with Child(sync, *arguments) as helper:
            leader.kill()
            names = helper.said()
            assert helper.wait() == 0
    assert "load 0003" in names
    assert list(things.sync({"things": CUT})) == ["changes"]
    require_all_landed_once(things)


def test_the_slice_of_a_killed_helper_is_landed_by_its_leader(things: Source) -> None:
    arguments = things.warehouse, *things.configured({"things": CUT}, {})
    with Child(sync, *arguments, rest_in="load 0001") as first:
        assert first.said().endswith("load 0001")
        with Child(sync, *arguments, rest_in="load 0002") as helper:
            assert helper.said().endswith("load 0002")
            first.kill()
            wait_for_lead(things)
            with Child(sync, *arguments) as leader:
                assert not leader.ends_within(2)  # all but the helper's have landed
                helper.kill()
                names = leader.said()
                assert leader.wait() == 0
    assert names[-2:] == ["load 0002", "changes"]
    require_all_landed_once(things)


def wait_for_lead(things: Source) -> None:
    """Wait until the stream's lead is to be had."""
    with open_locks(things.warehouse) as locks:
        assert locks.take("sync test.things", seconds=30)


def test_a_slice_that_fails_ends_both_processes_and_no_other_slice(postgres: Source) -> None:
    things = with_plan(postgres)
    things.execute("update things set updated_at = 'infinity' where id = 1500")
    settings, source = things.configured({"things": CUT}, {})
    arguments = things.warehouse, settings.model_copy(update={"max_quarantine_share": 0}), source
    with Child(sync, *arguments) as one, Child(sync, *arguments) as two:
        assert [child.said()[:16] for child in (one, two)] == ["SyncFailedError:"] * 2
        assert (one.wait(), two.wait()) == (1, 1)
    things.sync({"things": CUT})
    assert things.raw("count(*), count(distinct id)") == [(ROWS - 1, ROWS - 1)]
    assert [times for _, times, _ in landings(things)] == [1] * SLICES


def test_who_waits_for_slices_of_others_does_not_keep_the_source_busy(postgres: Source) -> None:
    things = with_plan(postgres)
    arguments = things.warehouse, *things.configured({"things": CUT}, {})
    with Child(sync, *arguments, rest_in="load 0008") as leader:
        assert leader.said().endswith("load 0008")
        with Child(sync, *arguments) as helper:
            before = transactions(things)
            assert not helper.ends_within(3)
            assert transactions(things) - before < 15
            leader.kill()
            assert helper.said() == ["load 0008"]


def transactions(things: Source) -> int:
    """How many transactions the source has seen."""
    with things.engine.connect() as connection:
        found = connection.exec_driver_sql(
            "select xact_commit + xact_rollback from pg_stat_database "
            "where datname = current_database()"
        )
        return int(found.scalar_one())


def test_a_load_is_planned_without_landing_any_of_its_slices(postgres: Source) -> None:
    things = with_plan(postgres)
    with things.warehouse.connect() as connection:  # as before its plan was made
        connection.execute("delete from ops.stream_state")
    names = planned(things)
    assert names == [f"load {number:04d}" for number in range(1, SLICES + 1)]
    assert landings(things) == []
    assert planned(things) == names


def test_a_small_table_is_landed_by_its_plan(postgres: Source) -> None:
    things = with_plan(postgres)
    things.execute("delete from things where id >= 1000")
    with things.warehouse.connect() as connection:
        connection.execute("delete from ops.stream_state")
    assert planned(things) == []
    assert things.raw("count(*)") == [(1000,)]


def test_named_slices_are_landed_and_no_other(postgres: Source) -> None:
    things = with_plan(postgres)
    names = frozenset({"load 0002", "load 0005"})
    assert {*things.sync({"things": CUT}, asked=Asked(slices=names))} == names
    assert things.sync({"things": CUT}, asked=Asked(slices=names)) == {}
    assert len(planned(things)) == SLICES - 2
    things.sync({"things": CUT})
    require_all_landed_once(things)


def test_a_plan_waits_for_who_builds_from_the_source(postgres: Source) -> None:
    things = with_plan(postgres)
    with open_locks(things.warehouse) as locks, ThreadPoolExecutor() as pool:
        assert locks.take("sync test")
        with pytest.raises(AlreadyRunningError):
            planned(things)
        waiting = pool.submit(planned, things, patience=60)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=1)
        locks.release("sync test")
        assert len(waiting.result(timeout=60)) == SLICES


def planned(things: Source, patience: float = 0) -> list[str]:
    """Plan the first load; return the slices that have not landed."""
    settings, source = things.configured({"things": CUT}, {})
    reader = connector(settings, source)
    plan_first_load(
        things.warehouse, settings, source, "things",
        run_id=uuid.uuid4(), reader=reader, patience=patience,
    )  # fmt: skip
    (stream,) = reader.streams()
    with things.warehouse.connect() as connection:
        landed = checkpoints(connection, source.name, stream.name)
    return [name for name in reader.load_slices(stream, landed) if name not in landed]


def test_a_second_sync_is_refused_once_the_load_has_ended(things: Source) -> None:
    things.sync({"things": CUT})
    arguments = things.warehouse, *things.configured({"things": CUT}, {})
    with Child(sync, *arguments, rest_in="changes") as leader:
        assert leader.said().endswith("changes")
        for asked in (Asked(), Asked(everything=True)):
            with pytest.raises(AlreadyRunningError, match=r"syncing test\.things"):
                things.sync({"things": CUT}, asked=asked)
