"""Readers hold a batch of a file in memory, never all of it."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as arrow_parquet
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
ROWS, WIDTH = 60_000, 2_000  # 120 MB
READ = """
import resource, sys
from pathlib import Path
from ingestion.readers import READERS, read_file
from ingestion.streams import Stream

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

path, small, stream = Path(sys.argv[1]), Path(sys.argv[2]), Stream("s", "s", ("id",))
for _ in read_file(small, small.name, stream, 500):
    pass
before = peak()
rows = sum(batch.rows for batch in read_file(path, path.name, stream, 500))
print(rows, peak() - before)
"""


def values(rows: int) -> list[str]:
    rng = random.Random(1)  # noqa: S311  # the same bytes every time
    return [rng.randbytes(WIDTH // 2).hex() for _ in range(rows)]


def csv(path: Path, rows: int) -> None:
    opening = partial(gzip.open, compresslevel=1) if path.suffix == ".gz" else open
    with opening(path, "wt") as file:
        file.write("id,v\n")
        file.writelines(f"{number},{v}\n" for number, v in enumerate(values(rows)))


def utf_16(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-16") as file:
        file.write("id,v\n")
        file.writelines(f"{number},{v}\n" for number, v in enumerate(values(rows)))


def array(path: Path, rows: int) -> None:
    with path.open("w") as file:
        file.write('[{"id": -1}')
        file.writelines(f',{{"id": {n}, "v": ["{v}"]}}' for n, v in enumerate(values(rows)))
        file.write("]")


def one_row_group(path: Path, rows: int) -> None:
    table = pa.table({"id": list(range(rows)), "v": values(rows)})
    arrow_parquet.write_table(table, path, row_group_size=rows, compression="none")
    assert arrow_parquet.read_metadata(path).num_row_groups == 1


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.csv", csv),
        ("a.csv.gz", csv),
        ("wide.csv", utf_16),
        ("a.json", array),
        ("a.parquet", one_row_group),
    ],
)
def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, name: str, make: Callable[[Path, int], None]
) -> None:
    large, small = tmp_path / name, tmp_path / f"small_{name}"
    make(large, ROWS)
    make(small, 1000)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [sys.executable, "-c", READ, large, small],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows, megabytes = map(int, answer.stdout.split())
    assert rows in {ROWS, ROWS + 1}
    assert megabytes < 40
