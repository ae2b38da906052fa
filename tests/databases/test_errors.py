"""Sources that fail: what the message says, what it does not, and what is left behind."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from crmhouse.errors import (
    CrmhouseError,
    SourceRefusedError,
    SourceUnavailableError,
    SyncFailedError,
)
from ingestion.sync import Silent, sync_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Source

TIME = {"postgresql": "timestamptz", "mariadb": "timestamp(6)", "sqlite": "datetime"}
SECRET, VALUE = "sEcr3t", "Zanzibar"
ROWS = 200_000
BY_CURSOR: dict[str, Any] = {"things": {"cursor": "updated_at", "sweep_every_hours": None}}
NUMBERS = {
    "postgresql": f"select n from generate_series(1, {ROWS}) as s (n)",
    "mariadb": f"select seq as n from seq_1_to_{ROWS}",
    "sqlite": f"with recursive s (n) as (select 1 union all select n + 1 from s where n < {ROWS}) "
    "select n from s",
}


def create(source: Source) -> None:
    source.execute(
        f"create table things (id integer primary key, name varchar(200), "
        f"updated_at {TIME[source.dialect]} not null)"
    )


def fill(source: Source) -> None:
    source.execute(
        f"insert into things select n, '{VALUE * 20}', '2026-01-01 00:00:00' "
        f"from ({NUMBERS[source.dialect]}) as numbers"
    )


class Act(Silent):
    """Does something once, when the first records have arrived."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act: Callable[[], object] | None = act

    def arrived(self, place: str, records: int, expected: int | None) -> None:  # noqa: ARG002
        if act := self._act:
            self._act = None
            act()


def sync_and_act(source: Source, tables: dict[str, Any], act: Callable[[], object]) -> None:
    configured = source.configured(tables, {"batch_rows": 1000})
    sync_source(source.warehouse, *configured, run_id=uuid.uuid4(), listener=Act(act))


def kill_others(source: Source) -> None:
    """Let the server end every connection of the database but our own."""
    with source.engine.connect() as connection:
        if source.dialect == "postgresql":
            connection.exec_driver_sql(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
            return
        others = connection.exec_driver_sql(
            "select id from information_schema.processlist "
            "where db = database() and id <> connection_id()"
        ).fetchall()
        for (number,) in others:
            connection.exec_driver_sql(f"kill {number}")


def require_none_left(source: Source) -> None:
    deadline = time.monotonic() + 20
    while source.connections():
        assert time.monotonic() < deadline, "a connection to the source is still open"
        time.sleep(0.05)


def everything_said(source: Source) -> str:
    with source.warehouse.connect() as connection:
        rows = connection.execute(
            "select error from ops.sync_runs where error is not null "
            "union all select detail from ops.quarantine"
        ).fetchall()
    return "\n".join(text for (text,) in rows)


@pytest.mark.parametrize("tables", [{"things": {}}, BY_CURSOR], ids=["in full", "by cursor"])
def test_a_connection_that_is_killed_lands_nothing_and_says_so(
    source: Source, tables: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    if source.dialect == "sqlite":
        pytest.skip("there is no server that could kill it")
    create(source)
    fill(source)
    source.engine.dispose()
    caplog.set_level(logging.DEBUG)
    with pytest.raises(SyncFailedError, match="did not do its part") as caught:
        sync_and_act(source, tables, lambda: kill_others(source))
    assert isinstance(caught.value.causes[0], SourceUnavailableError)
    for text in (str(caught.value), caplog.text, everything_said(source)):
        assert VALUE not in text
        assert "select" not in text.lower()
    require_none_left(source)
    source.sync(tables)
    assert source.raw("count(*)") == [(ROWS,)]


def test_a_statement_that_takes_too_long_is_cancelled(source: Source) -> None:
    slow = {
        "postgresql": "select 1 as id, pg_sleep(30)::text as n",
        "mariadb": "select 1 as id, sleep(30) as n",
        "sqlite": "with recursive s (n) as (select 1 union all select n + 1 from s "
        "where n < 1000000000) select 1 as id, max(n) as n from s",
    }[source.dialect]
    source.execute(f"create view things as {slow}")
    started = time.monotonic()
    with pytest.raises(SyncFailedError, match="longer than 1 s and was cancelled"):
        source.sync({"things": {"key": ["id"]}}, statement_timeout_seconds=1)
    assert time.monotonic() - started < 20
    require_none_left(source)


def test_the_rows_of_a_read_are_of_one_moment(postgres: Source) -> None:
    create(postgres)
    fill(postgres)
    change = "update things set name = 'new', updated_at = '2026-02-01'"
    sync_and_act(postgres, {"things": {}}, lambda: postgres.execute(change))
    assert postgres.raw("distinct name = 'new'") == [(False,)]
    postgres.sync({"things": {}})
    assert postgres.raw("distinct name = 'new'") == [(True,)]


def test_the_rows_of_a_read_of_mariadb_are_of_one_moment(mariadb: Source) -> None:
    create(mariadb)
    fill(mariadb)
    change = "update things set name = 'new', updated_at = '2026-02-01'"
    sync_and_act(mariadb, {"things": {}}, lambda: mariadb.execute(change))
    assert mariadb.raw("distinct name = 'new'") == [(False,)]


@pytest.mark.parametrize("fixture", ["postgres", "mariadb"])
def test_nothing_can_be_written_to_a_source(request: pytest.FixtureRequest, fixture: str) -> None:
    source: Source = request.getfixturevalue(fixture)
    source.execute("create table written (id integer)")
    writing = {
        "postgresql": "create function write() returns int language sql as "
        "'insert into written values (1) returning id'",
        "mariadb": "create function w() returns int modifies sql data "
        "begin insert into written values (1); return 1; end",
    }[source.dialect]
    call = {"postgresql": "write()", "mariadb": "w()"}[source.dialect]
    if source.dialect == "mariadb":
        source.execute("set global log_bin_trust_function_creators = 1")
    source.execute(writing, f"create view things as select {call} as id")
    with pytest.raises(CrmhouseError):
        source.sync({"things": {"key": ["id"]}})
    with source.engine.connect() as connection:
        assert connection.exec_driver_sql("select count(*) from written").scalar_one() == 0


def test_a_table_that_may_not_be_read_stops_no_other(postgres: Source) -> None:
    role = f"reader_{uuid.uuid4().hex[:8]}"
    postgres.execute(
        "create table hidden (id int primary key)",
        "create table things (id int primary key)",
        "insert into things values (1)",
        f"create role {role} login",
        f"grant select on things to {role}",
    )
    url = sa.make_url(postgres.url).set(username=role, password=SECRET)
    reader = replace(postgres, url=url.render_as_string(hide_password=False))
    with pytest.raises(SyncFailedError, match=r"test\.hidden.* may read them") as caught:
        reader.sync({"hidden": {}, "things": {}})
    assert list(caught.value.runs[0].__dict__.values())[2] == "things"
    assert postgres.raw("id") == [(1,)]
    postgres.execute(f"drop owned by {role}", f"drop role {role}")


def test_a_wrong_password_is_refused_without_repeating_it(mariadb: Source) -> None:
    mariadb.execute("create or replace user reader@localhost identified by 'good'")
    reader = replace(mariadb, url=mariadb.url.replace("root@", f"reader:{SECRET}@"))
    with pytest.raises(SourceRefusedError, match="user and password are right") as caught:
        reader.sync()
    assert SECRET not in str(caught.value) + everything_said(mariadb)


def test_a_database_that_is_not_there_is_refused(postgres: Source) -> None:
    url = sa.make_url(postgres.url).set(database="nowhere", password=SECRET)
    reader = replace(postgres, url=url.render_as_string(hide_password=False))
    with pytest.raises(SourceRefusedError, match="localhost/nowhere refused") as caught:
        reader.sync()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "mariadb", "mysql"])
def test_a_server_that_is_down_may_be_up_later(postgres: Source, scheme: str) -> None:
    reader = replace(postgres, url=f"{scheme}://reader:{SECRET}@127.0.0.1:1/shop")
    with pytest.raises(SourceUnavailableError, match=r"127\.0\.0\.1/shop did not do its") as caught:
        reader.sync()
    assert SECRET not in str(caught.value)


def test_a_table_that_is_dropped_before_it_is_read_fails_alone(source: Source) -> None:
    if source.dialect == "sqlite":
        pytest.skip("a writer waits for the reader")
    source.execute(
        "create table a (id integer primary key)", "create table b (id integer primary key)",
        "insert into a values (1)",
    )  # fmt: skip
    with pytest.raises(SyncFailedError, match=r"^test\.b: ") as caught:
        sync_and_act(source, {"a": {}, "b": {}}, lambda: source.execute("drop table b"))
    assert isinstance(caught.value.causes[0], CrmhouseError)
    assert source.raw("id", table="a") == [(1,)]


def test_a_sync_leaves_no_transaction_open_in_its_source(source: Source) -> None:
    create(source)
    fill(source)
    seen: list[int] = []
    sync_and_act(source, BY_CURSOR, lambda: seen.append(source.connections()))
    assert seen == ([0] if source.dialect == "sqlite" else [1])
    require_none_left(source)
    assert threading.active_count() < 20
