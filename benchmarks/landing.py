"""How fast the landing engine is, measured against the physical limit in the same run.

The same generated CSV file of a 14-column opportunity table is loaded into PostgreSQL

- by plain COPY into a table with the same columns and key: the limit,
- by `crmhouse sync`: first load; a second file that holds a tenth of the rows, changed; the first
  file written anew with a tenth of its rows changed; nothing new.

Every side runs in a process of its own, in turn; the median of the rounds counts. The table gives
rows per second and the ratio to the limit; the last line is the same as JSON.

    python benchmarks/landing.py --rows 300000 --rounds 3
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from psycopg import sql

from crmhouse.settings import Settings, SourceConfig
from crmhouse.warehouse import Warehouse, open_warehouse
from ingestion.sync import sync_source

COLUMNS = {
    "id": "text",
    "account_id": "text",
    "owner_id": "text",
    "name": "text",
    "stage": "text",
    "amount": "numeric",
    "currency": "text",
    "probability": "numeric",
    "employees": "bigint",
    "close_date": "date",
    "is_closed": "boolean",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
    "notes": "text",
}
STAGES = ("Prospecting", "Qualification", "Proposal", "Negotiation", "Closed Won")
START = datetime(2025, 1, 1, tzinfo=UTC)
SIDES = ("plain COPY", "first load", "10 % delivered", "10 % in place", "nothing new")
FIRST, CHANGES = "1.csv", "2.csv"


def write_rows(path: Path, rows: int, changed: int = 0, *, only_changed: bool = False) -> None:
    """Write the CSV; every tenth row has its amount and version changed so many times."""
    chance = random.Random(7)  # noqa: S311  # test data, not a secret
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(COLUMNS) + "\n")
        for number in range(rows):
            amount = chance.randrange(100, 10_000_000)
            seconds = chance.randrange(31_000_000)
            times = changed if number % 10 == 0 else 0
            created = START + timedelta(seconds=seconds)
            updated = created + timedelta(days=400 * times)
            if only_changed and not times:
                continue
            file.write(
                f"006{number:015d},001{number % 9973:015d},005{number % 97:015d},"
                f'"Deal {number}, renewal",{STAGES[amount % 5]},'
                f"{(amount + times) / 100:.2f},EUR,{amount % 101},"
                f"{amount % 5000},{created:%Y-%m-%d},{'true' if amount % 2 else 'false'},"
                f"{created.isoformat()},{updated.isoformat()},"
                f"{'' if amount % 3 else 'called and wants a demo'}\n"
            )


def plain_copy(warehouse: Warehouse, path: Path) -> None:
    """Load the file by COPY into a table with the same columns and the same key."""
    definitions = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    with warehouse.connect() as connection:
        connection.execute("create schema if not exists plain")
        connection.execute(f"create table plain.opportunities ({definitions}, primary key (id))")
        statement = sql.SQL("copy plain.opportunities from stdin (format csv, header)")
        with path.open("rb") as file, connection.cursor() as cursor, cursor.copy(statement) as copy:
            while chunk := file.read(1 << 20):
                copy.write(chunk)


def sync(warehouse: Warehouse, folder: Path) -> None:
    """Land the file as `crmhouse sync` does."""
    stream = {
        "glob": "*.csv",
        "key": ["id"],
        "columns": COLUMNS,
        "version": "updated_at",
    }
    options = {"path": str(folder), "streams": {"opportunities": stream}}
    source = SourceConfig(name="bench", kind="files", options=options)
    sync_source(warehouse, Settings(sources=(source,)), source, run_id=uuid.uuid4())


def child(side: str, parameters: str, folder: str) -> None:
    """Run one side in this process and print its seconds and peak memory."""
    warehouse = Warehouse(json.loads(parameters), embedded=True)
    path = Path(folder) / FIRST
    before = time.perf_counter()
    if side == "plain COPY":
        plain_copy(warehouse, path)
    else:
        sync(warehouse, Path(folder))
    seconds = time.perf_counter() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_mb": peak}))


def measure(side: str, warehouse: Warehouse, folder: Path) -> dict[str, float]:
    """Run one side in a fresh process."""
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("checkpoint")
    parameters = json.dumps(warehouse.parameters)
    output = subprocess.run(
        [sys.executable, __file__, "--child", side, parameters, str(folder)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    result: dict[str, float] = json.loads(output.stdout)
    return result


def one_round(warehouse: Warehouse, folder: Path, rows: int) -> dict[str, dict[str, float]]:
    """Measure all sides once, from empty tables."""
    with warehouse.connect() as connection:
        connection.execute("drop schema if exists plain cascade")
        connection.execute("drop schema if exists raw_bench cascade")
        connection.execute("truncate ops.stream_state, ops.sync_runs")
    first, changes = folder / FIRST, folder / CHANGES
    write_rows(first, rows)
    results = {side: measure(side, warehouse, folder) for side in SIDES[:2]}
    write_rows(changes, rows, changed=1, only_changed=True)
    results[SIDES[2]] = measure(SIDES[2], warehouse, folder)
    changes.unlink()
    write_rows(first, rows, changed=2)
    return results | {side: measure(side, warehouse, folder) for side in SIDES[3:]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with open_warehouse(Settings(home=folder / "home")) as warehouse:
            rounds = [one_round(warehouse, folder, arguments.rows) for _ in range(arguments.rounds)]
            with warehouse.connect() as connection:
                server = connection.info.parameter_status("server_version")
    report(rounds, arguments.rows, str(server))


def report(rounds: list[dict[str, dict[str, float]]], rows: int, server: str) -> None:
    """Print the medians as a table and as JSON."""
    load = os.getloadavg()[0]
    print(f"{rows:,} rows of {len(COLUMNS)} columns, median of {len(rounds)} rounds")
    print(
        f"PostgreSQL {server}, Python {platform.python_version()}, psycopg {version('psycopg')}, "
        f"pyarrow {version('pyarrow')}, {os.cpu_count()} cores, load {load:.1f}"
    )
    heads = ("seconds", "rows/s", "of COPY rate", "of first load", "peak MB")
    print(" " * 14 + "".join(f"{head:>14}" for head in heads))
    figures = {}
    for side in SIDES:
        seconds = statistics.median(result[side]["seconds"] for result in rounds)
        limit = statistics.median(
            result["plain COPY"]["seconds"] / result[side]["seconds"] for result in rounds
        )
        share = statistics.median(
            result[side]["seconds"] / result["first load"]["seconds"] for result in rounds
        )
        peak = max(result[side]["peak_mb"] for result in rounds)
        figures[side] = {
            "seconds": round(seconds, 3),
            "rows_per_second": round(rows / seconds),
            "ratio_to_copy": round(limit, 3),
            "ratio_to_first_load": round(share, 4),
            "peak_mb": round(peak),
        }
        rate = f"{rows / seconds:,.0f}"
        print(f"{side:14}{seconds:14.2f}{rate:>14}{limit:14.2f}{share:14.3f}{peak:14.0f}")
    print(json.dumps({"rows": rows, "rounds": len(rounds), "sides": figures}))


if __name__ == "__main__":
    main()
