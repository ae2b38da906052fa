"""Builds the image and runs it, where that is asked for and a container engine answers."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

# As an orchestrator's strictest policy would run it.
LOCKED_DOWN = (
    "--rm", "--read-only", "--tmpfs", "/tmp", "--network", "none", "--cap-drop", "ALL",  # noqa: S108
    "--security-opt", "no-new-privileges",
)  # fmt: skip

pytestmark = [pytest.mark.xdist_group("image"), pytest.mark.timeout(3600)]


def run(engine: str, image: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [engine, "run", *LOCKED_DOWN, image, *command],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_it_runs_as_its_own_user_and_writes_to_the_volume_alone(engine: str, image: str) -> None:
    who = run(engine, image, "id", "-u")
    assert who.stdout.strip() == "10001", who.stderr
    assert run(engine, image, "touch", "/app/file").returncode != 0
    assert run(engine, image, "touch", "/var/lib/crmhouse/file").returncode == 0


@pytest.mark.parametrize("tool", ["pip", "pip3", "gcc", "cc", "make", "hatchling", "pytest"])
def test_no_tool_that_builds_or_installs_is_inside(engine: str, image: str, tool: str) -> None:
    found = run(engine, image, "sh", "-c", f"command -v {tool}")
    assert found.returncode != 0, found.stdout


def test_every_module_is_compiled(engine: str, image: str) -> None:
    code = (
        "import importlib.util, pathlib, sysconfig\n"
        "roots = [pathlib.Path('/app'), pathlib.Path(sysconfig.get_path('purelib'))]\n"
        "files = [f for root in roots for f in root.rglob('*.py')]\n"
        "cached = importlib.util.cache_from_source\n"
        "print(len(files), sum(pathlib.Path(cached(str(f))).exists() for f in files))"
    )
    result = run(engine, image, "python", "-c", code)
    modules, compiled = map(int, result.stdout.split())
    assert modules == compiled > 1000


@pytest.mark.parametrize(
    "command",
    [
        ("crmhouse", "--version"),
        ("prefect", "flow-run", "execute", "--help"),
        ("python", "-c", "import flows.refresh, flows.sync"),
    ],
    ids=" ".join,
)
def test_the_commands_of_people_and_of_workers_start(
    engine: str, image: str, command: tuple[str, ...]
) -> None:
    result = run(engine, image, *command)
    assert result.returncode == 0, result.stderr


def test_the_demo_ends_well_without_any_network(engine: str, image: str) -> None:
    folder = "/var/lib/crmhouse/demo"
    result = run(engine, image, "crmhouse", "demo", "--folder", folder, "--persons", "60")
    assert result.returncode == 0, result.stderr[-4000:]


def test_the_build_wrote_down_every_part_and_its_licence(engine: str, image: str) -> None:
    folder = "/opt/crmhouse/share/doc/crmhouse"
    document = json.loads(run(engine, image, "cat", f"{folder}/sbom.cdx.json").stdout)
    lock = (Path(__file__).parents[2] / "requirements.lock").read_text(encoding="utf-8")
    parts = {f"{one['name']}=={one['version']}" for one in document["components"]}
    assert len(parts) > 100
    assert parts <= set(re.findall(r"^[a-z0-9][^ ;]*", lock, flags=re.MULTILINE))
    licences = run(engine, image, "cat", f"{folder}/licences.tsv").stdout.splitlines()
    assert {"==".join(line.split("\t")[:2]) for line in licences} == parts
    assert all(line.split("\t")[2] for line in licences)


def test_what_was_left_out_of_libraries_is_not_missed(engine: str, image: str) -> None:
    code = (
        "import pyarrow.csv, pyarrow.dataset, pyarrow.parquet, s3fs, botocore.session;"
        "session = botocore.session.get_session();"
        "[session.create_client(name, region_name='eu-central-1') for name in ('s3', 'sts')]"
    )
    result = run(engine, image, "python", "-c", code)
    assert result.returncode == 0, result.stderr
