"""Fit values to column types, a whole column at a time; find the records that do not fit.

The result is what COPY is given: Arrow columns whose text PostgreSQL is sure to accept, so one bad
value can never abort a load. Numbers with a fraction travel as text and never become floats.
"""

from __future__ import annotations

import re
from datetime import MAXYEAR, UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.inference import arrow_type
from ingestion.json_text import NUMBER, Misfit, json_text
from ingestion.streams import ColumnType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ingestion.batches import Values

_TIMESTAMP = pa.timestamp("us", tz="UTC")
_USUAL_NUMBER = r"^-?[0-9]{1,40}(\.[0-9]{1,40})?$"  # compiles at once; `NUMBER` takes milliseconds
_INTEGER = r"^-?[0-9]{1,19}$"
_TRUE = pa.array(["true", "t", "1", "yes", "y"])
_FALSE = pa.array(["false", "f", "0", "no", "n"])
_TOO_BIG = 2**64
_WHOLE_NUMBER = re.compile(r"(-?[0-9]{1,19})\.0*")
_DAY_FIRST = re.compile(r"\d{4}-\d\d-\d\d")
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799  # of the years 1 and 9999

_encoder = msgspec.json.Encoder(decimal_format="number")


# What converting one bad value may raise; errors of encoding and of msgspec are ValueErrors.
_UNFIT = (Misfit, ValueError, TypeError, ArithmeticError, RecursionError, pa.ArrowException)


def fit(values: Values, column_type: ColumnType) -> tuple[pa.Array, list[int]]:
    """Turn one column of values into what COPY can load.

    Args:
        values: one entry per record.
        column_type: the type of the column in PostgreSQL.

    Returns:
        The Arrow array, and the positions of the records whose value does not fit (NULL there).
    """
    values = _plain(values)
    try:
        array = _text(values, column_type)
    except _UNFIT:
        array = None
    if array is None:
        return _one_by_one(values, column_type)
    try:
        return _CHECKED[column_type](array), []
    except _UNFIT:
        return _one_by_one(array, column_type)


def not_moments(array: pa.Array) -> list[int]:
    """Return the positions of numbers that are not seconds since 1970, of the years 1 to 9999.

    Milliseconds in their place, the usual mistake, would be a time of the year 50,000.
    """
    seconds = array.cast(pa.int64())
    wrong = pc.or_(pc.less(seconds, _FIRST_SECOND), pc.greater(seconds, _LAST_SECOND))
    return [position for position, is_wrong in enumerate(wrong.to_pylist()) if is_wrong]


def _plain(values: Values) -> Values:
    """Bring what Arrow has many types for down to one."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if not isinstance(values, pa.Array):
        return values
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_timestamp(values.type):
        # A naive moment is UTC. Nanoseconds are cut off, which no number of them can overflow.
        unit = "us" if values.type.unit == "ns" else values.type.unit
        values = values.cast(pa.timestamp(unit, tz="UTC"), safe=False)
    return values


def _text(values: Values, column_type: ColumnType) -> pa.Array | None:
    """Return the column as Arrow text, or natively where Arrow's type is the column's.

    None, or one of `_UNFIT`, when the values are too mixed for a whole-column way.
    """
    if isinstance(values, pa.Array):
        kind = arrow_type(values.type)
        if kind is ColumnType.TEXT:
            text = values.cast(pa.string())
            return text if column_type is ColumnType.TEXT else _without_empty(text)
        return _native(values, column_type) if kind is column_type else None
    if column_type is ColumnType.JSONB:
        encoded = [None if v is None else _encoder.encode(v).decode() for v in values]
        return pa.array(encoded, pa.string())
    if column_type is ColumnType.NUMERIC:
        return pa.array([None if v is None else _number(v) for v in values], pa.string())
    if column_type in {ColumnType.BIGINT, ColumnType.BOOLEAN}:
        return _typed_or_text(values, column_type)
    return pa.array(values, pa.string())


def _without_empty(text: pa.Array) -> pa.Array:
    """Take an empty text for NULL: in a file it is how a number or a date is left out."""
    empty = pc.equal(text, "")
    return pc.if_else(empty, pa.scalar(None, pa.string()), text) if pc.any(empty).as_py() else text


def _typed_or_text(values: Sequence[Any], column_type: ColumnType) -> pa.Array:
    native = pa.int64() if column_type is ColumnType.BIGINT else pa.bool_()
    try:
        if not any(isinstance(value, float | Decimal) for value in values):
            return pa.array(values, native)
    except (pa.ArrowException, OverflowError):
        pass
    return pa.array(values, pa.string())


def _native(values: pa.Array, column_type: ColumnType) -> pa.Array | None:
    if pa.types.is_nested(values.type):
        return None
    if column_type is ColumnType.NUMERIC:
        return values.cast(pa.string())
    if column_type is ColumnType.TIMESTAMPTZ:
        return values.cast(_TIMESTAMP)
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
    if not pc.all(pc.match_substring_regex(array, _USUAL_NUMBER)).as_py():
        _require(array, NUMBER)
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
    """Let pass what `jsonb` takes."""
    for text in array.to_pylist():
        if text is not None:
            json_text(text)
    return array


def _in_our_era(array: pa.Array) -> pa.Array:
    """Refuse years that Arrow has, but PostgreSQL or Python has not."""
    years = pc.min_max(pc.year(array)).as_py()
    if years["min"] is not None and not 1 <= years["min"] <= years["max"] <= MAXYEAR:
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
    fitting = _fit_text if isinstance(values, pa.Array) else _fit_object
    fitted: list[Any] = []
    misfits: list[int] = []
    for position, item in enumerate(values):
        try:
            value = item.as_py() if isinstance(item, pa.Scalar) else item
            fitted.append(None if value is None else fitting(value, column_type))
        except _UNFIT:
            fitted.append(None)
            misfits.append(position)
    kind = {ColumnType.TIMESTAMPTZ: _TIMESTAMP, ColumnType.DATE: pa.date32()}
    return pa.array(fitted, kind.get(column_type, pa.string())), misfits


def _fit_object(value: object, column_type: ColumnType) -> object:
    """Fit a value as JSON has it."""
    if column_type is ColumnType.NUMERIC and isinstance(value, bool):
        raise Misfit
    if column_type is ColumnType.JSONB:
        return json_text(_encoder.encode(value).decode())
    return _fit_text(value, column_type)


def _fit_text(value: object, column_type: ColumnType) -> object:
    """Fit a value that is text, or has an obvious text."""
    if column_type is ColumnType.TIMESTAMPTZ:
        moment = value if isinstance(value, datetime) else _moment(_string(value))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    text = _whole(value) if column_type is ColumnType.BIGINT else _string(value)
    text.encode()
    array = _CHECKED[column_type](pa.array([text], pa.string()))
    return (
        array[0].as_py() if column_type is ColumnType.DATE else array.cast(pa.string())[0].as_py()
    )


def _moment(text: str) -> datetime:
    """Read a time as ISO 8601 writes it; Python alone reads 1712121212345 as a day of 1712."""
    if not _DAY_FIRST.match(text):
        raise Misfit
    return datetime.fromisoformat(text)


def _whole(value: object) -> str:
    """Write a whole number without a fraction: 1735689600.0 is one."""
    if isinstance(value, float | Decimal):
        number = Decimal(value)
        if not abs(number) < _TOO_BIG:  # before it is written out: 1e999999 has a million digits
            raise Misfit
        value = f"{number:f}"
    text = _string(value)
    whole = _WHOLE_NUMBER.fullmatch(text)
    return whole[1] if whole else text


def _string(value: object) -> str:
    match value:
        case str():
            return value
        case bytes():
            return value.decode()
        case bool():
            return "true" if value else "false"
        case dict() | list():
            return _encoder.encode(value).decode()
        case _:
            return str(value)
