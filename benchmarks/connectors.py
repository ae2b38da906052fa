"""What the connectors over HTTP take: requests beside the least, and CPU and memory of a million.

The stand-ins of the four services answer on this machine, without limits of speed.
docs/benchmarks.md says how to read what comes out.

    python benchmarks/connectors.py --requests --rows 1000000
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import request_counts
import volume
from processes import HERE, Server
from served import CREDENTIALS

from crmhouse.settings import Settings
from crmhouse.warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Sequence

_PERSONS = 1000


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--requests", action="store_true", help="count requests, with the generated demo data")
    add("--persons", type=int, default=_PERSONS, help=f"persons of that data ({_PERSONS})")
    add("--rows", type=int, help="load so many contacts of HubSpot, and rows of Salesforce")
    add("--sources", type=_systems, default=(*CREDENTIALS,), help="some of the four services (all)")
    add("--profile", action="store_true", help="print where first loads spend their time")
    add("--output", type=Path, help="the JSON (benchmarks/results/<date>-connectors.json)")
    found = parser.parse_args(arguments)
    if not (found.requests or found.rows):
        parser.error("say --requests, --rows N, or both")
    return found


def _systems(text: str) -> tuple[str, ...]:
    systems = tuple(text.split(","))
    if unknown := sorted({*systems} - {*CREDENTIALS}):
        raise argparse.ArgumentTypeError(f"no such service: {', '.join(unknown)}")
    return systems


def main() -> None:
    """Measure, print, and write the JSON."""
    asked = options()
    content = _facts()
    print(f"{content['command']}\n{content['started_at']}, load at the start {content['load']}")
    with tempfile.TemporaryDirectory(prefix="crmhouse-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server of root runs as another user
        with open_warehouse(Settings(home=folder / "home")) as warehouse:
            server = Server(warehouse)
            content["postgresql"] = server.version
            if asked.requests:
                measured = request_counts.measure(server, folder, asked.persons, asked.sources)
                counts = [*measured]
                content["requests"] = request_counts.as_json(counts)
                print("\n".join(["", *request_counts.lines(counts)]), flush=True)
            if asked.rows:
                volumes = []
                ways = [way for way in volume.WAYS if way.system in asked.sources]
                for found in volume.measure(
                    server, folder, asked.rows, ways, profile=asked.profile
                ):
                    volumes.append(found)
                    print("\n".join(["", *volume.lines([found])]), flush=True)
                content["volume"] = volume.as_json(volumes)
    print(f"\nwritten to {_write(asked.output, content)}")


def _facts() -> dict[str, Any]:
    return {
        "command": shlex.join(["python", *sys.argv]),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": round(os.getloadavg()[0], 2),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _write(output: Path | None, content: dict[str, Any]) -> Path:
    moment = content["started_at"][:19].replace(":", "")
    path = output or HERE / "results" / f"{moment}-connectors.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
