"""What the Dockerfile promises, read from its text: no container engine is needed."""

from __future__ import annotations

import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/image.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ALLOWED = [
    line.removeprefix("!")
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    if line.startswith("!")
]


@dataclass(frozen=True)
class Instruction:
    word: str
    rest: str


def instructions(text: str) -> list[Instruction]:
    """Split a Dockerfile: comments out, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [Instruction(word.upper(), rest) for word, rest in found]


def stages() -> list[list[Instruction]]:
    split: list[list[Instruction]] = []
    for instruction in instructions(TEXT):
        if instruction.word == "FROM":
            split.append([])
        if split:
            split[-1].append(instruction)
    return split


def rest_of(word: str, stage: list[Instruction]) -> list[str]:
    return [instruction.rest for instruction in stage if instruction.word == word]


def environment(stage: list[Instruction]) -> dict[str, str]:
    pairs = (pair.partition("=") for rest in rest_of("ENV", stage) for pair in shlex.split(rest))
    return {name: value for name, _, value in pairs}


FINAL = stages()[-1]


def test_the_base_image_is_an_argument_and_every_stage_stands_on_it() -> None:
    assert instructions(TEXT)[0] == Instruction("ARG", "BASE_IMAGE=python:3.11-slim-bookworm")
    bases = [stage[0].rest.split() for stage in stages()]
    named = {words[2] for words in bases if len(words) == 3}
    assert len(bases) > 1
    assert {words[0] for words in bases} <= {"${BASE_IMAGE}", *named}
    assert bases[-1] == ["${BASE_IMAGE}"]


def test_the_image_runs_as_a_user_with_a_number_that_is_not_root() -> None:
    users = rest_of("USER", FINAL)
    assert len(users) == 1
    number, _, group = users[0].partition(":")
    assert int(number) > 0
    assert int(group) > 0
    after = FINAL[FINAL.index(Instruction("USER", users[0])) :]
    assert not {"RUN", "COPY", "ADD"} & {instruction.word for instruction in after}


def test_the_last_stage_installs_nothing_and_takes_files_from_the_other_stages_only() -> None:
    commands = "\n".join(rest_of("RUN", FINAL))
    assert not re.search(r"\b(apt|apt-get|apk|dnf|gcc|make|curl|wget)\b", commands)
    assert "install --" not in commands.replace("pip uninstall", "")
    copies = rest_of("COPY", FINAL) + rest_of("ADD", FINAL)
    assert copies
    assert all(copy.startswith("--from=") for copy in copies)
    assert not any("/tools" in copy for copy in copies)


def test_every_library_is_installed_by_hash_and_never_resolved_again() -> None:
    runs = "&&".join(rest for stage in stages() for rest in rest_of("RUN", stage))
    installs = [part for part in runs.split("&&") if re.search(r"\bpip\b.* install\b", part)]
    assert len(installs) == 3
    for command in installs:
        assert "--no-deps" in command
        assert "--no-compile" in command
        assert "--require-hashes" in command or "--no-index" in command
    assert sum("-r requirements.lock" in command for command in installs) == 1


def test_everything_that_is_written_at_run_time_is_below_the_one_volume() -> None:
    (volume,) = rest_of("VOLUME", FINAL)
    set_here = environment(FINAL)
    assert set_here["CRMHOUSE_HOME"] == volume
    for name in ("HOME", "PREFECT_HOME"):
        assert Path(set_here[name]).is_relative_to(volume)
    assert set_here["PYTHONDONTWRITEBYTECODE"] == "1"
    assert any("compileall" in rest for rest in rest_of("RUN", stages()[0]))


def test_nothing_phones_home() -> None:
    set_here = environment(FINAL)
    assert set_here["DO_NOT_TRACK"] == "1"
    assert set_here["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert set_here["GX_ANALYTICS_ENABLED"] == "false"


def test_no_entrypoint_stands_before_the_command_that_a_worker_passes() -> None:
    assert rest_of("ENTRYPOINT", FINAL) == []
    assert rest_of("CMD", FINAL) == ['["crmhouse", "--help"]']


def test_the_label_says_the_version_of_the_package() -> None:
    version = PROJECT["project"]["version"]
    assert f"VERSION={version}" in rest_of("ARG", FINAL)


def test_no_address_and_no_secret_stands_in_the_dockerfile() -> None:
    assert "://" not in TEXT
    assert not re.search(r"(?i)(password|token|index_url)\s*=", TEXT)


def test_the_builder_gets_all_that_the_wheel_is_made_of_and_little_else() -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], "README.md", "LICENSE", "pyproject.toml"}
    needed |= {"requirements.lock", "requirements-build.lock", "prefect.yaml", "deployments"}
    assert set(ALLOWED) == needed
    assert all((ROOT / name).exists() for name in ALLOWED)


def pins(name: str) -> dict[str, set[str]]:
    """Return the hashes of a lock file by pinned package."""
    found: dict[str, set[str]] = {}
    package = ""
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if pin := re.match(r"^([a-z0-9][^\s;]*==\S+)", line):
            package = pin[1]
            found[package] = set()
        found.get(package, set()).update(re.findall(r"--hash=(\S+)", line))
    return found


@pytest.mark.parametrize("package", pins("requirements-build.lock"))
def test_what_builds_the_wheel_is_what_developers_build_with(package: str) -> None:
    hashes = pins("requirements-build.lock")[package]
    assert hashes
    assert hashes == pins("requirements-dev.lock").get(package)


def test_the_page_names_only_arguments_and_secrets_that_the_dockerfile_has() -> None:
    arguments = {
        rest.split("=")[0]
        for step in instructions(TEXT)
        if (rest := step.rest) and step.word == "ARG"
    }
    named = set(re.findall(r"--build-arg (\w+)=", PAGE))
    assert named
    assert named <= arguments
    secrets = set(re.findall(r"type=secret,id=(\w+)", TEXT))
    assert set(re.findall(r"--secret id=(\w+)", PAGE)) == secrets
