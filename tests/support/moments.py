"""Moments of a refresh at which something may be killed, and what must be the same afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from project import fingerprint

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse

RUNNING = "(select run_id from ops.pipeline_runs where status = 'running')"
DBT_AT_WORK = "from pg_stat_activity where application_name = 'crmhouse-dbt' and query like"
# Each is true from a certain moment of a run on, in the order of a run.
MOMENTS = {
    "rows are landing": f"select count(*) > 2 from ops.sync_runs where run_id = {RUNNING}",
    "the raw gate is done": f"select count(*) > 0 from ops.gate_results where run_id = {RUNNING}",
    "people are linked": "select count(*) > 0 from identity.customer_links",
    "marts are being built": f"select count(*) > 0 {DBT_AT_WORK} '%marts_build%'",
    "the marts gate is done": f"""
        select count(*) > 0 from ops.gate_results where boundary = 'marts' and run_id = {RUNNING}
    """,
}


def holds(connection: psycopg.Connection[Any], condition: str) -> bool:
    try:
        row = connection.execute(condition).fetchone()
    except psycopg.errors.UndefinedTable:
        return False
    return bool(row and row[0])


def content(warehouse: Warehouse, *more: str) -> dict[str, str]:
    """Everything that must not depend on what happened on the way: raw, marts, and more schemas."""
    with warehouse.connect() as connection:
        raw = [
            name
            for (name,) in connection.execute(
                "select nspname from pg_namespace where nspname like 'raw%%'"
            )
        ]
    return fingerprint(warehouse, "marts", *raw, *more)
