"""What the maintenance takes away, and everything that has to be the same after it."""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from landing_records import UNVERSIONED, land

from crmhouse.errors import AlreadyRunningError
from crmhouse.maintenance import drop_leftovers, maintain, only_one, vacuum
from crmhouse.pipeline import is_current
from crmhouse.retention import SUMMED_UP, apply_retention
from crmhouse.settings import RetentionSettings, Settings
from crmhouse.status import StreamStatus, read_status
from crmhouse.transform import project_folder
from ingestion.runs import is_cut_short
from quality.results import baselines

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse

DEFAULTS = RetentionSettings()
COUNTS = ("extracted", "inserted", "updated", "unchanged", "deleted", "quarantined", "missing")


def sync(warehouse: Warehouse, days_ago: float, status: str = "succeeded", **more: Any) -> str:
    """Write one slice of a sync of `shop.orders`; return its run."""
    row: dict[str, Any] = {"run_id": str(uuid.uuid4()), "stream": "orders", "slice": "all", **more}
    with warehouse.connect() as connection:
        connection.execute(
            "insert into ops.sync_runs (run_id, source, stream, slice, status, started_at, "
            "seconds, error, rows_extracted, rows_inserted, rows_updated, rows_unchanged, "
            "rows_deleted, rows_quarantined, rows_missing) values "
            "(%(run_id)s, 'shop', %(stream)s, %(slice)s, "
            "%(status)s, now() - %(days)s * interval '1 day', 1.5, %(error)s, 10, 4, 3, 2, 1, 1, "
            "1)",
            {
                **row,
                "status": status,
                "days": days_ago,
                "error": "e" if status == "failed" else None,
            },
        )
    return str(row["run_id"])


def table_made(warehouse: Warehouse, days_ago: float, run_id: str | None = None) -> None:
    with warehouse.connect() as connection:
        connection.execute(
            "insert into ops.schema_changes (source, stream, column_name, change, new_type, "
            "run_id, changed_at) values ('shop', 'orders', 'id', 'created', 'text', %s, "
            "now() - %s * interval '1 day')",
            [run_id or str(uuid.uuid4()), days_ago],
        )


def ageless(stream: StreamStatus) -> StreamStatus:
    """Return what is said of a stream without what grows by itself."""
    return replace(stream, lag_seconds=None, landed_seconds=None, succeeded_seconds=None)


def rows(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(query).fetchall()


def reconciled(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """The reconciliation's own query of all syncs since the raw table was made."""
    model = project_folder() / "models/intermediate/int_reconciliation_extracts.sql"
    query = model.read_text(encoding="utf-8")
    for table in ("sync_runs", "schema_changes"):
        query = query.replace(f"{{{{ source('ops', '{table}') }}}}", f"ops.{table}")
    return rows(warehouse, query)


def totals(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    sums = ", ".join(f"sum(rows_{name})" for name in COUNTS)
    return rows(
        warehouse,
        f"select source, stream, status, {sums}, sum(seconds), sum(stands_for) from ops.sync_runs "
        "group by 1, 2, 3 order by 1, 2, 3",
    )


def test_sums_over_all_syncs_stay_what_they_were_however_often_it_runs(
    warehouse: Warehouse,
) -> None:
    table_made(warehouse, 301)
    first = sync(warehouse, 200.001)  # begun just before its table was made
    table_made(warehouse, 200, first)
    for days in (310, 300, 250, 199, 150, 100, 95, 50, 1):
        run_id = sync(warehouse, days, slice="a")
        sync(warehouse, days, "failed" if days == 150 else "succeeded", slice="b", run_id=run_id)
    before, reconciled_before = totals(warehouse), reconciled(warehouse)
    status = read_status(warehouse, Settings())
    for days, going in ((120, 11), (90, 4), (90, 0)):
        settings = DEFAULTS.model_copy(update={"sync_runs": days})
        (forgotten, *_) = apply_retention(warehouse, settings)
        assert forgotten.rows == going
        assert totals(warehouse) == before
        assert reconciled(warehouse) == reconciled_before
    after = read_status(warehouse, Settings())
    assert [ageless(stream) for stream in after.streams] == [
        ageless(stream) for stream in status.streams
    ]
    left = rows(warehouse, "select run_id::text, stands_for from ops.sync_runs order by 2 desc")
    assert sum(run_id != SUMMED_UP for run_id, _ in left) == 4
    # Two lives of the table, one before the first was noted, and a failed slice.
    assert sorted(count for run_id, count in left if run_id == SUMMED_UP) == [1, 2, 4, 8]


def test_a_table_that_is_made_anew_counts_from_its_new_start(warehouse: Warehouse) -> None:
    table_made(warehouse, 200)
    sync(warehouse, 150)
    sync(warehouse, 1)
    apply_retention(warehouse, DEFAULTS)
    table_made(warehouse, 0.5)
    sync(warehouse, 0.1)
    assert [row[2] for row in reconciled(warehouse)] == [10]
    sync(warehouse, 0)
    apply_retention(warehouse, DEFAULTS.model_copy(update={"sync_runs": 1}))
    assert [row[2] for row in reconciled(warehouse)] == [20]


@pytest.mark.parametrize(
    "runs",
    [
        [(200, "succeeded")],
        [(300, "succeeded"), (200, "succeeded")],
        [(400, "succeeded"), (300, "succeeded"), (250, "failed"), (220, "failed"), (200, "failed")],
        [(300, "failed"), (250, "failed"), (200, "failed")],
        [(300, "succeeded"), (250, "failed"), (200, "partial")],
        [(300, "failed"), (250, "succeeded"), (200, "failed"), (150, "failed"), (1, "failed")],
    ],
    ids=lambda runs: " ".join(status for _, status in runs),
)
def test_the_status_of_a_stream_says_the_same_however_old_its_syncs_are(
    warehouse: Warehouse, runs: list[tuple[float, str]]
) -> None:
    for days, status in runs:
        sync(warehouse, days, status)
    sync(warehouse, 10, slice="replay")

    def told() -> tuple[Any, ...]:
        (stream,) = read_status(warehouse, Settings()).streams
        with warehouse.connect() as connection:
            cut_short = is_cut_short(connection, "shop", "orders")
        shown = (stream.last_run_at, stream.status, stream.rows_extracted, stream.rows_changed)
        return (*shown, stream.failing_since, stream.last_error, cut_short)

    before = told()
    for _ in range(2):
        apply_retention(warehouse, DEFAULTS)
        assert told() == before
    assert len(rows(warehouse, "select 1 from ops.sync_runs where slice = 'replay'")) == 1


def run(warehouse: Warehouse, days_ago: float, status: str, fingerprint: str | None = None) -> str:
    run_id = str(uuid.uuid4())
    with warehouse.connect() as connection:
        connection.execute(
            "insert into ops.pipeline_runs (run_id, status, input_fingerprint, started_at, "
            "finished_at) select %s, %s, %s, at, case when %s <> 'running' then at end "
            "from (select now() - %s * interval '1 day' as at) as moment",
            [run_id, status, fingerprint, status, days_ago],
        )
    return run_id


def test_what_tells_that_nothing_is_new_stays_and_so_does_the_last_run(
    warehouse: Warehouse,
) -> None:
    gone = [run(warehouse, 900, "succeeded", "older"), run(warehouse, 800, "failed")]
    stays = [run(warehouse, 700, "succeeded", "same"), run(warehouse, 650, "running")]
    gone.append(run(warehouse, 600, "failed"))
    stays.append(run(warehouse, 500, "failed"))
    apply_retention(warehouse, DEFAULTS)
    left = {row[0] for row in rows(warehouse, "select run_id::text from ops.pipeline_runs")}
    assert left == set(stays)
    assert is_current(warehouse, "same")


def test_a_rule_about_a_number_still_finds_what_it_compares_itself_with(
    warehouse: Warehouse,
) -> None:
    latest = str(uuid.uuid4())
    with warehouse.connect() as connection:
        for days, status, observed, run_id in (
            (400, "passed", "100, plain", None), (300, "passed", "90", None),
            (200, "failed", "10", None), (150, "passed", None, None),
            (1, "failed", "11", None), (0, "failed", "12", latest),
        ):  # fmt: skip
            connection.execute(
                "insert into ops.gate_results (run_id, boundary, suite, expectation, severity, "
                "status, rows_checked, observed, checked_at) values (%s, 'raw', 'orders', "
                "'volume', 'error', %s, 5, %s, now() - %s * interval '1 day')",
                [run_id or str(uuid.uuid4()), status, observed, days],
            )
        before = baselines(connection, "raw", uuid.UUID(latest))
    assert before["orders"]["volume"].observed == 90
    forgotten = apply_retention(warehouse, DEFAULTS)
    with warehouse.connect() as connection:
        assert baselines(connection, "raw", uuid.UUID(latest)) == before
    assert next(one.rows for one in forgotten if one.table == "gate_results") == 3


def held(warehouse: Warehouse, key: str, days: float | None) -> None:
    with warehouse.connect() as connection:
        connection.execute(
            "insert into ops.quarantine (source, stream, record_key, reason, detail, payload, "
            "payload_sha256, payload_kind, slice, run_id, first_seen_at, last_seen_at, arrived_at, "
            "resolved_at, resolution) values ('shop', 'orders', %s, 'r', 'd', '{}', %s, 'json', "
            "'all', %s, now() - interval '2 years', now() - interval '2 years', "
            "now() - interval '2 years', now() - %s * interval '1 day', %s)",
            [key, uuid.uuid4().hex, str(uuid.uuid4()), days, "replayed" if days else None],
        )


def test_an_open_record_is_kept_for_ever_and_so_is_what_its_replay_needs(
    warehouse: Warehouse,
) -> None:
    held(warehouse, "open", None)
    held(warehouse, "open", 100)
    held(warehouse, "closed", 100)
    held(warehouse, "closed lately", 10)
    apply_retention(warehouse, DEFAULTS)
    left = rows(
        warehouse, "select record_key, resolved_at is null from ops.quarantine order by 1, 2"
    )
    assert left == [("closed lately", False), ("open", False), ("open", True)]


def test_null_keeps_everything(warehouse: Warehouse) -> None:
    for days in (3000, 2000, 1000):
        sync(warehouse, days)
    held(warehouse, "closed", 1000)
    for_ever = RetentionSettings(sync_runs=None, runs=None, gate_results=None,
                                 resolved_quarantine=None)  # fmt: skip
    assert {(one.days, one.rows) for one in apply_retention(warehouse, for_ever)} == {(None, 0)}
    assert totals(warehouse)[0][-1] == len(rows(warehouse, "select 1 from ops.sync_runs")) == 3


def test_what_a_killed_dbt_left_is_dropped_and_nothing_like_it(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute("create table marts_build.fct_orders__dbt_backup (id int)")
        connection.execute("create table marts_build.fct_orders__dbt_tmp120316 (id int)")
        connection.execute("create view staging.stg__dbt_tmp as select 1 as id")
        connection.execute("create view staging.of_the_tmp as table staging.stg__dbt_tmp")
        connection.execute("create table marts.mine__dbt_tmp (id int)")
        connection.execute("create table staging.dbt_tmp_notes (id int)")
    assert drop_leftovers(warehouse) == (
        "marts_build.fct_orders__dbt_backup",
        "marts_build.fct_orders__dbt_tmp120316",
        "staging.stg__dbt_tmp",
    )
    assert rows(warehouse, "select to_regclass('marts.mine__dbt_tmp') is null") == [(False,)]
    assert rows(warehouse, "select to_regclass('staging.dbt_tmp_notes') is null") == [(False,)]
    assert drop_leftovers(warehouse) == ()


def churned(warehouse: Warehouse, table: str) -> None:
    """Make a table that is full of dead rows, which autovacuum leaves alone."""
    with warehouse.connect() as connection:
        connection.execute("create schema if not exists raw_shop")
        connection.execute(f"create table {table} (id int) with (autovacuum_enabled = off)")
        connection.execute(f"insert into {table} select generate_series(1, 5000)")
        connection.execute(f"delete from {table} where id > 1000")
        connection.execute("select pg_stat_force_next_flush()")


def test_a_table_full_of_dead_rows_is_vacuumed_and_another_is_not(warehouse: Warehouse) -> None:
    churned(warehouse, "raw_shop.orders")
    with warehouse.connect() as connection:
        connection.execute("create table raw_shop.quiet as select generate_series(1, 10) as id")
        connection.execute("create schema elsewhere")
    churned(warehouse, "elsewhere.orders")
    (done,) = vacuum(warehouse)
    assert (done.table, done.dead_rows, done.outcome) == ("raw_shop.orders", 4000, "vacuumed")
    stats = "select n_dead_tup, n_live_tup from pg_stat_user_tables where schemaname = "
    assert rows(warehouse, f"{stats} 'raw_shop' and relname = 'orders'") == [(0, 1000)]
    assert rows(warehouse, f"{stats} 'elsewhere'") == [(4000, 1000)]
    assert vacuum(warehouse) == ()


def test_a_table_that_somebody_works_on_is_passed_over(warehouse: Warehouse) -> None:
    churned(warehouse, "raw_shop.orders")
    with warehouse.connect() as connection:
        connection.execute("alter table raw_shop.orders add column note text")
        (done,) = vacuum(warehouse)
    assert done.outcome == "busy"
    assert done.seconds < 5


def test_two_at_once_are_refused_and_the_next_one_is_not(warehouse: Warehouse) -> None:
    with only_one(warehouse), pytest.raises(AlreadyRunningError, match="Wait for it to end"):
        maintain(warehouse, Settings())
    maintain(warehouse, Settings())


def test_a_sync_beside_it_lands_everything_and_is_never_refused(warehouse: Warehouse) -> None:
    """Each slice needs a column of its own: for that the table is locked whole, again and again."""
    for days in range(100, 200):
        sync(warehouse, days, slice=f"s{days}")
    slices = 6
    landed: list[int] = []

    def keep_syncing() -> None:
        for number in range(slices):
            records = [{"id": f"{number}-{n}", f"field_{number}": n} for n in range(2000)]
            run = land(warehouse, UNVERSIONED, records, name=f"slice {number}")
            landed.append(run.inserted)

    at_work = threading.Thread(target=keep_syncing)
    at_work.start()
    rounds = 0
    while at_work.is_alive():
        maintain(warehouse, Settings(retention=RetentionSettings(sync_runs=200 - rounds % 110)))
        rounds += 1
    at_work.join()
    assert rounds > 1
    assert landed == [2000] * slices
    assert rows(warehouse, "select count(*) from raw_test.things") == [(2000 * slices,)]
    counted = rows(warehouse, "select sum(stands_for)::int from ops.sync_runs")
    assert counted == [(100 + slices,)]
