"""A folder as the APIs of four services, and the sources that read it over HTTP."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processes import HERE

from simulators.hubspot import TOKEN as HUBSPOT_TOKEN
from simulators.shopify.system import TOKEN as SHOPIFY_TOKEN
from simulators.stripe.access import SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CREDENTIALS: Mapping[str, Mapping[str, str]] = {
    "salesforce": {"client_id": "key", "client_secret": "secret"},
    "hubspot": {"token": HUBSPOT_TOKEN},
    "stripe": {"api_key": SECRET_KEY},
    "shopify": {"access_token": SHOPIFY_TOKEN},
}
"""What opens the stand-in of each service."""


@dataclass(frozen=True)
class Served:
    """A process that serves a folder.

    Attributes:
        url: of the server.
        process: its id.
    """

    url: str
    process: int

    def source(self, system: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401  # of its kind
        """Return the configuration of a source that reads one of the services."""
        given = {"url": f"{self.url}/{system}", **CREDENTIALS[system], **options}
        return {"name": "bench", "kind": system, "options": given}

    def advance(self) -> None:
        """Let the next batch be there."""
        self._call("POST", "advance")

    def requests(self) -> dict[str, int]:
        """Return what was asked since the last time, and how often."""
        asked: dict[str, int] = self._call("DELETE", "requests")
        return asked

    @property
    def cpu_seconds(self) -> float:
        """Return what the process has used of the processor so far; 0 where the system tells not.

        A benchmark that is told so has a stand-in that is slower than it would be.
        """
        stat = Path(f"/proc/{self.process}/stat")
        if not stat.exists():
            return 0
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _call(self, method: str, path: str) -> Any:  # noqa: ANN401  # any JSON
        request = urllib.request.Request(f"{self.url}/_simulator/{path}", method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=600) as response:  # noqa: S310  # loopback
            return json.load(response)


@contextmanager
def serving(folder: Path, home: Path) -> Iterator[Served]:
    """Serve a folder until the end of the block.

    Args:
        folder: laid out in batches.
        home: where the stand-in keeps its records.

    Raises:
        SystemExit: it does not start.
    """
    with subprocess.Popen(
        [sys.executable, str(HERE / "serve.py"), str(folder), str(home / "records.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
    ) as process:
        assert process.stdin and process.stdout  # noqa: PT018, S101  # for the type checker
        url = process.stdout.readline().strip()
        if not re.match("http://", url):
            sys.exit("the stand-in does not start: see above.")
        yield Served(url, process.pid)
        process.stdin.close()
