"""Stripe: its objects as streams. They carry no time of their last change.

Times are seconds since 1970 and amounts are minor units, as Stripe sends them; staging converts.
`STREAMS` are those that every export has, `MORE` what the API delivers besides, and an export may
have.
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


_METADATA = columns(ColumnType.JSONB, "metadata")

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

MORE = (
    _object(
        "payment_intents",
        *columns(TEXT, "customer", "status", "currency", "latest_charge"),
        *columns(BIGINT, "amount", "amount_received", "canceled_at"),
        *_METADATA,
    ),
    _object(
        "refunds",
        *columns(TEXT, "charge", "payment_intent", "status", "currency", "reason"),
        *columns(BIGINT, "amount"),
        *_METADATA,
    ),
    _object(
        "disputes",
        *columns(TEXT, "charge", "payment_intent", "status", "currency", "reason"),
        *columns(BIGINT, "amount"),
        *columns(BOOLEAN, "is_charge_refundable"),
        *_METADATA,
    ),
    _object(
        "credit_notes",
        *columns(TEXT, "customer", "invoice", "status", "currency", "reason", "type", "number"),
        *columns(BIGINT, "amount", "subtotal", "total", "voided_at"),
        *columns(ColumnType.JSONB, "lines", "metadata"),
    ),
    _object(
        "products",
        *columns(TEXT, "name", "default_price", "type"),
        *columns(BIGINT, "updated"),
        *columns(BOOLEAN, "active"),
        *_METADATA,
    ),
    _object(
        "prices",
        *columns(TEXT, "product", "currency", "type", "billing_scheme", "unit_amount_decimal"),
        *columns(BIGINT, "unit_amount"),
        *columns(BOOLEAN, "active"),
        *columns(ColumnType.JSONB, "recurring", "metadata"),
    ),
    _object(
        "coupons",
        *columns(TEXT, "name", "duration", "currency"),
        *columns(BIGINT, "amount_off", "duration_in_months", "redeem_by", "times_redeemed"),
        *columns(ColumnType.NUMERIC, "percent_off"),
        *columns(BOOLEAN, "valid"),
        *_METADATA,
    ),
    _object(
        "balance_transactions",
        *columns(TEXT, "source", "currency", "type", "reporting_category", "status"),
        *columns(BIGINT, "amount", "fee", "net", "available_on"),
        *columns(ColumnType.NUMERIC, "exchange_rate"),
        *columns(ColumnType.JSONB, "fee_details"),
    ),
    _object(
        "payouts",
        *columns(TEXT, "status", "currency", "destination", "balance_transaction", "type"),
        *columns(BIGINT, "amount", "arrival_date"),
        *columns(BOOLEAN, "automatic"),
        *_METADATA,
    ),
)

API_STREAMS = (*STREAMS, *MORE)
"""All that the API delivers."""
