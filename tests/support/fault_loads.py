"""Loads that faults are injected into: every way of landing, and what one leaves behind."""

from __future__ import annotations

import json
import traceback
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from file_sources import write
from psycopg import sql

from crmhouse.errors import CrmhouseError
from crmhouse.rules import RowRule
from crmhouse.settings import Settings, SourceConfig
from ingestion.runs import is_cut_short
from ingestion.sync import sync_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from faults import Faults
    from psycopg import Connection

    from crmhouse.warehouse import Warehouse
    from ingestion.runs import SliceRun

UNLUCKY = RowRule("unlucky", "right(id::text, 2) = '13'", "an id must not end in 13")
OPS_TABLES = ("stream_state", "sync_runs", "quarantine", "schema_changes")
PERSONAL = "Zanzibar"
"""A value of many records: no message may hold it."""

SLOW_COMMIT = """
create function public.slow() returns trigger language plpgsql as
    $$ begin perform pg_sleep(0.5); return null; end $$;
create constraint trigger slow after insert on ops.sync_runs
    deferrable initially deferred for each row execute function public.slow();
"""
COMMITTING = "select pid from pg_stat_activity where query = 'COMMIT' and wait_event = 'PgSleep'"


@dataclass(frozen=True)
class Load:
    """A sync of one stream, with deliveries that have landed before it and one that is new.

    Attributes:
        kind: of the source.
        stream: name of the stream.
        options: of the source.
        until: the last delivery that has landed before; None where none has.
        batch_rows: records in memory at once.
    """

    kind: str
    stream: str
    options: dict[str, Any]
    until: str | None = None
    batch_rows: int = 20

    def sync(
        self,
        warehouse: Warehouse,
        name: str,
        *,
        run_id: uuid.UUID | None = None,
        until: str | None = None,
        patience: float = 0,
    ) -> list[SliceRun]:
        """Sync as the source of that name, up to a delivery."""
        options = {**self.options, "until": until} if until else self.options
        return sync_source(
            warehouse,
            Settings(batch_rows=self.batch_rows, max_quarantine_share=1),
            SourceConfig(name=name, kind=self.kind, options=options),
            run_id=run_id or uuid.uuid4(),
            streams=[self.stream],
            rules=lambda *_: [UNLUCKY],
            patience=patience,
        )

    def begin(self, warehouse: Warehouse, name: str) -> None:
        """Give the source of that name what has landed before."""
        if self.until is None:
            return
        with warehouse.connect() as connection:
            if connection.execute("select to_regnamespace('raw_base') is null").fetchone() == (
                True,
            ):
                self.sync(warehouse, "base", until=self.until)
            copy_source(connection, self.stream, "base", name)

    def state(self, warehouse: Warehouse, name: str) -> State:
        """Return what PostgreSQL holds of the source of that name."""
        return state(warehouse, name, self.stream)


def attempt(load: Load, warehouse: Warehouse, name: str, **more: Any) -> str | None:
    """Sync; return the error, which must be one of ours without a value of a record or a secret."""
    password = {**warehouse.parameters, "password": f"pass {PERSONAL}"}
    try:
        load.sync(replace(warehouse, parameters=password), name, **more)
    except CrmhouseError as error:
        told, shown = str(error), "".join(traceback.format_exception(error))
    else:
        return None
    assert PERSONAL not in shown
    return told


def land_calmly(load: Load, warehouse: Warehouse, name: str) -> tuple[State, State]:
    """Land without any fault; return what is there before and after."""
    load.begin(warehouse, name)
    before = load.state(warehouse, name)
    load.sync(warehouse, name)
    after = load.state(warehouse, name)
    assert len(after.rows) > len(before.rows)
    return before, after


def converge(load: Load, warehouse: Warehouse, name: str, after: State, faults: Faults) -> None:
    """Sync once more: all must then be as if there had been no fault."""
    load.sync(warehouse, name)
    found = load.state(warehouse, name)
    faults.compare(after.rows, found.rows, name)
    assert found == after
    with warehouse.connect() as connection:
        assert not is_cut_short(connection, name, load.stream)


@dataclass(frozen=True)
class State:
    """All that a load leaves behind, apart from times and the ids of runs.

    Attributes:
        rows: of the raw table, each a key and a content.
        slices: of the stream, with their checkpoints and cursors.
        runs: slices that succeeded, with their counts.
        held: records in quarantine.
        changes: of the table, its creation left out.
    """

    rows: list[tuple[str, str]]
    slices: list[tuple[Any, ...]]
    runs: list[tuple[Any, ...]]
    held: list[tuple[Any, ...]]
    changes: list[tuple[Any, ...]]


_PARTS = {
    "slices": "select slice, checkpoint, cursor_at from ops.stream_state {of} order by 1",
    "runs": """
        select slice, rows_extracted, rows_inserted, rows_updated, rows_unchanged, rows_deleted,
            rows_quarantined
        from ops.sync_runs {of} and status = 'succeeded' order by started_at
    """,
    "held": """
        select payload, reason, detail, record_key, slice, times_seen, resolution
        from ops.quarantine {of} order by 1, 2
    """,
    "changes": """
        select column_name, change, old_type, new_type
        from ops.schema_changes {of} and change <> 'created' order by change_id
    """,
}


def state(warehouse: Warehouse, source: str, stream: str) -> State:
    """Read what a stream has left behind; every row must come from a run that is on record."""
    of = "where source = %(source)s and stream = %(stream)s"
    names = {"source": source, "stream": stream}
    raw = sql.Identifier(f"raw_{source}", stream)
    with warehouse.connect() as connection:
        parts = {
            part: connection.execute(statement.format(of=of), names).fetchall()
            for part, statement in _PARTS.items()
        }
        there = connection.execute("select to_regclass(%s)", [raw.as_string()]).fetchone()
        rows = _rows(connection, raw, source) if there != (None,) else []
    return State(rows, **parts)


def _rows(connection: Connection, raw: sql.Identifier, source: str) -> list[tuple[str, str]]:
    content = "(to_jsonb(raw.*) - array['_loaded_at', '_run_id'])::text"
    rows = connection.execute(
        sql.SQL(f"select id::text, {content} from {{}} as raw order by 1, 2").format(raw)
    ).fetchall()
    recorded = "select run_id from ops.sync_runs where source = %s and status = 'succeeded'"
    strangers = connection.execute(
        sql.SQL(f"select count(*) from {{}} where _run_id not in ({recorded})").format(raw),
        [source],
    ).fetchone()
    assert strangers == (0,)
    return rows


def copy_source(connection: Connection, stream: str, source: str, name: str) -> None:
    """Copy what a source has landed to another name, faster than landing it again."""
    old, new = (sql.Identifier(f"raw_{which}", stream) for which in (source, name))
    connection.execute(sql.SQL("create schema {}").format(sql.Identifier(f"raw_{name}")))
    connection.execute(sql.SQL("create table {} (like {} including all)").format(new, old))
    connection.execute(sql.SQL("insert into {} select * from {}").format(new, old))
    connection.execute(sql.SQL("analyze {}").format(new))
    for table in OPS_TABLES:
        columns = connection.execute(
            "select string_agg(quote_ident(attname), ', ') from pg_attribute where attnum > 0 "
            "and attrelid = %s::regclass and attidentity = '' and attname <> 'source'",
            [f"ops.{table}"],
        ).fetchone()
        assert columns is not None
        connection.execute(
            f"insert into ops.{table} (source, {columns[0]}) "
            f"select %s, {columns[0]} from ops.{table} where source = %s",
            [name, source],
        )


def at(day: int) -> str:
    return f"2026-01-{day:02d}T00:00:00Z"


def _contacts(numbers: Iterable[int], day: Callable[[int], int], *more: str) -> str:
    header = "Id,SystemModstamp,IsDeleted,FirstName,Email,Region__c\n"
    lines = [
        f"c{n},{at(day(n))},{str(n % 7 == day(n)).lower()},{PERSONAL},{n}@{day(n)}.example,r{n}\n"
        for n in numbers
    ]
    bad = [f"bad {day(1)},{PERSONAL},false,B,,\n", f",{at(1)},false,no key,,\n", "ragged,row\n"]
    return header + "".join([*lines, *bad, *more])


def _deliveries(folder: Path, until: str | None = None) -> Load:
    """Contacts: updates, inserts, tombstones, stale and equal versions, keys twice, bad ones."""
    write(folder, "batch_1/salesforce/Contact.csv", _contacts(range(60), lambda n: 1 + n % 5))
    if until:
        twice = [f"c{n},{at(28)},false,T,{n}@last.example,\n" for n in (30, 31)]
        late = _contacts(range(25, 90), lambda n: 1 + n % 6, *twice)
        write(folder, "batch_2/salesforce/Contact.csv", late)
    return Load("salesforce_export", "contact", {"path": str(folder)}, until)


def _changing_orders(folder: Path) -> Load:
    """Orders: in the middle of the second delivery a column widens and two are new."""

    def order(n: int, day: int, **more: object) -> str:
        return json.dumps({"id": n, "updated_at": at(day), "total_price": "1.10", **more}) + "\n"

    first = [order(n, 1, points=n, note=PERSONAL) for n in range(50)]
    second = [order(n, 2, points=n) for n in range(30, 55)]
    second += [order(n, 2, points=n + 0.5, seller=f"s{n}") for n in range(55, 75)]
    second += [order(80, 2, total_price=PERSONAL), order(81, 2, gift={"to": "x"}), "{broken\n"]
    write(folder, "batch_1/shopify/orders.jsonl", "".join(first))
    write(folder, "batch_2/shopify/orders.jsonl", "".join(second))
    return Load("shopify_export", "orders", {"path": str(folder)}, "batch_1")


def _without_versions(folder: Path) -> Load:
    """Customers of Stripe: the record read last is the current one."""

    def customer(n: int, name: str, created: object = 1) -> str:
        return json.dumps({"id": f"u{n}", "created": created, "name": name}) + "\n"

    first = [customer(n, "one") for n in range(50)]
    second = [customer(n, "one" if n % 2 else "two") for n in range(20, 70)]
    second += [customer(20, "three"), customer(99, PERSONAL, created=PERSONAL)]
    write(folder, "batch_1/stripe/customers.jsonl", "".join(first))
    write(folder, "batch_2/stripe/customers.jsonl", "".join(second))
    return Load("stripe_export", "customers", {"path": str(folder)}, "batch_1")


def _read_twice(folder: Path) -> Load:
    """A first load in which a key comes twice: copied into the table, taken back, and merged."""
    lines = [f"k{n % 50},{at(1 + n // 50)},{n}\n" for n in range(70)]
    write(folder, "a.csv", "id,changed,v\n" + "".join(lines))
    stream = {"glob": "*.csv", "key": ["id"], "version": "changed"}
    return Load("files", "things", {"path": str(folder), "streams": {"things": stream}})


WAYS: dict[str, Callable[[Path], Load]] = {
    "into an empty table": _deliveries,
    "by merge": lambda folder: _deliveries(folder, "batch_1"),
    "while columns change": _changing_orders,
    "without versions": _without_versions,
    "read twice": _read_twice,
}
