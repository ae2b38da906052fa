"""Column types of values that no declaration knows."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa

from ingestion.streams import WIDENS_TO, ColumnType

if TYPE_CHECKING:
    from ingestion.batches import Values

_BIGGEST = 2**63 - 1
_TEXT_OR_NULL = {str, type(None)}


def infer(values: Values) -> ColumnType | None:
    """Return the type of a column that no declaration knows; None while all values are NULL.

    JSON and Parquet carry types, and these are taken. Text stays text even where it looks like a
    number or a date: a postcode that lost its leading zero cannot be repaired. A column that mixes
    types gets the type of its first value; the records that do not fit it go to quarantine.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return None if values.null_count == len(values) else arrow_type(values.type)
    if (kinds := set(map(type, values))) <= _TEXT_OR_NULL:
        return ColumnType.TEXT if str in kinds else None
    found: ColumnType | None = None
    for value in values:
        if value is None:
            continue
        kind = _kind(value)
        if found is None or WIDENS_TO.get(found) == kind:
            found = kind
    return found


def _kind(value: object) -> ColumnType:
    match value:
        case bool():
            return ColumnType.BOOLEAN
        case int():
            return ColumnType.BIGINT if -_BIGGEST <= value <= _BIGGEST else ColumnType.NUMERIC
        case Decimal():
            return ColumnType.NUMERIC
        case dict() | list():
            return ColumnType.JSONB
        case _:
            return ColumnType.TEXT


def arrow_type(data_type: pa.DataType) -> ColumnType:
    """Return the column type for an Arrow type; text for all that have none of their own."""
    kinds = pa.types
    if kinds.is_dictionary(data_type):
        return arrow_type(data_type.value_type)
    if kinds.is_boolean(data_type):
        return ColumnType.BOOLEAN
    if kinds.is_integer(data_type):
        return ColumnType.BIGINT
    if kinds.is_floating(data_type) or kinds.is_decimal(data_type):
        return ColumnType.NUMERIC
    if kinds.is_date(data_type):
        return ColumnType.DATE
    if kinds.is_timestamp(data_type):
        return ColumnType.TIMESTAMPTZ
    if kinds.is_nested(data_type):
        return ColumnType.JSONB
    return ColumnType.TEXT
