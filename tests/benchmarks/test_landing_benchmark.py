from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
OF_ALL = {
    "first load, share of COPY's rate",
    "nothing new, share of the first load",
    "10 % changed, share of the first load",
    "10 % changed, share of plain SQL's rate",
    "first load, peak memory in MB",
}
OF_CSV = {"10 % changed in place, share of the first load"}
OF_POSTGRES = {"nothing new, all keys read, share of the first load"}
BY_TWO = {"slices, times faster by two processes", "windows, times faster by two processes"}
GROWTH = "first load, peak memory against that of 2,500 rows"


def test_the_benchmark_runs_and_its_json_has_every_ratio(tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    result = subprocess.run(
        [
            sys.executable, "benchmarks/landing.py", "--rows", "2500", "--large", "3000",
            "--rounds", "1", "--no-peers", "--profile", "--output", str(output),
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-4000:]
    content = json.loads(output.read_text(encoding="utf-8"))
    for rows in (2500, 3000):
        ratios = {
            (ratio["source"], ratio["name"]): ratio
            for ratio in content["ratios"]
            if ratio["rows"] == rows
        }
        of_all = OF_ALL | ({GROWTH} if rows == 3000 else set())
        assert ratios.keys() == {
            *(("csv", name) for name in of_all | OF_CSV),
            *(("parquet", name) for name in of_all),
            *(("postgres", name) for name in of_all | OF_POSTGRES),
            *(("postgres", name) for name in BY_TWO if rows == 2500),
        }
        for ratio in ratios.values():
            assert 0 < ratio["value"]["min"] <= ratio["value"]["median"] <= ratio["value"]["max"]
    assert {"command", "versions", "machine", "rounds"} <= content.keys()
    assert result.stdout.count("function calls") == 3
    assert str(output) in result.stdout
