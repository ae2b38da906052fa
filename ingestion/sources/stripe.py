"""Stripe: its objects as streams. They carry no time of their last change.

Times are seconds since 1970 and amounts are minor units, as Stripe sends them; staging converts.
"""

from __future__ import annotations

from ingestion.streams import Column, ColumnType, Stream, columns

TEXT, BIGINT, BOOLEAN = ColumnType.TEXT, ColumnType.BIGINT, ColumnType.BOOLEAN


def _object(name: str, *fields: Column, cursor: tuple[str, ...] = ("created",)) -> Stream:
    return Stream(
        name=name,
        object=name,
        key=("id",),
        columns=(
            *columns(TEXT, "id", "object"),
            *columns(BIGINT, "created"),
            *fields,
            *columns(BOOLEAN, "livemode", "deleted"),
        ),
        cursor=cursor,
        deleted="deleted",
    )


STREAMS = (
    _object(
        "customers",
        *columns(TEXT, "email", "name", "phone", "currency"),
        *columns(BOOLEAN, "delinquent"),
        *columns(ColumnType.JSONB, "metadata"),
    ),
    _object(
        "subscriptions",
        *columns(TEXT, "customer", "status", "currency"),
        *columns(BIGINT, "start_date", "trial_end", "current_period_start"),
        *columns(BIGINT, "canceled_at", "ended_at"),
        *columns(ColumnType.JSONB, "items", "discount", "discounts"),
        cursor=("created", "canceled_at", "ended_at"),
    ),
    _object(
        "invoices",
        *columns(TEXT, "customer", "subscription", "status", "currency"),
        *columns(BIGINT, "total", "amount_paid"),
        *columns(ColumnType.JSONB, "status_transitions", "parent"),
    ),
    _object(
        "charges",
        *columns(TEXT, "customer", "invoice", "status", "currency"),
        *columns(BIGINT, "amount", "amount_refunded"),
        *columns(BOOLEAN, "paid", "captured", "refunded"),
        *columns(ColumnType.JSONB, "metadata"),
    ),
)
