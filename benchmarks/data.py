"""The data that is landed: a table of opportunities with 14 columns, the same at every run.

It is made block by block, so that ten million rows need no more memory than one block, and each
block has its own seed, so that the first rows of a large table are those of a small one. A tenth of
the rows, every tenth, changes from one version of the table to the next.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

COLUMNS = {
    "id": "text",
    "account_id": "text",
    "name": "text",
    "email": "text",
    "stage": "text",
    "amount": "numeric(18, 2)",
    "discount": "numeric(18, 2)",
    "currency": "text",
    "employees": "bigint",
    "is_closed": "boolean",
    "close_date": "date",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
    "description": "text",
}
KEY, VERSION = "id", "updated_at"
CHANGED_EVERY = 10
CHANGED_SINCE = "2021-02-01T00:00:00+00:00"
"""No row of the first version is as new as that, and every changed row is newer."""
BLOCK_ROWS = 100_000

_SEED = 20250101
_START = 1_577_836_800_000_000  # 2020-01-01, microseconds
_DAY = 86_400_000_000
_MONEY = pa.decimal128(18, 2)
_STAGES = ("Prospecting", "Qualification", "Proposal", "Negotiation", "Closed Won", "Closed Lost")
_CURRENCIES = ("EUR", "USD", "GBP", "CHF", "SEK")
_FIRST = ("Anna", "Björn", "Chloé", "David", "Elena", "Fatima", "Georg", "Hana", "Ivan", "Jürgen")
_LAST = ("Müller", "O'Brien", "García", "Novák", "Smith", "Rossi", "Kowalska", "Larsen", "Weiß")
_PHRASES = (
    "Called and wants a demo next week. ",
    'Says "the price is fine, the term is not". ',
    "Waiting for legal;\nsecond reminder sent. ",
    "Budget approved for 2 years, 3 sites, 40 seats. ",
    "Competitor is in the building. ",
    "Angebot per E-Mail geschickt, Rückruf am Montag. ",
)


@dataclass(frozen=True)
class Total:
    """What a table holds: enough to see that nothing was lost or stale.

    Attributes:
        rows: how many.
        cents: the sum of all amounts.
    """

    rows: int
    cents: int


def blocks(rows: int, version: int = 0, *, only_changed: bool = False) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a version of the table, in the order of their numbers."""
    for start in range(0, rows, BLOCK_ROWS):
        numbers = np.arange(start, start + BLOCK_ROWS)
        block = _block(numbers, version)[: rows - start]
        changed = pa.array(numbers[: rows - start] % CHANGED_EVERY == 0)
        yield block.filter(changed) if only_changed else block


def total(rows: int) -> Total:
    """Return what the first version of the table holds."""
    return Total(rows, sum(_cents(block) for block in blocks(rows)))


def write_csv(path: Path, parts: Iterator[pa.RecordBatch]) -> None:
    """Write CSV as a CRM exports it: every text in quotes, NULL as nothing."""
    first = next(parts)
    with arrow_csv.CSVWriter(path, first.schema) as writer:
        writer.write_batch(first)
        for part in parts:
            writer.write_batch(part)


def write_parquet(path: Path, parts: Iterator[pa.RecordBatch]) -> None:
    """Write Parquet with a row group for each block."""
    first = next(parts)
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        writer.write_batch(first)
        for part in parts:
            writer.write_batch(part)


WRITERS = {"csv": write_csv, "parquet": write_parquet}


def create_table(connection: psycopg.Connection, schema: str, table: str, *, key: bool) -> None:
    """Create an empty table with these columns, with or without its primary key."""
    columns = [f"{name} {kind}" for name, kind in COLUMNS.items()]
    parts = [*columns, f"primary key ({KEY})"] if key else columns
    connection.execute(f"create schema if not exists {schema}")
    connection.execute(f"create table {schema}.{table} ({', '.join(parts)})")


def copy_csv(connection: psycopg.Connection, place: str, path: Path) -> None:
    """COPY a CSV file, as it is, into a table."""
    statement = sql.SQL(f"copy {place} from stdin (format csv, header)")
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        copy = stack.enter_context(stack.enter_context(connection.cursor()).copy(statement))
        while chunk := file.read(1 << 18):
            copy.write(chunk)


def _cents(block: pa.RecordBatch) -> int:
    return int(pc.sum(block["amount"]).as_py().scaleb(2))


def _block(numbers: np.ndarray, version: int) -> pa.RecordBatch:
    """Make the rows with these numbers."""
    chance = np.random.default_rng((_SEED, int(numbers[0])))
    size = len(numbers)
    times = np.where(numbers % CHANGED_EVERY == 0, version, 0)
    cents = chance.integers(10_000, 2_000_000_000, size) + times
    stage = chance.integers(0, len(_STAGES), size)
    first, last = (chance.integers(0, len(names), size) for names in (_FIRST, _LAST))
    created = _START + chance.integers(0, 365 * _DAY, size)
    updated = created + chance.integers(0, 30 * _DAY, size) + times * 400 * _DAY
    values = {
        "id": _ids("006", numbers),
        "account_id": _ids("001", chance.integers(0, 250_000, size)),
        "name": _joined(_picked(_LAST, last), ", ", _picked(_FIRST, first), " - #", numbers),
        "email": _some(_emails(first, last, numbers), chance, 0.8),
        "stage": _picked(_STAGES, stage),
        "amount": _money(cents),
        "discount": _some(_money(chance.integers(0, 100_000, size)), chance, 0.3),
        "currency": _picked(_CURRENCIES, chance.integers(0, len(_CURRENCIES), size)),
        "employees": _some(pa.array(chance.integers(1, 50_000, size)), chance, 0.7),
        "is_closed": pa.array(stage >= 4),  # noqa: PLR2004  # the two closed stages
        "close_date": pa.array((created + 90 * _DAY) // _DAY, pa.int32()).cast(pa.date32()),
        "created_at": pa.array(created, pa.timestamp("us", "UTC")),
        "updated_at": pa.array(updated, pa.timestamp("us", "UTC")),
        "description": _some(_descriptions(chance, size), chance, 0.5),
    }
    return pa.record_batch(values)


def _ids(prefix: str, numbers: np.ndarray) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 15, "0")
    return pc.binary_join_element_wise(prefix, digits, "")


def _picked(names: tuple[str, ...], chosen: np.ndarray) -> pa.Array:
    return pa.array(names).take(pa.array(chosen))


def _joined(*parts: str | pa.Array | np.ndarray) -> pa.Array:
    texts = [pa.array(p).cast(pa.string()) if isinstance(p, np.ndarray) else p for p in parts]
    return pc.binary_join_element_wise(*texts, "")


def _emails(first: np.ndarray, last: np.ndarray, numbers: np.ndarray) -> pa.Array:
    return _joined("user.", first, ".", last, ".", numbers, "@example.com")


def _money(cents: np.ndarray) -> pa.Array:
    """Take whole cents for decimal numbers with two places, without touching each of them."""
    wide = np.stack([cents, np.zeros_like(cents)], axis=1)  # 128 bits, little endian, not negative
    return pa.Array.from_buffers(_MONEY, len(cents), [None, pa.py_buffer(wide)])


def _some(values: pa.Array, chance: np.random.Generator, share: float) -> pa.Array:
    """Keep about this share of the values, the others become NULL."""
    return pc.if_else(pa.array(chance.random(len(values)) < share), values, None)


def _descriptions(chance: np.random.Generator, size: int) -> pa.Array:
    """Make texts of two to eight phrases."""
    texts = _joined(*(_picked(_PHRASES, chance.integers(0, len(_PHRASES), size)) for _ in "12"))
    for _ in range(2):
        more = _joined(*(_picked(_PHRASES, chance.integers(0, len(_PHRASES), size)) for _ in "123"))
        texts = _joined(texts, _some_text(more, chance))
    return texts


def _some_text(texts: pa.Array, chance: np.random.Generator) -> pa.Array:
    return pc.fill_null(_some(texts, chance, 0.4), "")
