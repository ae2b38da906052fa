"""Columns that come, go and change their type in a source, and what the contract says to it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from crmhouse.errors import SyncFailedError

if TYPE_CHECKING:
    from conftest import Source

TIME = {"postgresql": "timestamptz", "mariadb": "timestamp(6)", "sqlite": "datetime"}
TABLES: list[dict[str, dict[str, Any]]] = [
    {"things": {}},
    {"things": {"cursor": "updated_at", "sweep_every_hours": None}},
]


@pytest.fixture(params=TABLES, ids=["in full", "by cursor"])
def tables(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """The things, read in full or by their cursor."""
    found: dict[str, dict[str, Any]] = request.param
    return found


def create(source: Source) -> None:
    source.execute(
        "create table things (id integer primary key, a integer, b integer, "
        f"updated_at {TIME[source.dialect]} not null)"
    )
    add(source, 1, "a", 1)


def add(source: Source, number: int, column: str, value: object) -> None:
    source.execute(
        f"insert into things (id, updated_at, {column}) values (:id, :at, :value)",
        id=number, at=f"2026-01-{number:02d} 00:00:00", value=value,
    )  # fmt: skip


def retype(source: Source, kind: str) -> None:
    type_ = " type" if source.dialect == "postgresql" else ""
    verb = "alter column" if source.dialect == "postgresql" else "modify"
    source.execute(f"alter table things {verb} a{type_} {kind}")


def test_a_table_that_evolves_follows_its_source(
    source: Source, tables: dict[str, dict[str, Any]]
) -> None:
    create(source)
    source.sync(tables)
    source.execute("alter table things add column c integer", "alter table things drop column b")
    add(source, 2, "c", 7)
    source.sync(tables)
    source.execute("alter table things rename column c to d")
    add(source, 3, "d", 8)
    source.sync(tables)
    assert source.raw("id, a, c, d", where="id = 3") == [(3, None, None, 8)]
    assert source.raw("c", where="id = 2") == [(7,)]


def test_a_wider_number_widens_its_column_and_a_text_is_kept_back(
    source: Source, tables: dict[str, dict[str, Any]]
) -> None:
    if source.dialect == "sqlite":
        pytest.skip("SQLite cannot change the type of a column")
    create(source)
    source.sync(tables)
    for number, kind, value in ((2, "bigint", 9_000_000_000), (3, "numeric(30, 4)", "1.5")):
        retype(source, kind)
        add(source, number, "a", value)
        source.sync(tables)
    retype(source, "varchar(40)")
    add(source, 4, "a", "text")
    add(source, 5, "a", "2.25")
    assert source.sync(tables)["changes"].quarantined == 1
    values = [(1, 1), (2, 9_000_000_000), (3, Decimal("1.5")), (5, Decimal("2.25"))]
    assert source.raw("id, a") == values


def test_a_frozen_table_refuses_a_new_column_and_leaves_nothing_open(
    source: Source, tables: dict[str, dict[str, Any]]
) -> None:
    create(source)
    source.sync(tables, schema_contract="freeze")
    source.execute("alter table things add column c integer")
    add(source, 2, "c", 7)
    with pytest.raises(SyncFailedError, match=r"need the columns c \(bigint\)"):
        source.sync(tables, schema_contract="freeze")
    assert source.raw("id") == [(1,)]
    assert source.connections() == 0


def test_a_table_that_discards_keeps_back_what_has_no_place(
    source: Source, tables: dict[str, dict[str, Any]]
) -> None:
    create(source)
    source.sync(tables, schema_contract="discard")
    source.execute("alter table things add column c integer")
    add(source, 2, "c", 7)
    add(source, 3, "a", 3)
    run = source.sync(tables, schema_contract="discard")["changes"]
    assert (run.inserted, run.quarantined) == (1, 1)
    assert source.raw("id, a") == [(1, 1), (3, 3)]
