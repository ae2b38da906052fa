"""A process that syncs a slice starts without what only a refresh needs: each slice pays for it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# What they cost at the start is in docs/image.md. Arrow imports pandas wherever that is installed.
NOT_FOR_A_SYNC = [
    "dbt", "fastapi", "great_expectations", "kubernetes_asyncio", "phonenumbers", "scipy",
    "sqlalchemy",
]  # fmt: skip
CODE = "import json, sys, {module}; print(json.dumps([n for n in {names} if n in sys.modules]))"


@pytest.mark.parametrize(
    ("module", "names"),
    [("flows.sync", NOT_FOR_A_SYNC), ("crmhouse.cli", ["prefect", "psycopg", *NOT_FOR_A_SYNC])],
    ids=["a sync", "the help of the command line"],
)
def test_it_imports_nothing_that_it_does_not_need(module: str, names: list[str]) -> None:
    code = CODE.format(module=module, names=json.dumps(names))
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout) == []
