"""Fit values to column types, a whole column at a time; find the records that do not fit.

The result is what COPY is given: Arrow columns whose text PostgreSQL is sure to accept, so one bad
value can never abort a load. Numbers with a fraction travel as text and never become floats.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.streams import WIDENS_TO, ColumnType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ingestion.batches import Values

_TIMESTAMP = pa.timestamp("us", tz="UTC")
_INTEGER = r"^-?[0-9]{1,19}$"
_NUMBER = r"^[+-]?([0-9]{1,1000}(\.[0-9]{0,1000})?|\.[0-9]{1,1000})([eE][+-]?[0-9]{1,3})?$"
_TRUE = pa.array(["true", "t", "1", "yes", "y"])
_FALSE = pa.array(["false", "f", "0", "no", "n"])
_BIGGEST = 2**63 - 1
_ESCAPED_TROUBLE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")

_encoder = msgspec.json.Encoder(decimal_format="number")


class Misfit(Exception):  # noqa: N818  # it is caught here and turned into a finding
    """A value does not fit its column."""


def fit(values: Values, column_type: ColumnType) -> tuple[pa.Array, list[int]]:
    """Turn one column of values into what COPY can load.

    Args:
        values: one entry per record.
        column_type: the type of the column in PostgreSQL.

    Returns:
        The Arrow array, and the positions of the records whose value does not fit (NULL there).
    """
    array = _text(values, column_type)
    if array is None:
        return _one_by_one(values, column_type)
    try:
        return _CHECKED[column_type](array), []
    except (Misfit, pa.ArrowException, msgspec.MsgspecError, ValueError):
        return _one_by_one(array, column_type)


def infer(values: Values) -> ColumnType | None:
    """Return the type of a column that no declaration knows; None while all values are NULL.

    JSON and Parquet carry types, and these are taken. Text stays text even where it looks like a
    number or a date: a postcode that lost its leading zero cannot be repaired. A column that mixes
    types gets the type of its first value; the records that do not fit it go to quarantine.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return None if values.null_count == len(values) else _arrow_type(values.type)
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


def _arrow_type(data_type: pa.DataType) -> ColumnType:
    kinds = pa.types
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


def _text(values: Values, column_type: ColumnType) -> pa.Array | None:
    """Return the column as Arrow text, or natively where Arrow's type is the column's.

    None when the values are too mixed for a whole-column way.
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array):
        if pa.types.is_string(values.type) or pa.types.is_null(values.type):
            return values.cast(pa.string())
        if _arrow_type(values.type) is column_type and not pa.types.is_nested(values.type):
            return _native(values, column_type)
        return None
    try:
        if column_type is ColumnType.JSONB:
            encoded = [None if v is None else _encoder.encode(v).decode() for v in values]
            return pa.array(encoded, pa.string())
        if column_type is ColumnType.NUMERIC:
            return pa.array([None if v is None else _number(v) for v in values], pa.string())
        if column_type in {ColumnType.BIGINT, ColumnType.BOOLEAN}:
            return _typed_or_text(values, column_type)
        return pa.array(values, pa.string())
    except (pa.ArrowException, Misfit, OverflowError, UnicodeEncodeError, msgspec.MsgspecError):
        return None


def _typed_or_text(values: Sequence[Any], column_type: ColumnType) -> pa.Array:
    native = pa.int64() if column_type is ColumnType.BIGINT else pa.bool_()
    try:
        if not any(isinstance(value, float | Decimal) for value in values):
            return pa.array(values, native)
    except (pa.ArrowException, OverflowError):
        pass
    return pa.array(values, pa.string())


def _native(values: pa.Array, column_type: ColumnType) -> pa.Array | None:
    if column_type is ColumnType.NUMERIC:
        return values.cast(pa.string())
    if column_type is ColumnType.TIMESTAMPTZ:
        aware = values if values.type.tz else pc.assume_timezone(values, "UTC")
        return aware.cast(_TIMESTAMP, safe=False)
    if column_type is ColumnType.BIGINT:
        return values.cast(pa.int64()) if not pa.types.is_uint64(values.type) else None
    return values


def _number(value: object) -> str:
    if isinstance(value, bool | dict | list):
        raise Misfit
    return value if isinstance(value, str) else str(value)


def _check_text(array: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring(array, "\x00")).as_py():
        raise Misfit
    return array


def _check_bigint(array: pa.Array) -> pa.Array:
    if pa.types.is_integer(array.type):
        return array
    _require(array, _INTEGER)
    return array.cast(pa.int64())


def _check_numeric(array: pa.Array) -> pa.Array:
    _require(array, _NUMBER)
    return array


def _check_boolean(array: pa.Array) -> pa.Array:
    if pa.types.is_boolean(array.type):
        return array
    lower = pc.utf8_lower(array)
    true = pc.is_in(lower, _TRUE)
    known = pc.or_(pc.or_(true, pc.is_in(lower, _FALSE)), pc.is_null(lower))
    if not pc.all(known).as_py():
        raise Misfit
    return pc.if_else(pc.is_null(lower), pa.scalar(None, pa.bool_()), true)


def _check_date(array: pa.Array) -> pa.Array:
    return _in_our_era(array.cast(pa.date32()))


def _check_timestamptz(array: pa.Array) -> pa.Array:
    return _in_our_era(array.cast(_TIMESTAMP))


def _check_jsonb(array: pa.Array) -> pa.Array:
    """Let valid JSON pass, except what only `jsonb` refuses: NUL and lone surrogates."""
    for text in array.to_pylist():
        if text is not None:
            _json_text(text)
    return array


def _in_our_era(array: pa.Array) -> pa.Array:
    """Refuse the year 0, which Arrow has and PostgreSQL has not."""
    if len(array) and (lowest := pc.min(pc.year(array)).as_py()) is not None and lowest < 1:
        raise Misfit
    return array


def _require(array: pa.Array, pattern: str) -> None:
    if (
        not pc.all(pc.match_substring_regex(array, pattern)).as_py()
        and len(array) > array.null_count
    ):
        raise Misfit


_CHECKED: dict[ColumnType, Callable[[pa.Array], pa.Array]] = {
    ColumnType.TEXT: _check_text,
    ColumnType.BIGINT: _check_bigint,
    ColumnType.NUMERIC: _check_numeric,
    ColumnType.BOOLEAN: _check_boolean,
    ColumnType.DATE: _check_date,
    ColumnType.TIMESTAMPTZ: _check_timestamptz,
    ColumnType.JSONB: _check_jsonb,
}


def _one_by_one(values: Values, column_type: ColumnType) -> tuple[pa.Array, list[int]]:
    """Fit each value on its own: the slow way, for columns with a bad or a rare value."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        fitting, values = _fit_text, values.to_pylist()
    else:
        fitting = _fit_object
    fitted: list[Any] = []
    misfits: list[int] = []
    for position, value in enumerate(values):
        try:
            fitted.append(None if value is None else fitting(value, column_type))
        except (Misfit, ValueError, OverflowError, pa.ArrowException, msgspec.MsgspecError):
            fitted.append(None)
            misfits.append(position)
    kind = {ColumnType.TIMESTAMPTZ: _TIMESTAMP, ColumnType.DATE: pa.date32()}
    return pa.array(fitted, kind.get(column_type, pa.string())), misfits


def _fit_object(value: object, column_type: ColumnType) -> object:
    """Fit a value as JSON has it."""
    if column_type is ColumnType.NUMERIC and isinstance(value, bool):
        raise Misfit
    if column_type is ColumnType.JSONB:
        return _json_text(_encoder.encode(value).decode())
    return _fit_text(value, column_type)


def _fit_text(value: object, column_type: ColumnType) -> object:
    """Fit a value that is text, or has an obvious text."""
    if column_type is ColumnType.TIMESTAMPTZ:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(_string(value))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    text = _string(value)
    text.encode()
    array = _CHECKED[column_type](pa.array([text], pa.string()))
    return (
        array[0].as_py() if column_type is ColumnType.DATE else array.cast(pa.string())[0].as_py()
    )


def _string(value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case dict() | list():
            return _encoder.encode(value).decode()
        case _:
            return str(value)


def _json_text(text: str) -> str:
    if _ESCAPED_TROUBLE.search(text):
        # Decoding pairs the surrogates up; what is left alone, or NUL, cannot be stored.
        decoded = json.dumps(json.loads(text), ensure_ascii=False)
        if "\\u0000" in decoded.replace("\\\\", ""):
            raise Misfit
        decoded.encode()
    else:
        msgspec.json.decode(text)
    return text
