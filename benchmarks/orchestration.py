"""What Prefect costs: the refresh through it against the same steps without it, side by side.

    python benchmarks/orchestration.py [--persons N] [--pairs N]

On a server of its own, of a small invented company, with everything built again and with nothing
new; then what a sub-run costs, and how long `prefect flow-run execute` takes to begin.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from crmhouse.settings import load_settings
from crmhouse.warehouse import open_warehouse
from simulators.demo_data import generate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
SOURCES = ("salesforce", "hubspot", "stripe", "shopify")
RATES = {
    "glob": "reference/fx_rates_monthly.csv",
    "key": ["month", "currency"],
    "columns": {"usd_per_unit": "numeric"},
}


def main() -> None:
    """Measure, and print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--persons", type=int, default=120)
    arguments.add_argument("--pairs", type=int, default=3)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-prefect-") as name:
        folder = Path(name)
        config = _project(folder, given.persons)
        with open_warehouse(load_settings(config)), _server(folder / "prefect") as server:
            print(f"load {os.getloadavg()[0]:.1f} at the start")
            _refresh("plain", config, server, "--force")  # the first load is no pair's
            for title, options in (("everything built again", ["--force"]), ("nothing new", [])):
                pairs = [
                    {way: _refresh(way, config, server, *options) for way in ("plain", "prefect")}
                    for _ in range(given.pairs)
                ]
                _print_pairs(title, pairs)
            _print_sub_runs([_sub_run(config, server, folder) for _ in range(given.pairs)])
            print(f"load {os.getloadavg()[0]:.1f} at the end")


def _project(folder: Path, persons: int) -> Path:
    """Write data and a configuration that reads its first delivery."""
    generate(folder / "data", persons=persons)
    options = {"path": str(folder / "data"), "until": "batch_1"}
    sources: list[dict[str, Any]] = [
        {"name": name, "kind": f"{name}_export", "options": options} for name in SOURCES
    ]
    files = {"path": str(folder / "data"), "streams": {"fx_rates_monthly": RATES}}
    sources.append({"name": "reference", "kind": "files", "options": files})
    content = {"sources": sources, "fx_rates": "reference.fx_rates_monthly", "log_level": "WARNING"}
    config = folder / "crmhouse.yaml"
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    return config


class Server:
    """A Prefect server that runs."""

    def __init__(self, process: subprocess.Popen[str], home: Path) -> None:
        self._pid = process.pid
        port = process.stdout.readline().strip() if process.stdout else ""
        self._url = f"http://127.0.0.1:{port}/api"
        self.environment = {
            **os.environ, "PREFECT_API_URL": self._url, "PREFECT_HOME": str(home),
            "DO_NOT_TRACK": "1", "PYTHONPATH": str(ROOT),
        }  # fmt: skip

    def cpu(self) -> float:
        """Return the CPU seconds that it has used."""
        fields = Path(f"/proc/{self._pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / TICKS

    def get(self, path: str) -> dict[str, Any]:
        """Return what the API answers."""
        with urllib.request.urlopen(self._url + path, timeout=60) as answer:  # noqa: S310
            content: dict[str, Any] = json.load(answer)
        return content

    def wait(self) -> None:
        """Return when it answers."""
        deadline = time.monotonic() + 300
        while True:
            try:
                self.get("/health")
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return


@contextmanager
def _server(home: Path) -> Iterator[Server]:
    home.mkdir()
    environment = {
        **os.environ, "PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.local_server"],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        try:
            server = Server(process, home)
            server.wait()
            yield server
        finally:
            process.communicate()  # closes its input, and it ends


def _refresh(way: str, config: Path, server: Server, *options: str) -> dict[str, float]:
    """Run one, and return what it took, the server's part and its start included."""
    before, began = server.cpu(), time.monotonic()
    command = [sys.executable, str(ROOT / "benchmarks" / "refreshes.py"), way, str(config)]
    result = subprocess.run(
        [*command, *options], env=server.environment, capture_output=True, text=True, check=False
    )
    if result.returncode:
        sys.exit(result.stderr[-4000:])
    took: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    expected = "published" if options else "nothing new"
    if took.pop("outcome") != expected:
        sys.exit(f"{way}: not {expected}")
    took["process_seconds"] = time.monotonic() - began
    took["server_cpu"] = server.cpu() - before if way == "prefect" else 0.0
    return took


def _print_pairs(title: str, pairs: list[dict[str, dict[str, float]]]) -> None:
    print(f"\n### {title}, medians of {len(pairs)} pairs\n")
    print("| | without Prefect | through Prefect | ratio | more |\n| --- | --- | --- | --- | --- |")
    for name, label in (
        ("seconds", "seconds"),
        ("cpu", "CPU seconds, dbt's too"),
        ("process_seconds", "seconds of the whole process, imports too"),
        ("cpu_with_start", "CPU seconds of the whole process"),
    ):
        plain, prefect = ([pair[way][name] for pair in pairs] for way in ("plain", "prefect"))
        ratio = statistics.median(b / a for a, b in zip(plain, prefect, strict=True))
        more = statistics.median(b - a for a, b in zip(plain, prefect, strict=True))
        a, b = statistics.median(plain), statistics.median(prefect)
        print(f"| {label} | {a:.2f} | {b:.2f} | {ratio:.2f} | {more:+.2f} |")
    server = statistics.median(pair["prefect"]["server_cpu"] for pair in pairs)
    print(f"| CPU seconds of Prefect's server | | {server:.2f} | | |", flush=True)


def _prefect(server: Server, folder: Path, *arguments: str, **more: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments],
        cwd=folder, env={**server.environment, **more}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if result.returncode:
        sys.exit(result.stdout[-2000:] + result.stderr[-2000:])
    return result.stdout


def _sub_run(config: Path, server: Server, folder: Path) -> Mapping[str, float]:
    """Have a process execute a sync with nothing new, as a worker or a pod does for each slice."""
    deployed = folder / "deployed"
    if not deployed.is_dir():
        deployed.mkdir()
        content = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
        chosen = [d for d in content["deployments"] if d["name"] == "sync-source"]
        (deployed / "prefect.yaml").write_text(
            yaml.safe_dump({**content, "deployments": chosen}), encoding="utf-8"
        )
        _prefect(server, deployed, "work-pool", "create", "crmhouse", "--type", "process")
        _prefect(server, deployed, "--no-prompt", "deploy", "--all")
    made = _prefect(
        server, deployed, "deployment", "run", "sync-source/sync-source",
        "--param", "source=reference", "--param", f"config={config}",
    )  # fmt: skip
    run_id = next(line.split()[-1] for line in made.splitlines() if "UUID" in line)
    used, began = _children(), time.time()
    _prefect(server, deployed, "flow-run", "execute", run_id)
    ended, cpu = time.time(), _children() - used
    run = server.get(f"/flow_runs/{run_id}")
    if run["state_type"] != "COMPLETED":
        sys.exit(f"the sub-run ended as {run['state_name']}")
    running = datetime.fromisoformat(run["start_time"]).timestamp() - began
    return {
        "until it runs": running,
        "the run": run["total_run_time"],
        "the whole": ended - began,
        "CPU of the whole": cpu,
    }


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _print_sub_runs(took: list[Mapping[str, float]]) -> None:
    print(f"\n### prefect flow-run execute, a sync with nothing new, medians of {len(took)}\n")
    print("| | seconds |\n| --- | --- |")
    for name in took[0]:
        print(f"| {name} | {statistics.median(one[name] for one in took):.2f} |")


if __name__ == "__main__":
    main()
