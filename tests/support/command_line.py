"""The command line as a process, as a user calls it, in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass
class Cli:
    """Calls commands in a folder of their own, on a warehouse of their own."""

    folder: Path
    environment: dict[str, str]

    def __call__(self, *arguments: str, expect: int = 0, **environment: str) -> str:
        """Run a command; return its standard output. `errors` holds the rest."""
        result = self.call(*arguments, **environment)
        self.errors = result.stderr
        assert result.returncode == expect, f"{result.returncode}\n{result.stdout}{result.stderr}"
        return result.stdout

    def call(
        self, *arguments: str, before: Sequence[str] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command however it ends, perhaps behind one that sets the scene."""
        return subprocess.run(
            [*before, sys.executable, "-m", "crmhouse.cli", *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def json(self, *arguments: str, expect: int = 0, **environment: str) -> Any:
        return json.loads(self(*arguments, "--format", "json", expect=expect, **environment))

    def configure(self, **settings: Any) -> None:
        (self.folder / "crmhouse.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def clean_environment() -> dict[str, str]:
    ours = ("CRMHOUSE_", "PREFECT_", "DBT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "DO_NOT_TRACK": "1"}


def source(name: str, exports: Path, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": f"{name}_export", "options": {"path": str(exports)}, **more}
