"""The closing summary of a run: what came in, what is in the marts, whether it all adds up."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from psycopg import sql
from psycopg.rows import class_row, dict_row

from crmhouse.errors import RunFailedError

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID

    from psycopg import Connection

    from crmhouse.warehouse import Warehouse

_STREAMS = """
    with counted as (
        select
            source, stream, sum(rows_extracted)::bigint as extracted,
            sum(rows_inserted)::bigint as inserted, sum(rows_updated)::bigint as updated,
            sum(rows_unchanged)::bigint as unchanged, sum(rows_deleted)::bigint as deleted,
            sum(rows_quarantined)::bigint as quarantined,
            bool_or(status = 'failed') as failed
        from ops.sync_runs where run_id = %(run_id)s
        group by source, stream
    ),

    known as (select distinct source, stream from ops.stream_state)

    select
        source, stream, coalesce(extracted, 0) as extracted, coalesce(inserted, 0) as inserted,
        coalesce(updated, 0) as updated, coalesce(unchanged, 0) as unchanged,
        coalesce(deleted, 0) as deleted, coalesce(quarantined, 0) as quarantined,
        coalesce(failed, false) as failed
    from known
    full join counted using (source, stream)
    order by source, stream
"""
_GATES = """
    select
        boundary, count(*) filter (where status = 'passed') as passed,
        count(*) filter (where status <> 'passed' and (severity = 'error' or status = 'error'))
            as failed,
        count(*) filter (where status = 'failed' and severity = 'warning') as warnings
    from ops.gate_results where run_id = %(run_id)s
    group by boundary order by boundary desc
"""
# Each question needs its marts; where one is not published yet its figures are left out.
_FIGURES = {
    ("dim_customers", "customer_identities"): """
        select
            (select count(*) from marts.dim_customers) as customers,
            (select count(*) from marts.customer_identities) as person_records
    """,
    ("dim_accounts",): "select count(*) as accounts from marts.dim_accounts",
    ("revenue_monthly",): """
        select
            coalesce(sum(shop_orders), 0)::bigint as shop_orders,
            coalesce(sum(shop_net_usd), 0) as shop_net_usd,
            coalesce(sum(subscription_invoices_paid), 0)::bigint as subscription_invoices_paid,
            coalesce(sum(subscription_cash_usd), 0) as subscription_cash_usd,
            coalesce(sum(total_usd), 0) as revenue_usd
        from marts.revenue_monthly
    """,
    ("mrr_movements_monthly",): """
        select month as mrr_month, mrr_end_usd as mrr_usd, active_subscriptions,
            customers_end as subscribed_customers
        from marts.mrr_movements_monthly order by month desc limit 1
    """,
    ("fct_opportunities",): """
        select
            count(*) filter (where not is_closed) as open_opportunities,
            coalesce(sum(amount_usd) filter (where not is_closed), 0) as open_pipeline_usd,
            coalesce(sum(amount_usd * probability_rate) filter (where not is_closed), 0)
                as weighted_pipeline_usd,
            count(*) filter (where is_won) as won_opportunities,
            coalesce(sum(amount_usd) filter (where is_won), 0) as won_usd
        from marts.fct_opportunities
    """,
    ("reconciliation",): """
        select
            count(*) as reconciled_hops,
            coalesce(sum(abs(difference_count)), 0)::bigint as reconciliation_difference_rows,
            coalesce(sum(abs(difference_amount)), 0) as reconciliation_difference_amount
        from marts.reconciliation
    """,
}


@dataclass(frozen=True)
class StreamRows:
    """What a run did to one raw table, in records; `rows` is what the table holds now."""

    source: str
    stream: str
    extracted: int
    inserted: int
    updated: int
    unchanged: int
    deleted: int
    quarantined: int
    failed: bool
    rows: int = 0


@dataclass(frozen=True)
class Gate:
    """The expectations of one boundary, counted."""

    boundary: str
    passed: int
    failed: int
    warnings: int


@dataclass(frozen=True)
class Summary:
    """A run and the marts after it.

    Attributes:
        outcome: `published`, `nothing new`, or what happened instead.
        figures: the headline figures by name; money as `Decimal` in the reporting currency.
        marts: rows by published mart.
        quarantine: records that are held back and not resolved, over all runs.
    """

    run_id: UUID
    status: str
    outcome: str | None
    as_of: datetime | None
    seconds: float | None
    error: str | None
    currency: str | None
    streams: tuple[StreamRows, ...]
    gates: tuple[Gate, ...]
    figures: dict[str, int | Decimal | date]
    marts: dict[str, int]
    quarantine: int


def read_summary(warehouse: Warehouse, run_id: UUID | None = None) -> Summary:
    """Read the summary of a run; of the newest when none is named.

    Raises:
        RunFailedError: there is no such run.
    """
    with warehouse.connect() as connection:
        run = (
            connection.cursor(row_factory=dict_row)
            .execute(
                """
                select run_id, status, outcome, error,
                    coalesce(as_of, (select as_of from ops.run_context)) as as_of,
                    extract(epoch from finished_at - started_at)::float8 as seconds,
                    (select reporting_currency from ops.run_context) as currency
                from ops.pipeline_runs
                where %(run_id)s::uuid is null or run_id = %(run_id)s::uuid
                order by started_at desc limit 1
                """,
                {"run_id": run_id},
            )
            .fetchone()
        )
        if run is None:
            raise RunFailedError("There is no run to sum up yet: `crmhouse run` makes one.")
        key = {"run_id": run["run_id"]}
        streams = connection.cursor(row_factory=class_row(StreamRows)).execute(_STREAMS, key)
        gates = connection.cursor(row_factory=class_row(Gate)).execute(_GATES, key)
        marts: dict[str, int] = dict(
            connection.execute(
                "select mart, row_count from ops.published_marts order by mart"
            ).fetchall()
        )
        held = connection.execute("select count(*) from ops.quarantine where resolved_at is null")
        counted = [_with_rows(connection, stream) for stream in streams.fetchall()]
        return Summary(
            **run,
            streams=tuple(counted),
            gates=tuple(gates.fetchall()),
            marts=marts,
            quarantine=(held.fetchone() or (0,))[0],
            figures=_figures(connection, set(marts)),
        )


def money(amount: Decimal) -> Decimal:
    """Round to cents, half away from zero: the one place where a total is rounded."""
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def _with_rows(connection: Connection, stream: StreamRows) -> StreamRows:
    table = sql.Identifier(f"raw_{stream.source}", stream.stream)
    exists = connection.execute(
        "select to_regclass(format('%%I.%%I', %s::text, %s::text))",
        [f"raw_{stream.source}", stream.stream],
    ).fetchone()
    if not exists or exists[0] is None:
        return stream
    row = connection.execute(
        sql.SQL("select count(*) from {} where _deleted_at is null").format(table)
    ).fetchone()
    return StreamRows(**{**stream.__dict__, "rows": row[0] if row else 0})


def _figures(connection: Connection, published: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for needed, question in _FIGURES.items():
        if published.issuperset(needed):
            cursor = connection.cursor(row_factory=dict_row).execute(question)
            found.update(cursor.fetchone() or {})
    return {
        name: money(value) if isinstance(value, Decimal) else value for name, value in found.items()
    }
