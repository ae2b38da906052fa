"""The commands and the output that the README shows are real."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from project import environment

from crmhouse.embedded import EmbeddedServer

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_demo_and_the_question_after_it_print_what_the_readme_shows(tmp_path: Path) -> None:
    def printed(*arguments: str) -> str:
        result = subprocess.run(
            [sys.executable, "-m", "crmhouse.cli", *arguments],
            cwd=tmp_path, capture_output=True, text=True, check=False, env=environment(),
        )  # fmt: skip
        assert result.returncode == 0, result.stderr[-4000:]
        return "\n".join(line.rstrip() for line in result.stdout.splitlines())

    (shown,) = re.findall(r"```\n(Rows per stream.*?)\n```", README, re.DOTALL)
    ((question, answer),) = re.findall(
        r"\$ \.venv/bin/crmhouse (.*warehouse psql.*)\n([^`]*)\n```", README
    )
    try:
        assert shown in printed("demo")
        assert answer in printed(*shlex.split(question))
    finally:
        shutil.rmtree(EmbeddedServer.of(tmp_path / "demo" / ".crmhouse").data.parent)
