"""What the book of past work loses with time: each statement of it, and what it must leave.

A row goes only where nothing reads it any more. What is counted on is summed up, not removed: the
reconciliation and the metrics add up all syncs that a raw table has seen.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg import Connection

    from crmhouse.settings import RetentionSettings
    from crmhouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

SUMMED_UP = "00000000-0000-0000-0000-000000000000"
"""The run of rows that stand for many; see `ops.sync_runs.stands_for`."""

# Milliseconds. Whoever works keeps its locks, and the next maintenance has another go.
_LOCK_TIMEOUT = "5000"

# A sum is kept for each life of a raw table, named by the change that made it, because the
# reconciliation counts from the last one on. `crmhouse status` and the sync itself look at a
# stream's last run, its last good one and the first that failed after that. A replay is no sync,
# and somebody did it by hand: these stay as they are.
_SUM_UP_SYNCS = """
    with runs as (
        select
            source, stream, run_id, max(started_at) as started_at,
            bool_or(status = 'failed') as failed
        from ops.sync_runs
        where slice <> 'replay' and run_id <> %(summed_up)s
        group by source, stream, run_id
    ),

    judged as (
        select
            runs.*,
            row_number() over (partition by source, stream order by started_at desc) = 1 as is_last,
            max(started_at) filter (where not failed) over (partition by source, stream) as good_at
        from runs
    ),

    ranked as (
        select
            judged.*,
            row_number() over (
                partition by source, stream, started_at > coalesce(good_at, '-infinity')
                order by started_at
            ) = 1 and started_at > coalesce(good_at, '-infinity') as is_first_failure
        from judged
    ),

    old as (
        delete from ops.sync_runs as past
        using ranked
        where ranked.source = past.source and ranked.stream = past.stream
            and ranked.run_id = past.run_id
            and past.slice <> 'replay'
            and ranked.started_at < now() - make_interval(days => %(days)s)
            and not ranked.is_last and not ranked.is_first_failure
            and ranked.started_at is distinct from ranked.good_at
        returning past.*
    ),

    placed as (
        select old.*, creation.change_id, creation.changed_at as created_at
        from old
        left join lateral (
            select change_id, changed_at
            from ops.schema_changes as made
            where made.source = old.source and made.stream = old.stream and made.change = 'created'
                and (made.changed_at <= old.started_at or made.run_id = old.run_id)
            order by change_id desc
            limit 1
        ) as creation on true
    ),

    summed as (
        insert into ops.sync_runs as known (
            run_id, source, stream, slice, status, rows_extracted, rows_inserted, rows_updated,
            rows_unchanged, rows_deleted, rows_quarantined, rows_missing, started_at, seconds,
            stands_for
        )
        select
            %(summed_up)s, source, stream,
            format('earlier, table %%s, %%s', coalesce(change_id::text, 'none'), status), status,
            sum(rows_extracted), sum(rows_inserted), sum(rows_updated), sum(rows_unchanged),
            sum(rows_deleted), sum(rows_quarantined), sum(rows_missing),
            greatest(max(started_at), max(created_at)), sum(seconds), sum(stands_for)
        from placed
        group by source, stream, change_id, status
        on conflict (run_id, source, stream, slice) do update set
            rows_extracted = known.rows_extracted + excluded.rows_extracted,
            rows_inserted = known.rows_inserted + excluded.rows_inserted,
            rows_updated = known.rows_updated + excluded.rows_updated,
            rows_unchanged = known.rows_unchanged + excluded.rows_unchanged,
            rows_deleted = known.rows_deleted + excluded.rows_deleted,
            rows_quarantined = known.rows_quarantined + excluded.rows_quarantined,
            rows_missing = known.rows_missing + excluded.rows_missing,
            seconds = known.seconds + excluded.seconds,
            stands_for = known.stands_for + excluded.stands_for,
            started_at = greatest(known.started_at, excluded.started_at)
    )

    select count(*) from old
"""

# The last run that published holds the fingerprint by which the next one sees that nothing is new.
_FORGET_RUNS = """
    with gone as (
        delete from ops.pipeline_runs as past
        where coalesce(finished_at, started_at) < now() - make_interval(days => %(days)s)
            and status <> 'running'
            and run_id not in (select run_id from ops.run_context)
            and run_id <> (
                select run_id from ops.pipeline_runs order by started_at desc limit 1
            )
            and run_id is distinct from (
                select run_id from ops.pipeline_runs
                where input_fingerprint is not null
                order by finished_at desc
                limit 1
            )
        returning 1
    )

    select count(*) from gone
"""

# A rule about a number compares itself with what it saw when it last stopped no run, other than the
# present one: so of the old ones that it may compare with, the newest stays.
_FORGET_GATES = """
    with baselines as (
        select distinct on (boundary, suite, expectation) run_id, boundary, suite, expectation
        from ops.gate_results
        where checked_at < now() - make_interval(days => %(days)s)
            and (status = 'passed' or (status = 'failed' and severity = 'warning'))
            and observed ~ '^-?[0-9]+([.][0-9]+)?(,|$)' and rows_checked is not null
        order by boundary, suite, expectation, checked_at desc
    ),

    gone as (
        delete from ops.gate_results as past
        where checked_at < now() - make_interval(days => %(days)s)
            and run_id <> (select run_id from ops.gate_results order by checked_at desc limit 1)
            and (run_id, boundary, suite, expectation) not in (table baselines)
        returning 1
    )

    select count(*) from gone
"""

# When a record is replayed whose key has been replayed before, the earlier one tells when what raw
# has now had arrived; so it stays as long as a record of that key is held.
_FORGET_QUARANTINE = """
    with gone as (
        delete from ops.quarantine as past
        where resolved_at < now() - make_interval(days => %(days)s)
            and not exists (
                select from ops.quarantine as held
                where held.source = past.source and held.stream = past.stream
                    and held.record_key = past.record_key and held.resolved_at is null
            )
        returning 1
    )

    select count(*) from gone
"""


@dataclass(frozen=True)
class Forgotten:
    """What the retention did with one table.

    Attributes:
        table: of the schema `ops`.
        days: what the settings say; None when nothing of it ever goes.
        rows: how many went.
        summed_up: whether their counts live on in a row that stands for them.
    """

    table: str
    days: int | None
    rows: int
    summed_up: bool = False


def apply_retention(warehouse: Warehouse, retention: RetentionSettings) -> tuple[Forgotten, ...]:
    """Remove what is older than the settings say, or sum it up; each table in one transaction."""
    return (
        _forget(warehouse, "sync_runs", retention.sync_runs, _SUM_UP_SYNCS, summed_up=True),
        _forget(warehouse, "pipeline_runs", retention.runs, _FORGET_RUNS),
        _forget(warehouse, "gate_results", retention.gate_results, _FORGET_GATES),
        _forget(warehouse, "quarantine", retention.resolved_quarantine, _FORGET_QUARANTINE),
    )


def _forget(
    warehouse: Warehouse, table: str, days: int | None, statement: str, *, summed_up: bool = False
) -> Forgotten:
    if days is None:
        return Forgotten(table, None, 0, summed_up)
    with warehouse.connect() as connection:
        lock_patiently(connection)
        row = connection.execute(statement, {"days": days, "summed_up": SUMMED_UP}).fetchone()
    rows = row[0] if row else 0
    logger.info(
        "ops.%s: %d rows older than %d days %s",
        table, rows, days, "summed up" if summed_up else "removed",
    )  # fmt: skip
    return Forgotten(table, days, rows, summed_up)


def lock_patiently(connection: Connection) -> None:
    """Give way to whoever works: a lock that is not to be had soon is left to them."""
    connection.execute("select set_config('lock_timeout', %s, false)", [_LOCK_TIMEOUT])
