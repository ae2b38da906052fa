"""Shopify: its objects as streams. Amounts are decimal text in major units."""

from __future__ import annotations

from ingestion.streams import ColumnType, Stream, columns

TEXT, NUMERIC, TIME, JSONB = (
    ColumnType.TEXT,
    ColumnType.NUMERIC,
    ColumnType.TIMESTAMPTZ,
    ColumnType.JSONB,
)

STREAMS = (
    Stream(
        name="customers",
        object="customers",
        key=("id",),
        columns=(
            *columns(ColumnType.BIGINT, "id"),
            *columns(TEXT, "email", "first_name", "last_name", "phone", "tags"),
            *columns(ColumnType.BOOLEAN, "verified_email"),
            *columns(TIME, "created_at", "updated_at"),
            *columns(JSONB, "default_address"),
        ),
        version="updated_at",
    ),
    Stream(
        name="orders",
        object="orders",
        key=("id",),
        columns=(
            *columns(ColumnType.BIGINT, "id"),
            *columns(TEXT, "name", "email", "currency", "financial_status", "source_name"),
            *columns(TIME, "created_at", "updated_at", "cancelled_at"),
            *columns(ColumnType.BOOLEAN, "test"),
            *columns(NUMERIC, "subtotal_price", "total_shipping", "total_tax", "total_price"),
            *columns(NUMERIC, "total_discounts"),
            *columns(JSONB, "customer", "line_items", "refunds"),
        ),
        version="updated_at",
    ),
)

MORE = (
    Stream(
        name="products",
        object="products",
        key=("id",),
        columns=(
            *columns(ColumnType.BIGINT, "id"),
            *columns(TEXT, "title", "handle", "vendor", "product_type", "status", "tags"),
            *columns(TIME, "created_at", "updated_at"),
            *columns(ColumnType.BOOLEAN, "deleted"),
        ),
        version="updated_at",
        deleted="deleted",
    ),
    Stream(
        name="variants",
        object="variants",
        key=("id",),
        columns=(
            *columns(ColumnType.BIGINT, "id", "product_id"),
            *columns(TEXT, "title", "sku", "barcode"),
            *columns(NUMERIC, "price"),
            *columns(TIME, "created_at", "updated_at"),
            *columns(ColumnType.BOOLEAN, "deleted"),
        ),
        version="updated_at",
        deleted="deleted",
    ),
)
"""What the API delivers besides; an export may have them, and flags what was deleted."""

API_STREAMS = (*STREAMS, *MORE)
"""All that the API delivers."""
