from __future__ import annotations

import uuid
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from landing_records import VERSIONED, at, fetch, land, land_file, parquet, rows
from psycopg import sql
from roles import restricted_role

from crmhouse.errors import ConfigurationError, PermissionMissingError, WarehouseError
from ingestion.raw_tables import prepare
from ingestion.sources.hubspot import STREAMS as HUBSPOT
from ingestion.streams import Column, ColumnType, Stream

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse

A = {"id": "a", "updatedAt": at(1)}
B = {"id": "b", "updatedAt": at(1)}


@pytest.mark.parametrize(
    ("mine", "theirs", "lands"),
    [
        ({"n": 1}, b"1.5", True),
        ({"n": 1}, b"7", True),
        ({"n": 1}, b'"text"', False),
        ({"n": "text"}, b"1", False),
        ({"N": 1}, b"1", False),
    ],
)
def test_a_column_that_another_run_made_meanwhile_is_taken_as_it_is_or_the_slice_is_retried(
    warehouse: Warehouse, mine: dict[str, Any], theirs: bytes, lands: bool
) -> None:
    land(warehouse, VERSIONED, [A])
    other = b'{"id": "b", "updatedAt": "2026-01-01T00:00:00Z", "n": ' + theirs + b"}"

    def other_run() -> None:
        land(warehouse, VERSIONED, [other], name="other")

    record = {"id": "c", "updatedAt": at(1), **mine}
    if lands:
        land(warehouse, VERSIONED, [record], meanwhile=other_run)
    else:
        with pytest.raises(WarehouseError, match="another run made the column n"):
            land(warehouse, VERSIONED, [record], meanwhile=other_run)
    assert rows(warehouse, "id") == [("a",), ("b",), *([("c",)] if lands else [])]
    land(warehouse, VERSIONED, [record])  # as the next run does
    kept = fetch(warehouse, "select count(*) from raw_test.things where n is not null")
    assert kept[0][0] + ("N" in mine) + (mine == {"n": "text"}) == 2


def test_a_widening_that_another_run_did_first_is_not_undone(warehouse: Warehouse) -> None:
    wide = b'{"id": "b", "updatedAt": "2026-01-01T00:00:00Z", "n": 1.5}'
    land(warehouse, VERSIONED, [{**A, "n": 1}])
    land(
        warehouse,
        VERSIONED,
        [wide.replace(b"b", b"c", 1)],
        meanwhile=lambda: land(warehouse, VERSIONED, [wide]),
    )
    assert rows(warehouse, "id, n") == [("a", 1), ("b", Decimal("1.5")), ("c", Decimal("1.5"))]


def declared(*, key: tuple[str, ...] = ("id",), **types: ColumnType) -> Stream:
    columns = tuple(Column(name, kind) for name, kind in {"id": ColumnType.TEXT, **types}.items())
    return Stream("things", "things", key, columns)


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        (declared(n=ColumnType.BIGINT), "column n is text, the configuration asks for bigint"),
        (
            replace(declared(when=ColumnType.TIMESTAMPTZ), version="when"),
            "its rows have no version, the configuration asks for when",
        ),
        (declared(key=("id", "n"), n=ColumnType.TEXT), "its key is id, .* asks for id, n"),
        (declared(N=ColumnType.TEXT), "column n holds the field n, the configuration asks for N"),
        (
            Stream("things", "", ("id",), (*declared().columns, Column("n", ColumnType.TEXT, "m"))),
            "the field n is in column n, the configuration asks for m",
        ),
    ],
)
def test_a_changed_declaration_is_refused_with_what_to_do(
    warehouse: Warehouse, stream: Stream, says: str
) -> None:
    land_file(warehouse, declared(), ".csv", b"id,n\na,1\n")
    with pytest.raises(ConfigurationError, match=says) as caught:
        land(warehouse, stream, [A])
    assert 'drop table "raw_test"."things" cascade' in str(caught.value)
    assert "stream = 'things' from ops.stream_state" in str(caught.value)
    with warehouse.connect() as connection:
        connection.execute("drop table raw_test.things cascade")
    land(warehouse, stream, [{"id": "a", "n": "1", "N": "2", "when": at(1)}])


def test_a_version_that_is_taken_away_is_refused(warehouse: Warehouse) -> None:
    land(warehouse, VERSIONED, [A])
    with pytest.raises(ConfigurationError, match="have a version, the configuration asks for none"):
        land(warehouse, replace(VERSIONED, version=None), [A])


def test_a_declaration_may_widen_a_column_and_may_be_narrower_than_it(warehouse: Warehouse) -> None:
    number = parquet({"id": ["a"], "n": [1]})
    land_file(warehouse, declared(), ".parquet", number)
    land_file(warehouse, declared(n=ColumnType.NUMERIC), ".parquet", number)
    land_file(warehouse, declared(n=ColumnType.BIGINT), ".parquet", number)
    changes = "select change, new_type from ops.schema_changes where old_type <> ''"
    assert fetch(warehouse, changes) == [("widened", "numeric")]


def test_a_type_that_somebody_changed_by_hand_is_named(warehouse: Warehouse) -> None:
    land(warehouse, VERSIONED, [A])
    with warehouse.connect() as connection:
        connection.execute("alter table raw_test.things alter amount type double precision")
    with pytest.raises(ConfigurationError, match="column amount has the type double precision"):
        land(warehouse, VERSIONED, [A])


def test_an_undeclared_field_of_a_flattened_object_gets_its_prefix(warehouse: Warehouse) -> None:
    record = {**A, "properties": {"email": "a@x.example", "jobtitle": "CEO", "hsLeadStatus": "NEW"}}
    land(warehouse, HUBSPOT[0], [record])
    assert rows(warehouse, "property_email, property_jobtitle, property_hs_lead_status", "contacts")
    land(warehouse, HUBSPOT[0], [{**record, "updatedAt": at(2)}])


def test_a_role_that_may_not_create_schemas_is_told_what_to_grant_and_uses_those_that_exist(
    warehouse: Warehouse,
) -> None:
    with restricted_role(warehouse) as restricted:
        role = restricted.parameters["user"]
        create = sql.SQL("create schema raw_lists authorization {}").format(sql.Identifier(role))
        with (
            restricted.connect(autocommit=True) as connection,
            pytest.raises(PermissionMissingError, match=r"raw_test\. .* grant create on database"),
        ):
            prepare(connection, "test", VERSIONED, uuid.uuid4())
        with warehouse.connect() as connection:
            connection.execute(create)
            connection.execute(f"grant usage on schema ops to {role}")
            connection.execute(f"grant insert on ops.schema_changes to {role}")
        with restricted.connect(autocommit=True) as connection:
            assert prepare(connection, "lists", VERSIONED, uuid.uuid4()).columns
