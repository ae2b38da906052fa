"""Publishing: one transaction that writes only what differs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crmhouse.contracts import read_contracts
from crmhouse.errors import PublishRefusedError, RunFailedError
from crmhouse.publish import Published, publish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crmhouse.warehouse import Warehouse

COLUMNS = "(id text, region text, amount numeric, tags text[], primary key (id, region))"

cells = st.tuples(
    st.one_of(st.none(), st.decimals(-1000, 1000, places=2)),
    st.one_of(st.none(), st.lists(st.sampled_from(["a", "b", "é"]), max_size=2)),
)
tables = st.dictionaries(st.tuples(st.sampled_from("abcdef"), st.sampled_from("xy")), cells)


@pytest.fixture
def marts(warehouse: Warehouse) -> Iterator[Marts]:
    with warehouse.connect(autocommit=True) as connection:
        yield Marts(warehouse, connection)


class Marts:
    """Candidates to fill and published marts to look at."""

    def __init__(self, warehouse: Warehouse, connection: psycopg.Connection) -> None:
        self.warehouse = warehouse
        self.connection = connection

    def sql(self, statement: str) -> list[Any]:
        cursor = self.connection.execute(statement)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []

    def candidate(self, name: str, columns: str, *rows: str) -> None:
        self.sql(f"drop table if exists marts_build.{name}")
        self.sql(f"create table marts_build.{name} {columns}")
        for row in rows:
            self.sql(f"insert into marts_build.{name} values {row}")

    def publish(self) -> dict[str, Published]:
        return {mart.table: mart for mart in publish(self.warehouse)}

    @contextmanager
    def reader(self) -> Iterator[psycopg.Connection]:
        with self.warehouse.connect() as connection:
            connection.execute("set transaction isolation level repeatable read")
            connection.execute("select 1")
            yield connection
            connection.rollback()


def test_a_first_publication_carries_rows_key_checks_and_comments(marts: Marts) -> None:
    marts.candidate("orders", "(id text primary key, n int not null check (n > 0))", "('1', 5)")
    marts.sql("comment on table marts_build.orders is 'One row per order.'")
    marts.sql("comment on column marts_build.orders.n is 'Items.'")
    assert marts.publish() == {"orders": Published("orders", 1, 0, 0, "created")}
    assert marts.sql("select * from marts.orders") == [("1", 5)]
    assert marts.sql(
        "select obj_description('marts.orders'::regclass), "
        "col_description('marts.orders'::regclass, 2)"
    ) == [("One row per order.", "Items.")]
    with pytest.raises(psycopg.errors.CheckViolation):
        marts.sql("insert into marts.orders values ('2', 0)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        marts.sql("insert into marts.orders values ('1', 1)")


@given(before=tables, after=tables)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_was_published_the_marts_equal_the_candidate_and_equal_rows_are_not_written(
    marts: Marts, before: dict[Any, Any], after: dict[Any, Any]
) -> None:
    def fill(rows: dict[Any, Any]) -> None:
        marts.candidate("facts", COLUMNS)
        with marts.connection.cursor() as cursor:
            cursor.executemany(
                "insert into marts_build.facts values (%s, %s, %s, %s)",
                [(*key, *values) for key, values in rows.items()],
            )

    fill(before)
    marts.publish()
    written = {(i, r): x for i, r, x in marts.sql("select id, region, xmin from marts.facts")}
    fill(after)
    said = marts.publish()["facts"]
    found = marts.sql("select id, region, amount, tags, xmin from marts.facts")
    assert {(i, r): (a, t) for i, r, a, t, _ in found} == after
    equal = {key for key in before if key in after and before[key] == after[key]}
    assert {(i, r): x for i, r, *_, x in found if (i, r) in equal} == {k: written[k] for k in equal}
    assert (said.inserted, said.deleted) == (len(after.keys() - before), len(before.keys() - after))
    assert said.updated == len(before.keys() & after) - len(equal)


def test_a_second_publication_of_equal_candidates_changes_nothing(marts: Marts) -> None:
    marts.candidate("facts", COLUMNS, "('a', 'x', 1.50, '{p}')", "('b', 'x', null, null)")
    marts.publish()
    before = marts.sql("select xmin, ctid, * from marts.facts order by id")
    catalogue = marts.sql("select xmin, * from pg_class where oid = 'marts.facts'::regclass")
    marts.candidate("facts", COLUMNS, "('a', 'x', 1.50, '{p}')", "('b', 'x', null, null)")
    assert marts.publish() == {"facts": Published("facts", 0, 0, 0)}
    assert marts.sql("select xmin, ctid, * from marts.facts order by id") == before
    assert (
        marts.sql("select xmin, * from pg_class where oid = 'marts.facts'::regclass") == catalogue
    )


def test_swapped_unique_values_are_published(marts: Marts) -> None:
    columns = "(id int primary key, rank int unique)"
    marts.candidate("ranks", columns, "(1, 1)", "(2, 2)")
    marts.publish()
    marts.candidate("ranks", columns, "(1, 2)", "(2, 1)")
    assert marts.publish()["ranks"].updated == 2
    assert marts.sql("select * from marts.ranks order by id") == [(1, 2), (2, 1)]


def test_a_reader_sees_all_marts_before_or_all_marts_after(marts: Marts) -> None:
    for name in ("one", "two"):
        marts.candidate(name, "(id int primary key, v int)", "(1, 1)")
    marts.publish()
    with marts.reader() as reader:
        first = reader.execute("select v from marts.one").fetchall()
        for name in ("one", "two"):
            marts.candidate(name, "(id int primary key, v int)", "(1, 2)")
        marts.publish()  # a reader in the middle of its work does not hold it up
        assert first == reader.execute("select v from marts.two").fetchall() == [(1,)]
    assert marts.sql("select one.v, two.v from marts.one join marts.two using (id)") == [(2, 2)]


def test_a_publication_that_fails_leaves_every_mart_as_it_was(marts: Marts) -> None:
    marts.candidate("a", "(id int primary key, v int)", "(1, 1)")
    marts.candidate("b", "(id int primary key, v int)", "(1, 1)")
    marts.publish()
    marts.sql("create view public.report as select v from marts.b")
    marts.candidate("a", "(id int primary key, v int)", "(1, 2)")
    marts.candidate("b", "(id int primary key)", "(1)")
    with pytest.raises(PublishRefusedError, match=r"(?s)public.report|view report"):
        marts.publish()
    assert marts.sql("select a.v, report.v from marts.a, public.report") == [(1, 1)]


def test_views_grants_and_policies_survive_new_removed_and_changed_columns(marts: Marts) -> None:
    marts.candidate("c", "(id int primary key, name text, old int, kind int)", "(1, 'n', 1, 7)")
    marts.publish()
    marts.sql("create view public.bi as select id, name from marts.c")
    marts.sql("grant select on marts.c to pg_monitor")
    marts.sql("alter table marts.c enable row level security")
    marts.sql("create policy p on marts.c for select to pg_monitor using (name = 'n')")
    marts.candidate(
        "c", "(id int primary key, kind text not null, name text, fresh numeric default 3)",
        "(1, 'seven', 'n', 2.5)", "(2, 'eight', 'm', null)",
    )  # fmt: skip
    marts.sql("comment on column marts_build.c.fresh is 'New.'")
    assert marts.publish()["c"].contract == "changed"
    assert marts.sql("select id, name, kind, fresh from marts.c order by id") == [
        (1, "n", "seven", marts.sql("select 2.5")[0][0]),
        (2, "m", "eight", None),
    ]
    assert marts.sql("select * from public.bi order by id") == [(1, "n"), (2, "m")]
    assert marts.sql("select has_table_privilege('pg_monitor', 'marts.c', 'select')") == [(True,)]
    assert marts.sql("select relrowsecurity from pg_class where oid = 'marts.c'::regclass") == [
        (True,)
    ]
    assert marts.sql("select count(*) from pg_policies where tablename = 'c'") == [(1,)]
    assert marts.publish()["c"].contract == "unchanged"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("(id int primary key, b int not null)", "(id int, b int, primary key (id, b))"),
        ("(id int, b int, primary key (id, b))", "(id int primary key, b int)"),
        ("(id int primary key, b int)", "(id int primary key, b int check (b > 1))"),
        ("(id int primary key, b int check (b > 1))", "(id int primary key, b int unique)"),
        ("(id int primary key, b int not null)", "(id int primary key, b int)"),
        ("(id int primary key, b int)", "(id int primary key, b int not null)"),
    ],
)
def test_a_changed_key_or_constraint_is_taken_over(marts: Marts, before: str, after: str) -> None:
    marts.candidate("k", before, "(1, 2)", "(2, 3)")
    marts.publish()
    marts.candidate("k", after, "(1, 2)", "(3, 3)")
    assert marts.publish()["k"].contract == "changed"
    assert marts.publish()["k"] == Published("k", 0, 0, 0)
    assert marts.sql("select * from marts.k order by 1") == [(1, 2), (3, 3)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("(id bigint primary key, b int)", "(id text primary key, b int)"),
        ("(id int, b int, primary key (id, b))", "(id int, b text, primary key (id, b))"),
        ("(id int primary key, b int unique)", "(id int primary key, b bigint unique)"),
        ("(id int primary key, b int check (b > 1))", "(id int primary key, b real check (b > 1))"),
        ("(id int primary key, b int not null)", "(id int primary key, b text not null)"),
    ],
)
def test_a_column_with_another_type_keeps_key_constraints_indexes_and_comment(
    marts: Marts, before: str, after: str
) -> None:
    for columns in (before, after):
        marts.candidate("t", columns, "(1, 2)", "(2, 3)")
        marts.sql("create index on marts_build.t (b, id)")
        marts.sql("comment on column marts_build.t.b is 'The same as ever.'")
        marts.sql("comment on column marts_build.t.id is 'Who it is.'")
        assert marts.publish()["t"].changed
    published, built = (
        read_contracts(marts.connection, schema)["t"] for schema in ("marts", "marts_build")
    )
    assert published.key
    assert published.same_shape(built)
    assert published.comments == built.comments
    rows = marts.sql("select ctid, xmin, * from marts.t order by id")
    assert marts.publish()["t"] == Published("t", 0, 0, 0)
    assert marts.sql("select ctid, xmin, * from marts.t order by id") == rows


def test_a_changed_index_is_taken_over(marts: Marts) -> None:
    marts.candidate("i", "(id int primary key, b int)", "(1, 2)")
    marts.sql("create index on marts_build.i (b)")
    marts.publish()
    marts.candidate("i", "(id int primary key, b int)", "(1, 2)")
    marts.sql("create unique index on marts_build.i (b desc)")
    marts.publish()
    found = marts.sql("select indexdef from pg_indexes where schemaname = 'marts' order by 1")
    assert len(found) == 2
    assert "CREATE UNIQUE INDEX" in found[0][0]
    assert "(b DESC)" in "".join(index for (index,) in found)
    assert marts.publish()["i"].contract == "unchanged"


def test_a_mart_that_is_no_more_is_dropped_and_tables_of_others_stay(marts: Marts) -> None:
    marts.candidate("gone", "(id int primary key)", "(1)")
    marts.candidate("stays", "(id int primary key)", "(1)")
    marts.publish()
    marts.sql("create table marts.targets (month date primary key)")
    marts.sql("drop table marts_build.gone")
    assert marts.publish()["gone"] == Published("gone", 0, 0, 1, "dropped")
    found = marts.sql("select tablename from pg_tables where schemaname = 'marts' order by 1")
    assert found == [("stays",), ("targets",)]
    assert marts.sql("select mart, row_count from ops.published_marts") == [("stays", 1)]


def test_a_table_of_somebody_else_under_a_marts_name_is_not_touched(marts: Marts) -> None:
    marts.sql("create table marts.orders (id int primary key)")
    marts.candidate("orders", "(id int primary key)", "(1)")
    with pytest.raises(PublishRefusedError, match=r"marts\.orders .*not published by crmhouse"):
        marts.publish()


def test_a_candidate_without_a_key_is_refused(marts: Marts) -> None:
    marts.candidate("heap", "(id int)", "(1)")
    with pytest.raises(PublishRefusedError, match=r"marts_build\.heap has no primary key"):
        marts.publish()


def test_no_candidates_at_all_do_not_empty_the_marts(marts: Marts) -> None:
    marts.candidate("orders", "(id int primary key)", "(1)")
    marts.publish()
    marts.sql("drop table marts_build.orders")
    with pytest.raises(RunFailedError, match="nothing to publish"):
        marts.publish()
    assert marts.sql("select * from marts.orders") == [(1,)]


def test_a_run_that_was_declared_dead_cannot_publish(marts: Marts) -> None:
    marts.candidate("orders", "(id int primary key)", "(1)")
    ((run_id,),) = marts.sql(
        "insert into ops.pipeline_runs (run_id, status, started_at) "
        "values (gen_random_uuid(), 'failed', now()) returning run_id"
    )
    with pytest.raises(RunFailedError, match="not the running one"):
        publish(marts.warehouse, run_id=run_id)
    assert marts.sql("select to_regclass('marts.orders')") == [(None,)]
