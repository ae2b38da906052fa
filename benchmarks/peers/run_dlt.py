"""One load by dlt.

The way `parquet` is the best that was found by trying, on this table, what dlt offers for speed:
the rows travel as Arrow tables, as Parquet through ADBC, in files that are loaded side by side;
`upsert` rather than `delete-insert`; of a database ConnectorX reads rather than pyarrow, and as a
stream. The way `csv` differs in the format of the files alone: it needs no driver for ADBC. The way
`default` is what its introductions show: dictionaries, and nothing said about formats.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
os.environ["DATA_WRITER__FILE_MAX_ITEMS"] = "250000"

import dlt
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from child import serve
from dlt.sources.sql_database import sql_table

if TYPE_CHECKING:
    from collections.abc import Iterator

_BATCH_ROWS = 100_000
_BLOCK_BYTES = 32 << 20
_ARROW = {
    "text": pa.string(),
    "numeric(18, 2)": pa.decimal128(18, 2),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamptz": pa.timestamp("us", "UTC"),
}
_FORMATS = {"parquet": "parquet", "csv": "csv", "default": None}
_HINTS = {
    "text": {"data_type": "text"},
    "numeric(18, 2)": {"data_type": "decimal", "precision": 18, "scale": 2},
    "bigint": {"data_type": "bigint"},
    "boolean": {"data_type": "bool"},
    "date": {"data_type": "date"},
    "timestamptz": {"data_type": "timestamp"},
}


def work(job: dict[str, Any]) -> None:
    """Load the rows.

    Args:
        job: `kind` of the source, the `way`, where the rows are and where they go, `folder` for
            what dlt writes down, `columns` with their types, `key` and `version`.
    """
    pipeline = dlt.pipeline(
        "benchmark",
        pipelines_dir=job["folder"],
        destination=dlt.destinations.postgres(_url(job["to"])),
        dataset_name="landed",
    )
    resource = _table(job) if job["kind"] == "postgres" else _file(job)
    pipeline.run(resource, loader_file_format=_FORMATS[job["way"]])


def _file(job: dict[str, Any]) -> Any:  # noqa: ANN401  # dlt's resource
    columns = {name: dict(_HINTS[kind]) for name, kind in job["columns"].items()}
    return dlt.resource(
        _READERS[job["kind"], _is_default(job)](job),
        name="opportunities",
        write_disposition=_merge(job),
        primary_key=job["key"],
        columns=columns if _is_default(job) and job["kind"] == "csv" else None,
    )


def _table(job: dict[str, Any]) -> Any:  # noqa: ANN401  # dlt's resource
    best: dict[str, Any] = {
        "backend": "connectorx",
        "backend_kwargs": {"return_type": "arrow_stream", "conn": _encoded(job["parameters"])},
        "chunk_size": _BATCH_ROWS,
        "reflection_level": "full_with_precision",
    }
    table = sql_table(
        _url(job["parameters"]),
        job["table"],
        job["schema"],
        incremental=dlt.sources.incremental(job["version"]),
        write_disposition=_merge(job),
        primary_key=job["key"],
        **({} if _is_default(job) else best),
    )
    return table.with_name("opportunities")


def _merge(job: dict[str, Any]) -> dict[str, str]:
    return {"disposition": "merge"} | ({} if _is_default(job) else {"strategy": "upsert"})


def _is_default(job: dict[str, Any]) -> bool:
    return bool(job["way"] == "default")


def _csv_as_arrow(job: dict[str, Any]) -> Iterator[pa.Table]:
    with arrow_csv.open_csv(
        job["path"],
        read_options=arrow_csv.ReadOptions(block_size=_BLOCK_BYTES),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types={name: _ARROW[kind] for name, kind in job["columns"].items()},
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    ) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


def _csv_as_dicts(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    with Path(job["path"]).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {name: value or None for name, value in row.items()}


def _parquet_as_arrow(job: dict[str, Any]) -> Iterator[pa.Table]:
    with pq.ParquetFile(job["path"]) as file:
        for batch in file.iter_batches(_BATCH_ROWS):
            yield pa.Table.from_batches([batch])


def _parquet_as_dicts(job: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    with pq.ParquetFile(job["path"]) as file:
        for batch in file.iter_batches(_BATCH_ROWS):
            yield batch.to_pylist()


_READERS = {
    ("csv", False): _csv_as_arrow,
    ("csv", True): _csv_as_dicts,
    ("parquet", False): _parquet_as_arrow,
    ("parquet", True): _parquet_as_dicts,
}


def _url(parameters: dict[str, str]) -> str:
    """Return a URL as psycopg2 and ADBC understand it; dlt asks for a host and a password."""
    given = parameters
    user = f"{given['user']}:{given.get('password', 'none')}"
    return f"postgresql://{user}@localhost:{given['port']}/{given['dbname']}?host={given['host']}"


def _encoded(parameters: dict[str, str]) -> str:
    """Return a URL as ConnectorX understands it: the socket's folder in the place of the host."""
    given = parameters
    user = f"{given['user']}:{given.get('password', 'none')}"
    return f"postgresql://{user}@{quote(given['host'], safe='')}:{given['port']}/{given['dbname']}"


if __name__ == "__main__":
    serve(work)
