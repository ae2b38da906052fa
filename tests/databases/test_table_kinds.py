"""Kinds of tables: partitions, materialised views, and views that have lost their table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crmhouse.errors import SyncFailedError
from ingestion.sources import connector

if TYPE_CHECKING:
    from conftest import Source


@pytest.mark.parametrize("schema", [None, 'My "schema'])
def test_a_partition_is_no_table_of_its_own(postgres: Source, schema: str | None) -> None:
    quoted = '"' + (schema or "public").replace('"', '""') + '"'
    postgres.execute(
        f"create schema if not exists {quoted}",
        f"create table {quoted}.things (id int primary key) partition by range (id)",
        f"create table {quoted}.things_1 partition of {quoted}.things for values from (0) to (9)",
        f"insert into {quoted}.things values (1)",
    )
    settings, source = postgres.configured({}, {}, db_schema=schema)
    assert [stream.name for stream in connector(settings, source).streams()] == ["things"]
    postgres.sync({"things": {"db_schema": schema}})
    assert postgres.raw("id") == [(1,)]


def test_a_materialised_view_is_read_like_a_table(postgres: Source) -> None:
    postgres.execute(
        "create table base (id int primary key, updated_at timestamptz)",
        "insert into base values (1, now())",
        "create materialized view things as select * from base",
    )
    postgres.sync({"things": {"key": ["id"], "cursor": "updated_at"}})
    assert postgres.raw("id") == [(1,)]


@pytest.mark.parametrize("fixture", ["mariadb", "sqlite"])
def test_a_view_whose_table_is_gone_fails_alone(
    request: pytest.FixtureRequest, fixture: str
) -> None:
    source: Source = request.getfixturevalue(fixture)
    source.execute(
        "create table base (id integer)",
        "create view broken as select * from base",
        "drop table base",
        "create table things (id integer primary key)",
        "insert into things values (1)",
    )
    with pytest.raises(SyncFailedError, match="what the view reads is still there"):
        source.sync({"broken": {"key": ["id"]}, "things": {}})
    assert source.raw("id") == [(1,)]
