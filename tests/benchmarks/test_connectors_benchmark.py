from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
STEPS = ("first load", "nothing new", "second batch")
SYSTEMS = ("salesforce", "hubspot", "stripe", "shopify")
SLACK = {
    ("salesforce", "first load"): 1.3,  # the count of records, and a job for history
    ("hubspot", "nothing new"): 1.2,  # associations of what is looked at twice
    ("stripe", "first load"): 1.3,  # silent refunds, and the newest event before
    ("stripe", "second batch"): 1.3,
    ("shopify", "first load"): 1.6,  # the rows of a page are found out; an operation is waited for
    ("shopify", "second batch"): 1.6,
}


def measured(output: Path, *arguments: str) -> dict[str, Any]:
    result = subprocess.run(
        [sys.executable, "benchmarks/connectors.py", *arguments, "--output", str(output)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-4000:]
    assert str(output) in result.stdout
    content: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return content


def test_the_requests_of_every_sync_are_near_the_least(tmp_path: Path) -> None:
    content = measured(tmp_path / "result.json", "--requests", "--persons", "60")
    counts = {(count["system"], count["step"]): count for count in content["requests"]}
    assert counts.keys() == {(system, step) for system in SYSTEMS for step in STEPS}
    for key, count in counts.items():
        assert 1 <= count["ratio"] <= SLACK.get(key, 1), count
        assert not any("/" in name for name in count["asked"]), "a request of no class"


def test_the_load_of_many_records_runs_and_its_json_has_the_figures(tmp_path: Path) -> None:
    content = measured(tmp_path / "result.json", "--rows", "300", "--sources", "salesforce")
    (found,) = content["volume"]
    assert {int(rows) for rows in found["loads"]} == {150, 300}
    assert found["limit"][0]["said"] == 150
    for figure in ("cpu_seconds_per_100000", "limit_cpu_seconds_per_100000", "memory_growth"):
        assert found[figure] > 0
