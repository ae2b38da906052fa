"""Hostile records: the files of tests/hostile, their values in Parquet, and what is too large."""

from __future__ import annotations

import gzip
import math
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
from landing_records import parquet

FOLDER = Path(__file__).parents[1] / "hostile"
CHANGED = "2026-01-01T00:00:00Z"

# The type of the column `value` where it is not text.
KINDS = {
    "beyond_int64": "bigint",
    "exact_numbers": "numeric",
    "many_digits": "numeric",
    "not_finite": "numeric",
    "empty_or_null_number": "numeric",
    "days": "date",
    "times": "timestamptz",
    "epochs": "timestamptz",
    "deep_json": "jsonb",
    "lone_surrogates": "jsonb",
}

_MILLISECONDS = [
    1735689600000, -62135596800000, 253402300799000, 253402300800000, -62135596801000, 2**62,
]  # fmt: skip
PARQUET: dict[str, Any] = {
    "nul_bytes": ["a\0b", "good"],
    "invalid_utf8": [b"\xff\xfe", b"caf\xe9", b"good"],
    "byte_order_mark": ["\ufeffinside", "good"],
    "crlf_in_quotes": ["a\r\nb", "\n", 'a "b", c'],
    "beyond_int64": pa.array([2**63 - 1, 2**63, 2**64 - 1], pa.uint64()),
    "exact_numbers": pa.array([0.1, 1e-20, -0.0, 1e300, 5e-324]),
    "not_finite": [math.nan, math.inf, -math.inf, 1.0],
    "days": pa.array([date(1, 1, 1), date(9999, 12, 31)]),
    "times": pa.array(_MILLISECONDS, pa.timestamp("ms")),
    "epochs": [1735689600, 1735689600000],
    "empty_or_null_text": [None, "", " ", "NULL"],
    "empty_or_null_number": [None, "", " ", "NULL"],
    "deep_json": ["[" * 10_000 + "]" * 10_000, "[1]"],
    "lone_surrogates": [b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\xed\xa0\x80"', b'"\\u0000"'],
}


def parquet_of(values: Any) -> bytes:
    """A Parquet file with these values, in records of the ids 1, 2, …"""
    ids = [str(number + 1) for number in range(len(values))]
    return parquet({"id": ids, "value": values, "changed": [CHANGED] * len(values)})


def made(ending: str, *values: str) -> bytes:
    """A file with these texts, in records of the ids 1, 2, …"""
    if ending == ".parquet":
        return parquet_of(list(values))
    lines = ["id,value,changed"] if ending == ".csv" else []
    form = "{},{},{}" if ending == ".csv" else '{{"id": "{}", "value": {}, "changed": "{}"}}'
    lines += [form.format(number + 1, value, CHANGED) for number, value in enumerate(values)]
    return "\n".join([*lines, ""]).encode()


def array_of(lines: bytes) -> bytes:
    """The JSON array of these JSON Lines."""
    return b"[" + b",".join(line for line in lines.splitlines() if line.strip()) + b"]"


def good(ending: str) -> bytes:
    """A file in which nothing is wrong."""
    if ending == ".json":
        return array_of(good(".jsonl"))
    if ending.endswith(".gz"):
        return gzip.compress(good(ending.removesuffix(".gz")))
    if ending == ".csv":
        return f"id,changed\ngood,{CHANGED}\n".encode()
    if ending == ".parquet":
        return parquet({"id": ["good"], "changed": [CHANGED]})
    return f'{{"id": "good", "changed": "{CHANGED}"}}\n'.encode()
