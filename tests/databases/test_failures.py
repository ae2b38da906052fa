"""A database that does not answer as it should: what is said, what is kept, what goes on."""

from __future__ import annotations

import time
import uuid
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from landing_records import fetch

from crmhouse.errors import (
    ConfigurationError,
    CrmhouseError,
    SourceRefusedError,
    SourceUnavailableError,
    SyncFailedError,
)
from ingestion.sources import connector

if TYPE_CHECKING:
    from conftest import Source

    from crmhouse.warehouse import Warehouse


def failing(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return fetch(
        warehouse,
        "select distinct on (stream) stream, slice, status from ops.sync_runs "
        "order by stream, started_at desc",
    )


def test_a_table_that_is_missing_fails_alone(source: Source) -> None:
    source.execute("create table things (id integer primary key)", "insert into things values (1)")
    with pytest.raises(SyncFailedError, match="there is no table or view nowhere") as caught:
        source.sync({"nowhere": {}, "things": {}})
    assert [run.stream for run in caught.value.runs] == ["things"]
    assert failing(source.warehouse) == [
        ("nowhere", "-", "failed"),
        ("things", "changes", "succeeded"),
    ]
    source.execute("create table nowhere (id integer primary key)")
    source.sync({"nowhere": {}, "things": {}})
    assert ("nowhere", "changes", "succeeded") in failing(source.warehouse)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"key": ["nr"]}, "the column nr is needed"),
        ({"cursor": "changed"}, "the column changed is needed"),
        ({"exclude": ["id"]}, "the column id is needed"),
        ({"deleted": "gone"}, "the column gone is needed"),
    ],
)
def test_a_column_that_is_missing_is_named_with_those_that_are_there(
    sqlite: Source, options: dict[str, Any], said: str
) -> None:
    sqlite.execute("create table things (id integer primary key, name text)")
    reader = connector(*sqlite.configured({"things": options}, {}))
    (problem,) = reader.check()
    assert said in problem
    assert "name" in problem


def test_a_cursor_needs_a_key(sqlite: Source) -> None:
    sqlite.execute("create table things (n integer)")
    (problem,) = connector(*sqlite.configured({"things": {"cursor": "n"}}, {})).check()
    assert "a cursor needs a key" in problem


def test_a_database_that_cannot_be_reached_is_on_record_until_it_answers(postgres: Source) -> None:
    postgres.execute(
        "create table things (id integer primary key)", "insert into things values (1)"
    )
    gone = replace(postgres, url="postgresql://somebody:s3cret@127.0.0.1:1/gone")
    with pytest.raises(
        SourceUnavailableError, match=r"127\.0\.0\.1/gone did not do its part"
    ) as caught:
        gone.sync()
    assert "s3cret" not in str(caught.value)
    assert failing(postgres.warehouse) == [("-", "-", "failed")]
    postgres.sync()
    assert ("-", "-", "succeeded") in failing(postgres.warehouse)


def test_a_role_that_may_not_read_one_table_is_told_so_and_the_others_are_synced(
    postgres: Source,
) -> None:
    role = f"reader_{uuid.uuid4().hex[:8]}"
    postgres.execute(
        "create table open (id int primary key)", "insert into open values (1)",
        "create table shut (id int primary key)",
        f"create role {role} login", f"grant select on open to {role}",
    )  # fmt: skip
    try:
        reader = replace(postgres, url=postgres.url.replace("postgres@", f"{role}@"))
        with pytest.raises(SyncFailedError, match="may read them") as caught:
            reader.sync({"shut": {}, "open": {}})
        assert isinstance(caught.value.causes[0], SourceRefusedError)
        assert [run.stream for run in caught.value.runs] == ["open"]
    finally:
        postgres.execute(f"drop owned by {role}", f"drop role {role}")


def test_a_statement_that_takes_too_long_is_cancelled(postgres: Source) -> None:
    postgres.execute("create view things as select 1 as id, pg_sleep(30)::text as s")
    with pytest.raises(SyncFailedError, match="took longer than 1 s and was cancelled"):
        postgres.sync({"things": {"key": ["id"]}}, statement_timeout_seconds=1)


def test_sqlite_statements_have_a_timeout_too(sqlite: Source) -> None:
    sqlite.execute(
        "create view things as with recursive n (id) as (select 1 union all select id + 1 from n "
        "where id < 1000000000) select max(id) as id from n"
    )
    with pytest.raises(SyncFailedError, match="took longer than 1 s"):
        sqlite.sync({"things": {"key": ["id"]}}, statement_timeout_seconds=1)


def test_the_timeout_of_sqlite_is_that_of_each_statement(sqlite: Source) -> None:
    sqlite.execute("create table things (id integer primary key)")
    configured = sqlite.configured({"things": {}}, {}, statement_timeout_seconds=1)
    reader: Any = connector(*configured)
    count = (
        "with recursive n (id) as (select 1 union all select id + 1 from n where id < 50000) "
        "select max(id) from n"
    )
    with reader.database.snapshot() as connection:
        time.sleep(1.1)
        assert connection.exec_driver_sql(count).scalar_one() == 50_000


def test_a_source_is_never_written_to(source: Source) -> None:
    source.execute("create table things (id integer primary key)")
    settings, configured = source.configured({"things": {}}, {})
    reader: Any = connector(settings, configured)
    with (
        pytest.raises(CrmhouseError),
        reader.database.snapshot() as connection,
        reader.database.faults(),
    ):
        connection.exec_driver_sql("insert into things values (1)")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("no url", "url is not a URL"),
        ("oracle://x/y", "not installed|no such"),
        ("sqlite:///:memory:", "names no file"),
        ("postgresql://u:p:q@h:port/d", "url is not a URL"),
    ],
)
def test_a_faulty_url_is_refused_without_repeating_it(sqlite: Source, url: str, said: str) -> None:
    faulty = replace(sqlite, url=url)
    with pytest.raises(ConfigurationError, match=said) as caught:
        connector(*faulty.configured({}, {}))
    assert "u:p" not in str(caught.value)


def test_a_connection_that_breaks_in_the_middle_lands_nothing_and_says_so(
    postgres: Source,
) -> None:
    postgres.execute(
        "create table things (id int primary key)",
        "insert into things select generate_series(1, 5000)",
        "create function broken(int) returns int language plpgsql as $$ begin "
        "if $1 = 4000 then perform pg_terminate_backend(pg_backend_pid()); end if; "
        "return $1; end $$",
        "create view breaking as select id, broken(id) as n from things",
    )
    with pytest.raises(SyncFailedError, match="did not do its part"):
        postgres.sync({"things": {"table": "breaking", "key": ["id"]}})
    assert fetch(postgres.warehouse, "select count(*) from ops.stream_state") == [(0,)]


def test_no_row_count_but_the_sources_own_is_believed(postgres: Source) -> None:
    """A view that shows other rows at each look is refused, not landed in part."""
    postgres.execute(
        "create sequence looks",
        "create view things as select generate_series(1, 10 + nextval('looks')::int % 3) as id",
    )
    with pytest.raises(SyncFailedError, match=r"the source reported|did not do its part"):
        postgres.sync({"things": {"key": ["id"]}})


def test_the_password_is_in_no_message_and_no_repr(postgres: Source) -> None:
    url = postgres.url.replace("postgres@", "postgres:s3cret@")
    reader = connector(*replace(postgres, url=url).configured({"things": {}}, {}))
    assert "s3cret" not in repr(reader)


def read_one_batch_and_fail(reader: Any) -> None:
    (stream,) = reader.streams()
    with closing(reader.slices(stream, {})) as slices:
        next(next(slices).read())
        raise ZeroDivisionError


def test_what_is_left_of_a_result_is_not_read_when_a_sync_fails(mariadb: Source) -> None:
    mariadb.execute(
        "create table things (id integer primary key, filler varchar(1000) character set ascii)",
        "insert into things select seq, repeat('x', 1000) from seq_1_to_60000",
    )
    reader: Any = connector(*mariadb.configured({"things": {}}, {}))
    sent = (
        "select variable_value from information_schema.global_status "
        "where variable_name = 'bytes_sent'"
    )
    with mariadb.engine.connect() as witness:
        before = int(witness.exec_driver_sql(sent).scalar_one())
        with pytest.raises(ZeroDivisionError):
            read_one_batch_and_fail(replace(reader, batch_rows=1000))
        after = int(witness.exec_driver_sql(sent).scalar_one())
    assert 1_000_000 < after - before < 30_000_000
