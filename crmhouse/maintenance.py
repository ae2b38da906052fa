"""The upkeep of the warehouse: the book of past work, what dead runs left behind, vacuum.

It runs beside syncs and refreshes and gives way to them. Everything in it can be stopped at any
moment and started again.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from crmhouse.errors import AlreadyRunningError, WarehouseError
from crmhouse.retention import Forgotten, apply_retention, lock_patiently

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

    from crmhouse.settings import Settings
    from crmhouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

_LOCK = 0x63726D6B65  # "crmke", for keep
_BUILD_SCHEMAS = ["staging", "intermediate", "marts_build"]
# Milliseconds. A sync that needs a new column waits for the vacuum of its table, but not for ever.
_VACUUM_TIMEOUT = "900000"
# Half of what makes autovacuum start by default, so on a server with defaults ours comes first.
_SHARE, _LEAST_ROWS = 0.1, 1000

# dbt builds beside the model it replaces and commits with the new name, or drops the old one right
# after. Whoever sees such a table sees one whose dbt is gone, or about to drop it, too.
_DBT_LEFTOVERS = r"""
    select nspname, relname, relkind = 'v' as is_view
    from pg_class inner join pg_namespace on pg_namespace.oid = relnamespace
    where nspname = any(%s) and relkind in ('r', 'v') and relname ~ '__dbt_(tmp|backup)[0-9]*$'
        and pg_has_role(relowner, 'usage')
    order by 1, 2
"""
_UNKEMPT = """
    select
        stats.schemaname, stats.relname, stats.n_dead_tup,
        stats.n_dead_tup >= %(least)s + %(share)s * stats.n_live_tup
            or coalesce(stats.n_ins_since_vacuum, 0) >= %(least)s + %(share)s * stats.n_live_tup,
        stats.n_mod_since_analyze >= %(least)s + %(share)s * stats.n_live_tup
    from pg_stat_user_tables as stats
    inner join pg_class on pg_class.oid = stats.relid
    where (
            stats.schemaname in ('ops', 'identity', 'marts', 'marts_build')
            or stats.schemaname like 'raw\\_%%'
        )
        and pg_has_role(pg_class.relowner, 'usage')
    order by stats.n_dead_tup desc, 1, 2
"""


@dataclass(frozen=True)
class Vacuumed:
    """What was done for one table.

    Attributes:
        table: with its schema.
        dead_rows: how many PostgreSQL had counted.
        outcome: `vacuumed`, `analyzed`, or why not: `busy` (somebody held it), `took too long`.
    """

    table: str
    dead_rows: int
    outcome: str
    seconds: float


@dataclass(frozen=True)
class Upkeep:
    """What one maintenance did.

    Attributes:
        forgotten: the retention, by table.
        dropped: tables and views that a dbt left behind which was killed.
        vacuumed: the tables that warranted it.
    """

    forgotten: tuple[Forgotten, ...]
    dropped: tuple[str, ...]
    vacuumed: tuple[Vacuumed, ...]


def maintain(warehouse: Warehouse, settings: Settings) -> Upkeep:
    """Do everything in order.

    Raises:
        AlreadyRunningError: another process does it at this moment.
        WarehouseError: the server refused a step; those before it are done.
    """
    with only_one(warehouse), errors_of_ours(warehouse):
        return Upkeep(
            forgotten=apply_retention(warehouse, settings.retention),
            dropped=drop_leftovers(warehouse),
            vacuumed=vacuum(warehouse),
        )


@contextmanager
def only_one(warehouse: Warehouse) -> Iterator[None]:
    """Let no other process maintain this warehouse while the block runs.

    Raises:
        AlreadyRunningError: one does.
    """
    with warehouse.connect(autocommit=True) as connection:
        row = connection.execute("select pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
        if row != (True,):
            raise AlreadyRunningError(
                f"Another process maintains the warehouse {warehouse.place}. Wait for it to end."
            )
        try:
            yield
        finally:
            with suppress(psycopg.OperationalError):  # lost with its lock
                connection.execute("select pg_advisory_unlock(%s)", [_LOCK])


@contextmanager
def errors_of_ours(warehouse: Warehouse) -> Iterator[None]:
    """Turn an error of the database into one of ours; its own text may quote values."""
    try:
        yield
    except psycopg.errors.LockNotAvailable:
        raise WarehouseError(
            f"Maintenance of {warehouse.place} stopped: another process held a table for longer "
            "than 5 s. What was done stays done; the next maintenance goes on."
        ) from None
    except psycopg.Error as error:
        raise WarehouseError(
            f"Maintenance of {warehouse.place} stopped ({type(error).__name__}, SQLSTATE "
            f"{error.sqlstate or 'unknown'}). What was done stays done; see that the server runs, "
            "then start it again."
        ) from None


def drop_leftovers(warehouse: Warehouse) -> tuple[str, ...]:
    """Drop the tables and views that a killed dbt left in the schemas it builds in.

    Everything else that a killed process had begun is gone with its connection: rows are staged in
    temporary tables, and landed and published in one transaction.
    """
    dropped = []
    with warehouse.connect(autocommit=True) as connection:
        lock_patiently(connection)
        for schema, name, is_view in connection.execute(
            _DBT_LEFTOVERS, [_BUILD_SCHEMAS]
        ).fetchall():
            connection.execute(
                sql.SQL("drop {} if exists {} cascade").format(
                    sql.SQL("view" if is_view else "table"), sql.Identifier(schema, name)
                )
            )
            logger.info("dropped %s.%s, which a dbt that was stopped left behind", schema, name)
            dropped.append(f"{schema}.{name}")
    return tuple(dropped)


def vacuum(warehouse: Warehouse) -> tuple[Vacuumed, ...]:
    """Vacuum or analyze the tables of ours where enough has changed; never those in use.

    It reads and writes beside all others, does not give the space back to the disk (that would take
    the table away for a moment), and passes over a table that somebody has locked.
    """
    done = []
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("select set_config('statement_timeout', %s, false)", [_VACUUM_TIMEOUT])
        for schema, table, dead, is_bloated, is_stale in connection.execute(
            _UNKEMPT, {"least": _LEAST_ROWS, "share": _SHARE}
        ).fetchall():
            if is_bloated or is_stale:
                done.append(_vacuum(connection, schema, table, dead, whole=is_bloated))
    return tuple(done)


def _vacuum(connection: Connection, schema: str, table: str, dead: int, *, whole: bool) -> Vacuumed:
    statement = (
        "vacuum (analyze, skip_locked, truncate false) {}" if whole else "analyze (skip_locked) {}"
    )
    skipped: list[psycopg.errors.Diagnostic] = []
    note = skipped.append
    connection.add_notice_handler(note)
    started = time.monotonic()
    try:
        connection.execute(sql.SQL(statement).format(sql.Identifier(schema, table)))
        outcome = "busy" if skipped else "vacuumed" if whole else "analyzed"
    except psycopg.errors.QueryCanceled:
        outcome = "took too long"
    except psycopg.errors.UndefinedTable:
        outcome = "gone"  # dropped since we looked
    finally:
        connection.remove_notice_handler(note)
    return Vacuumed(f"{schema}.{table}", dead, outcome, round(time.monotonic() - started, 3))
