"""Metrics: what a scrape says is what `ops` holds, and no scrape fails or gives a secret away."""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from scraping import answer, exporting, scrape

from crmhouse import pipeline
from crmhouse.errors import SyncFailedError
from crmhouse.metrics.definitions import ROWS
from crmhouse.retention import apply_retention
from crmhouse.settings import RetentionSettings, Settings, SourceConfig
from crmhouse.warehouse import Warehouse
from ingestion.runs import REPLAY
from ingestion.sync import sync_source
from quality import row_rules

if TYPE_CHECKING:
    from pathlib import Path

    from scraping import Scrape

BAD = "{this is not JSON\n"
GOOD = '{{"id": {}, "updated_at": "2026-01-0{}T00:00:00Z"}}\n'
SECRET = "swordfish%41"  # noqa: S105


@dataclass(frozen=True)
class Synced:
    """A warehouse after some syncs and runs.

    Attributes:
        seen: what a scrape said.
    """

    warehouse: Warehouse
    settings: Settings
    url: str
    seen: Scrape


def configured(folder: Path) -> Settings:
    stream = {"glob": "orders*.jsonl", "key": ["id"], "version": "updated_at"}
    options = {
        "path": str(folder),
        "streams": {"orders": stream, "lost": {**stream, "glob": "lost*.jsonl"}},
    }
    shop = SourceConfig(name="shop", kind="files", options=options, late_after="6h")
    return Settings(sources=(shop,), home=folder / "home", max_quarantine_share=0.9)


def sync(warehouse: Warehouse, settings: Settings) -> None:
    sync_source(warehouse, settings, settings.sources[0], run_id=uuid.uuid4(), rules=row_rules)


@pytest.fixture(scope="module")
def synced(module_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Synced:
    folder = tmp_path_factory.mktemp("shop")
    settings = configured(folder)
    (folder / "orders_1.jsonl").write_text(GOOD.format(1, 1) + GOOD.format(2, 2) + BAD)
    (folder / "lost.jsonl").write_bytes(b"\xff\xfe" + b"no JSON at all" * 50)
    with pytest.raises(SyncFailedError):
        sync(module_warehouse, settings)
    (folder / "orders_2.jsonl").write_text(GOOD.format(2, 3) + GOOD.format(1, 1))
    with pytest.raises(SyncFailedError):
        sync(module_warehouse, settings)
    for outcome, fingerprint in ((pipeline.PUBLISHED, "f"), (pipeline.NOTHING_NEW, None)):
        with pipeline.begin(module_warehouse) as run_id:
            pipeline.finish(module_warehouse, run_id, "succeeded", outcome, fingerprint=fingerprint)
    with pytest.raises(KeyError), pipeline.begin(module_warehouse):
        raise KeyError
    with exporting(module_warehouse, settings) as url:
        return Synced(module_warehouse, settings, url, scrape(url))


def of(**labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


ORDERS = of(source="shop", stream="orders")
LOST = of(source="shop", stream="lost")


def test_rows_and_seconds_are_the_sums_of_the_syncs(synced: Synced) -> None:
    with synced.warehouse.connect() as connection:
        for column in (*(f"rows_{kind}" for kind in ROWS), "seconds"):
            name = f"crmhouse_{column}_total".replace("_seconds_", "_sync_seconds_")
            told = connection.execute(
                f"select source, stream, sum({column}) from ops.sync_runs group by 1, 2"
            ).fetchall()
            assert synced.seen[name] == pytest.approx({
                of(source=source, stream=stream): float(value) for source, stream, value in told
            }), name  # fmt: skip
    assert synced.seen["crmhouse_rows_extracted_total"][ORDERS] == 5
    assert synced.seen["crmhouse_rows_updated_total"][ORDERS] == 1
    assert synced.seen["crmhouse_rows_quarantined_total"][ORDERS] == 1


def test_lag_success_and_failure_of_each_stream_are_told(synced: Synced) -> None:
    newest = datetime(2026, 1, 3, tzinfo=UTC)
    lag = (datetime.now(UTC) - newest).total_seconds()
    seen = synced.seen
    assert seen["crmhouse_stream_lag_seconds"] == {ORDERS: pytest.approx(lag, abs=120)}
    assert seen["crmhouse_source_lag_seconds"] == {of(source="shop"): pytest.approx(lag, abs=120)}
    assert seen["crmhouse_source_late_after_seconds"] == {of(source="shop"): 6 * 3600}
    with synced.warehouse.connect() as connection:
        failed = connection.execute(
            "select extract(epoch from min(started_at))::float8 from ops.sync_runs "
            "where stream = 'lost'"
        ).fetchone()
        checked = connection.execute(
            "select extract(epoch from checked_at)::float8 from ops.stream_checks"
        ).fetchall()
    assert failed
    assert seen["crmhouse_stream_failing_since_timestamp_seconds"] == {
        LOST: pytest.approx(failed[0], abs=0.001)
    }
    assert seen["crmhouse_stream_last_success_timestamp_seconds"] == {
        ORDERS: pytest.approx(checked[0][0], abs=0.001)
    }


def test_held_records_are_counted_by_their_reason(synced: Synced) -> None:
    assert synced.seen["crmhouse_quarantine_open_records"] == {
        of(source="shop", stream="orders", reason="invalid_json"): 1
    }


def test_refreshes_are_counted_by_how_they_ended(synced: Synced) -> None:
    runs = {of(status=status): n for status, n in (("succeeded", 2), ("failed", 1), ("partial", 0))}
    assert synced.seen["crmhouse_refresh_runs_total"] == runs
    with synced.warehouse.connect() as connection:
        published, ended = connection.execute(
            "select max(extract(epoch from finished_at)) filter (where outcome = 'published'), "
            "max(extract(epoch from finished_at)) filter (where status = 'succeeded') "
            "from ops.pipeline_runs"
        ).fetchone() or (0, 0)
    seen = synced.seen
    assert seen["crmhouse_publication_timestamp_seconds"] == {(): pytest.approx(float(published))}
    last = seen["crmhouse_refresh_last_end_timestamp_seconds"]
    assert last[of(status="succeeded")] == pytest.approx(float(ended))
    assert of(status="partial") not in last
    assert 0 <= seen["crmhouse_refresh_last_run_seconds"][()] < 60


def test_a_sync_without_news_is_a_success_all_the_same(synced: Synced) -> None:
    before = synced.seen["crmhouse_stream_last_success_timestamp_seconds"][ORDERS]
    with pytest.raises(SyncFailedError):
        sync(synced.warehouse, synced.settings)
    with exporting(synced.warehouse, synced.settings) as url:
        after = scrape(url)
    assert after["crmhouse_stream_last_success_timestamp_seconds"][ORDERS] > before
    assert after["crmhouse_rows_extracted_total"] == synced.seen["crmhouse_rows_extracted_total"]


def test_a_stream_that_is_configured_no_more_is_not_late_for_ever(synced: Synced) -> None:
    (shop,) = synced.settings.sources
    fewer = synced.settings.model_copy(
        update={"sources": (shop.model_copy(update={"streams": ("orders",)}),)}
    )
    with exporting(synced.warehouse, fewer) as url:
        seen = scrape(url)
    assert "crmhouse_stream_failing_since_timestamp_seconds" not in seen
    assert LOST in seen["crmhouse_rows_extracted_total"], "a counter goes on"


def test_refreshes_whose_record_is_deleted_are_counted_all_the_same(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    def run() -> None:
        with pipeline.begin(warehouse) as run_id:
            pipeline.finish(warehouse, run_id, "succeeded", pipeline.NOTHING_NEW)

    runs = "crmhouse_refresh_runs_total"
    with exporting(warehouse, configured(tmp_path)) as url:
        for times in (1, 2):
            run()
            before = scrape(url)
            assert before[runs][of(status="succeeded")] == times
            with warehouse.connect() as connection:
                assert connection.execute("delete from ops.pipeline_runs").rowcount == 1
            assert scrape(url)[runs] == before[runs]


def test_no_counter_falls_when_old_syncs_are_summed_up(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    with warehouse.connect() as connection:
        for days in range(100, 0, -10):
            connection.execute(
                "insert into ops.sync_runs (run_id, source, stream, slice, status, started_at, "
                "seconds, rows_extracted, rows_inserted) values (%s, 'shop', 'orders', 'all', "
                "'succeeded', now() - %s * interval '1 day', 2, 7, 7)",
                [uuid.uuid4(), days],
            )
    with exporting(warehouse, configured(tmp_path)) as url:
        before = scrape(url)
        (syncs, *_) = apply_retention(warehouse, RetentionSettings(sync_runs=30))
        assert syncs.rows == 8
        after = scrape(url)
    totals = {name: value for name, value in before.items() if name.endswith("_total")}
    assert totals["crmhouse_rows_extracted_total"][ORDERS] == 70
    assert {name: after[name] for name in totals} == totals


def test_a_replay_is_counted_and_is_no_success_of_the_source(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    with warehouse.connect() as connection:
        connection.execute(
            "insert into ops.sync_runs (run_id, source, stream, slice, status, started_at, seconds,"
            " rows_extracted, rows_inserted) values (%s, 'shop', 'orders', %s, 'succeeded', now(),"
            " 1, 4, 4)",
            [uuid.uuid4(), REPLAY],
        )
    with exporting(warehouse, configured(tmp_path)) as url:
        seen = scrape(url)
    assert seen["crmhouse_rows_inserted_total"][ORDERS] == 4
    assert "crmhouse_stream_last_success_timestamp_seconds" not in seen


def test_scrapes_share_one_connection_and_what_it_read_a_moment_ago(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    connections = (
        "select count(*) from pg_stat_activity where application_name = 'crmhouse' "
        "and datname = current_database() and pid <> pg_backend_pid()"
    )
    rows = "insert into ops.published_marts values ('orders', 1, now(), now())"
    with (
        exporting(warehouse, configured(tmp_path), seconds_to_keep=3600) as url,
        warehouse.connect(autocommit=True) as connection,
    ):
        first = scrape(url)
        connection.execute(rows)
        assert scrape(url) == first
        assert connection.execute(connections).fetchone() == (1,)
        assert "crmhouse_mart_rows" not in first
        with exporting(warehouse, configured(tmp_path)) as fresh:
            for _ in range(3):
                assert scrape(fresh)["crmhouse_mart_rows"] == {of(mart="orders"): 1}
            assert connection.execute(connections).fetchone() == (2,)


def test_a_warehouse_that_is_away_is_a_metric_and_gives_nothing_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = Warehouse(
        {"host": "127.0.0.1", "port": "1", "user": "u", "password": SECRET, "dbname": "d"},
        embedded=False,
    )
    with caplog.at_level(logging.DEBUG), exporting(away, configured(tmp_path)) as url:
        for _ in range(2):
            status, text = answer(f"{url}/metrics")
            assert status == 200
            assert [line for line in text.splitlines() if not line.startswith("#")] == [
                "crmhouse_up 0.0"
            ]
        assert answer(f"{url}/healthz")[0] == 200
        status, said = answer(f"{url}/readyz")
        assert (status, said) == (503, "the warehouse does not answer\n")
        assert SECRET not in text + said
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 1, "it is told once"
    assert "127.0.0.1:1/d" in warnings[0]
    assert SECRET not in caplog.text


def test_an_exporter_outlives_its_connection_and_a_warehouse_without_tables(
    server: Warehouse, warehouse: Warehouse, tmp_path: Path
) -> None:
    with exporting(warehouse, configured(tmp_path)) as url:
        assert scrape(url)["crmhouse_up"] == {(): 1}
        with server.connect(autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
                [warehouse.parameters["dbname"]],
            )
        assert scrape(url)["crmhouse_up"] == {(): 1}
        with warehouse.connect() as connection:
            connection.execute("alter schema ops rename to elsewhere")
        assert scrape(url) == {"crmhouse_up": {(): 0}}
        with warehouse.connect() as connection:
            connection.execute("alter schema elsewhere rename to ops")
        assert answer(f"{url}/readyz") == (200, "ok\n")


def test_a_query_that_hangs_is_given_up(warehouse: Warehouse, tmp_path: Path) -> None:
    with warehouse.connect() as blocker:
        blocker.execute("lock table ops.quarantine in access exclusive mode")
        hasty = Warehouse(
            {**warehouse.parameters, "options": "-c lock_timeout=200ms"}, warehouse.embedded
        )
        started = time.monotonic()
        with exporting(hasty, configured(tmp_path)) as url:
            assert scrape(url) == {"crmhouse_up": {(): 0}}
        assert timedelta(seconds=time.monotonic() - started) < timedelta(seconds=9)
