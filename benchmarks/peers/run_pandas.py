"""One load by `pandas.DataFrame.to_sql` as it is without further words, then the primary key."""

from __future__ import annotations

from typing import Any

import pandas as pd
import sqlalchemy as sa
from child import serve

_CHUNK_ROWS = 10_000
_TIMES = ["close_date", "created_at", "updated_at"]


def work(job: dict[str, Any]) -> None:
    """Read all rows and write them.

    Args:
        job: `kind` of the source, where the rows are and where they go, and the `key`.
    """
    frame = _read(job)
    with _engine(job["to"]).begin() as connection:
        connection.execute(sa.text("create schema landed"))
        frame.to_sql(
            "opportunities", connection, schema="landed", index=False, chunksize=_CHUNK_ROWS
        )
        connection.execute(
            sa.text(f"alter table landed.opportunities add primary key ({job['key']})")
        )


def _read(job: dict[str, Any]) -> pd.DataFrame:
    if job["kind"] == "csv":
        return pd.read_csv(job["path"], parse_dates=_TIMES)
    if job["kind"] == "parquet":
        return pd.read_parquet(job["path"])
    with _engine(job["parameters"]).connect() as connection:
        return pd.read_sql_table(job["table"], connection, schema=job["schema"])


def _engine(parameters: dict[str, str]) -> sa.Engine:
    url = sa.URL.create(
        "postgresql+psycopg",
        parameters["user"],
        parameters.get("password"),
        database=parameters["dbname"],
        query={"host": parameters["host"], "port": parameters["port"]},
    )
    return sa.create_engine(url)


if __name__ == "__main__":
    serve(work)
