"""Batches: a bounded number of records on their way from a source to the landing engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

    from ingestion.streams import ColumnType

Values: TypeAlias = "Sequence[Any] | pa.Array | pa.ChunkedArray"
"""One value per record: Python objects as JSON has them (float excluded: numbers with a fraction
are `Decimal`), or an Arrow array."""


PayloadKind: TypeAlias = Literal["json", "table", "row", "unreadable"]
"""What the payload of a held record is; see the column of `ops.quarantine`."""


class Reject(NamedTuple):
    """A record that cannot be landed.

    Attributes:
        key: the record's key, as far as it is known.
        reason: a short code, stable enough to group by.
        detail: which field, which type, what to do; never the value.
        payload: the record as it arrived.
    """

    key: str | None
    reason: str
    detail: str
    payload: str


@dataclass(frozen=True)
class Batch:
    """Records of one stream, field by field.

    Attributes:
        fields: values by the source's field name; all have `rows` entries.
        rows: number of records in `fields`.
        payload: gives the record at that position as it arrived; asked for rejected ones only.
        rejects: records that could not even be read; they are not in `fields`.
        whole: whether `fields` are all columns of the file: one that is missing here is missing in
            every record. In JSON a field may come up in a later record.
        types: the source's own types of fields; those of the others are told by their values.
        held: the records' ids in `ops.quarantine`, where they come from there.
        part: which of several slices they are of, where these are landed as one.
    """

    fields: Mapping[str, Values]
    rows: int
    payload: Callable[[int], str]
    rejects: tuple[Reject, ...] = ()
    whole: bool = False
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    held: Sequence[int] = ()
    part: int | None = None
