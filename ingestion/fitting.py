"""Fit a batch to its raw table: the type of each field, and the records that cannot land."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from crmhouse.errors import SourceRefusedError
from ingestion import conform
from ingestion.inference import infer
from ingestion.naming import some
from ingestion.streams import WIDENS_TO, ColumnType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingestion.batches import Batch, Values
    from ingestion.raw_tables import RawTable

Misfits: TypeAlias = dict[int, tuple[str, str]]
"""Reason and detail of each record that cannot land, by its position in the batch."""


def fit_batch(table: RawTable, batch: Batch) -> tuple[dict[str, pa.Array], Misfits]:
    """Fit every field of a batch, and tell the table which columns it must add or widen.

    Only records that land do that: one that goes to quarantine leaves the table as it is.

    Returns:
        What COPY can load, by column name, and the records to leave out of it.

    Raises:
        SourceRefusedError: the table would have to change, and it is frozen.
    """
    types: dict[str, ColumnType] = {}
    arrays: dict[str, pa.Array] = {}
    misfits: Misfits = {}
    for source_field, values in batch.fields.items():
        kind = _type_for(table, batch, source_field, values)
        if kind is not None:
            types[source_field] = kind
            arrays[source_field] = _fit(table, source_field, values, kind, misfits)
    _find_missing(table, batch, arrays, misfits)
    if table.contract == "discard":
        _discard_what_changes_the_table(table, batch, types, arrays, misfits)
    if misfits:
        _leave_unchanged_what_only_misfits_change(table, batch, types, arrays, misfits)
    if table.contract == "freeze":
        _refuse_what_changes_the_table(table, types, arrays)
    fitted = {table.want(name, types[name]).name: array for name, array in arrays.items()}
    return fitted, misfits


def _type_for(
    table: RawTable, batch: Batch, source_field: str, values: Values
) -> ColumnType | None:
    """Return the type that a field's column has or would need; None while nothing tells it."""
    known = table.columns.get(source_field)
    if known is None:
        return _type_of(batch, source_field, values)
    if known.type in WIDENS_TO and known.name not in table.stream.pinned:
        wider = WIDENS_TO[known.type]
        if _type_of(batch, source_field, values) is wider:
            return wider
    return known.type


def _type_of(batch: Batch, source_field: str, values: Values) -> ColumnType | None:
    return batch.types.get(source_field) or infer(values)


def _fit(
    table: RawTable, source_field: str, values: Values, kind: ColumnType, misfits: Misfits
) -> pa.Array:
    array, bad = conform.fit(values, kind)
    for position in bad:
        detail = f"field {source_field}: the value is not a valid {kind.value}"
        misfits.setdefault(position, ("value_does_not_fit", detail))
    known = table.columns.get(source_field)
    if known and known.name in table.stream.watermark and kind is ColumnType.BIGINT:
        for position in conform.not_moments(array):
            detail = f"field {source_field}: the value is no time in seconds since 1970"
            misfits.setdefault(position, ("value_does_not_fit", detail))
    return array


def _find_missing(
    table: RawTable, batch: Batch, arrays: dict[str, pa.Array], misfits: Misfits
) -> None:
    stream = table.stream
    for name in stream.required:
        array = arrays.get(table.field_of(name, batch.fields))
        for position in _missing(array, batch.rows):
            if name in stream.key:
                detail = f"key column {name} has no value or no valid one"
                misfits.setdefault(position, ("missing_key", detail))
            else:
                detail = f"column {name} has no value: the version cannot be told from others"
                misfits.setdefault(position, ("missing_version", detail))


def _missing(array: pa.Array | None, rows: int) -> list[int]:
    """Return the positions that have no value; an empty text is none."""
    if array is None:
        return list(range(rows))
    missing = array.is_null()
    if pa.types.is_string(array.type):
        missing = pc.or_(missing, pc.fill_null(pc.equal(array, ""), fill_value=False))
    if not pc.any(missing).as_py():
        return []
    return [position for position, is_missing in enumerate(missing.to_pylist()) if is_missing]


def _leave_unchanged_what_only_misfits_change(
    table: RawTable,
    batch: Batch,
    types: dict[str, ColumnType],
    arrays: dict[str, pa.Array],
    misfits: Misfits,
) -> None:
    """Take back each new column and each wider type that no record which lands has need of."""
    landing = [position for position in range(batch.rows) if position not in misfits]
    for source_field in list(arrays):
        known = table.columns.get(source_field)
        if known is not None and known.type is types[source_field]:
            continue
        values = batch.fields[source_field]
        needed = _type_of(batch, source_field, _take(values, landing))
        if known is None and needed is None:
            del arrays[source_field]
        elif known is not None and needed is not types[source_field]:
            types[source_field] = known.type
            arrays[source_field], _ = conform.fit(values, known.type)


def _changes(
    table: RawTable, types: dict[str, ColumnType], arrays: dict[str, pa.Array]
) -> list[str]:
    """Return the fields that need a new column or a wider type."""
    return [
        source_field
        for source_field in arrays
        if (known := table.columns.get(source_field)) is None
        or known.type is not types[source_field]
    ]


def _refuse_what_changes_the_table(
    table: RawTable, types: dict[str, ColumnType], arrays: dict[str, pa.Array]
) -> None:
    if changes := _changes(table, types, arrays):
        needed = some([f"{source_field} ({types[source_field].value})" for source_field in changes])
        raise SourceRefusedError(
            f"{table.schema}.{table.stream.name}: records need the columns {needed}, and "
            "schema_contract of the source is freeze. Nothing was landed: declare the columns, or "
            "let the table evolve."
        )


def _discard_what_changes_the_table(
    table: RawTable,
    batch: Batch,
    types: dict[str, ColumnType],
    arrays: dict[str, pa.Array],
    misfits: Misfits,
) -> None:
    """Leave out each record that has a value which the table has no place for."""
    for source_field in _changes(table, types, arrays):
        known = table.columns.get(source_field)
        if known is None:
            present = arrays.pop(source_field).is_valid().to_pylist()
            bad = [position for position, is_present in enumerate(present) if is_present]
            detail = f"field {source_field}: the table has no such column and takes no new one"
        else:
            types[source_field] = known.type
            arrays[source_field], bad = conform.fit(batch.fields[source_field], known.type)
            detail = f"field {source_field}: the value is not a valid {known.type.value}, and the "
            detail += "column is not widened"
        for position in bad:
            misfits.setdefault(position, ("outside_contract", detail))


def _take(values: Values, positions: Sequence[int]) -> Values:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values.take(pa.array(positions, pa.int64()))
    return [values[position] for position in positions]
