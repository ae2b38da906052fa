"""The virtual environment of the others; the product's own stays free of them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_REQUIREMENTS = _HERE / "requirements.txt"
_FOLDER = _HERE.parent / ".venv-peers"
_ASK = (
    "import json, platform, sys; from importlib.metadata import version; "
    "print(json.dumps({'python': platform.python_version(), "
    "**{name: version(name) for name in sys.argv[1:]}}))"
)
_NAMED = (
    "dlt", "pandas", "pyarrow", "adbc-driver-postgresql", "connectorx", "sqlalchemy", "psycopg",
    "psycopg2-binary",
)  # fmt: skip


def python() -> Path:
    """Return its interpreter; install it at first, and when what it needs has changed.

    Raises:
        SystemExit: it cannot be installed.
    """
    interpreter, ready = _FOLDER / "bin" / "python", _FOLDER / "ready"
    digest = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()
    if ready.exists() and ready.read_text() == digest:
        return interpreter
    print(f"installing dlt and pandas into {_FOLDER}", file=sys.stderr)
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(_FOLDER)],
        [str(interpreter), *install, str(_REQUIREMENTS)],
    ):
        if subprocess.run(command, check=False).returncode:
            sys.exit("The others could not be installed: see above. --no-peers does without them.")
    ready.write_text(digest)
    return interpreter


def versions() -> dict[str, str]:
    """Return the versions of what is installed there."""
    output = subprocess.run(
        [str(python()), "-c", _ASK, *_NAMED], check=True, capture_output=True, text=True
    ).stdout
    found: dict[str, str] = json.loads(output)
    return found
