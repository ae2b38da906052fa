"""Very many records over HTTP: what a sync takes itself, beside a client that lands nothing."""

from __future__ import annotations

import json
import shutil
import sys
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import volume_data
from data import total
from processes import require, run
from served import CREDENTIALS, serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from processes import Server, Took
    from served import Served

SMALL_ROWS = 100_000
"""The rows that memory is compared with, and that the limit is measured with."""

_DATA = "services/data/v62.0/"
_FAST = 1_000_000


@dataclass(frozen=True)
class Way:
    """A way to read very many records.

    Attributes:
        label: what is read, and how.
        system: the service.
        limit: how the client that lands nothing reads the same.
        table: where they land.
        amount: the column of the amount.
        options: of the source.
        streams: of the source; all of it when empty.
    """

    label: str
    system: str
    limit: str
    table: str
    amount: str
    options: Mapping[str, Any]
    streams: Sequence[str] = ()

    def source(self, served: Served) -> dict[str, Any]:
        """Return the configuration of the source."""
        streams = {"streams": [*self.streams]} if self.streams else {}
        return served.source(self.system, **self.options) | streams


def _contacts(how: str, searches: float) -> Way:
    return Way(
        f"HubSpot, contacts by {how}", "hubspot", how, "raw_bench.contacts", "property_amount",
        {
            "objects": ["contacts"], "requests_per_10_seconds": _FAST,
            "searches_per_second": searches,
        },
        ["contacts"],
    )  # fmt: skip


WAYS = (
    Way(
        "Salesforce, opportunities by Bulk", "salesforce", "bulk", "raw_bench.opportunity",
        "amount", {"objects": ["Opportunity"]},
    ),
    _contacts("list", 1),
    _contacts("search", _FAST),
)  # fmt: skip
"""All ways; those of one service follow each other."""


@dataclass(frozen=True)
class Volume:
    """What one way took.

    Attributes:
        label: of the way.
        rows: how many records there were.
        loads: the first load, by the number of records.
        limit: the client that lands nothing, with the fewer records.
        limit_rows: how many these are.
        nothing_new: the sync after the first load.
        stand_in_cpu: seconds that the stand-in used meanwhile, by the number of records.
    """

    label: str
    rows: int
    loads: dict[int, Took] = field(default_factory=dict)
    limit: list[Took] = field(default_factory=list)
    limit_rows: int = 0
    nothing_new: list[Took] = field(default_factory=list)
    stand_in_cpu: dict[int, float] = field(default_factory=dict)

    @property
    def cpu(self) -> float:
        """Return the seconds of CPU of the sync's process for each 100,000 records."""
        return self.loads[self.rows].cpu_seconds / self.rows * 100_000

    @property
    def limit_cpu(self) -> float:
        """Return those of the client that lands nothing."""
        return self.limit[0].cpu_seconds / self.limit_rows * 100_000

    @property
    def growth(self) -> float:
        """Return the peak of memory against that of fewer records."""
        return self.loads[self.rows].peak_mb / self.loads[min(self.loads)].peak_mb


def measure(
    server: Server, folder: Path, rows: int, ways: Sequence[Way], *, profile: bool
) -> Iterator[Volume]:
    """Measure these ways, first with fewer records and then with all of them."""
    small = SMALL_ROWS if rows > SMALL_ROWS else max(1, rows // 2)
    found = {way.label: Volume(way.label, rows, limit_rows=small) for way in ways}
    for system in dict.fromkeys(way.system for way in ways):
        of_system = [way for way in ways if way.system == system]
        for count in (small, rows):
            with _served(folder, system, count) as served:
                for way in of_system:
                    say(f"{way.label}, {count:,} records")
                    _measure(server, served, way, count, found[way.label])
                    if profile and count == small:
                        print(_first_load(server, served, way, count, profile=True)[0].said)
        yield from (found[way.label] for way in of_system)


def _measure(server: Server, served: Served, way: Way, rows: int, found: Volume) -> None:
    asked = _asked(served, way)
    if rows == found.limit_rows:
        took = run("http_limit.py", asked)
        if took.said != rows:
            sys.exit(f"{way.label}: the limit has read {took.said} records, not {rows}.")
        found.limit.append(took)
    before = served.cpu_seconds
    found.loads[rows], idle = _first_load(server, served, way, rows)
    found.stand_in_cpu[rows] = round(served.cpu_seconds - before, 1)
    if idle:
        found.nothing_new[:] = [idle]


def _first_load(
    server: Server, served: Served, way: Way, rows: int, *, profile: bool = False
) -> tuple[Took, Took | None]:
    """Load into an empty database; then sync again."""
    with server.database("ours", migrated=True) as warehouse:
        job = {"parameters": warehouse.parameters, "source": way.source(served)}
        took = run("ours.py", {**job, "profile": profile})
        require(warehouse, way.table, total(rows), by=way.label, amount=way.amount)
        return took, None if profile else run("ours.py", job)


@contextmanager
def _served(folder: Path, system: str, rows: int) -> Iterator[Served]:
    data = folder / "volume"
    say(f"{system}, {rows:,} records are made")
    volume_data.write(data, system, rows)
    with serving(data, folder) as served:
        yield served
    shutil.rmtree(data)


def _asked(served: Served, way: Way) -> dict[str, Any]:
    """Return the job of the limit: what it asks for is what the sync asks for."""
    base = f"{served.url}/{way.system}/"
    if way.system == "hubspot":
        headers = {"Authorization": f"Bearer {CREDENTIALS['hubspot']['token']}"}
        told = _get(f"{base}crm/v3/properties/contacts", headers)
        names = ",".join(one["name"] for one in told["results"])
        return {"way": way.limit, "url": base, "headers": headers, "asked": names}
    form = {"grant_type": "client_credentials", **CREDENTIALS["salesforce"]}
    token = _get(f"{base}services/oauth2/token", {}, urllib.parse.urlencode(form).encode())
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    told = _get(f"{base}{_DATA}sobjects/Opportunity/describe", headers)
    fields = ", ".join(one["name"] for one in told["fields"])
    soql = f"SELECT {fields} FROM Opportunity"
    return {"way": way.limit, "url": base + _DATA, "headers": headers, "asked": soql}


def _get(url: str, headers: dict[str, str], data: bytes | None = None) -> Any:  # noqa: ANN401
    request = urllib.request.Request(url, data, headers)  # noqa: S310  # our own loopback
    with urllib.request.urlopen(request, timeout=600) as response:  # noqa: S310
        return json.load(response)


def as_json(volumes: Sequence[Volume]) -> list[dict[str, Any]]:
    """Return the figures as JSON has them."""
    return [
        {
            **asdict(found),
            "cpu_seconds_per_100000": round(found.cpu, 3),
            "limit_cpu_seconds_per_100000": round(found.limit_cpu, 3),
            "memory_growth": round(found.growth, 3),
        }
        for found in volumes
    ]


def lines(volumes: Sequence[Volume]) -> Iterator[str]:
    """Write the figures as a table."""
    heads = ("seconds", "records/s", "CPU/100k", "limit's", "peak MB", "growth", "idle s", "server")
    yield f"{'source':36}{'records':>11}" + "".join(f"{head:>10}" for head in heads)
    for found in volumes:
        for rows, took in found.loads.items():
            cpu = took.cpu_seconds / rows * 100_000
            is_last = rows == found.rows
            growth = f"{found.growth:.2f}" if is_last else "-"
            idle = f"{found.nothing_new[0].seconds:.2f}" if is_last else "-"
            yield (
                f"{found.label:36}{rows:11,}{took.seconds:10.1f}{rows / took.seconds:10,.0f}"
                f"{cpu:10.2f}{found.limit_cpu:10.2f}{took.peak_mb:10.0f}{growth:>10}{idle:>10}"
                f"{found.stand_in_cpu[rows]:10.1f}"
            )


def say(text: str) -> None:
    """Tell how it gets on."""
    print(text, file=sys.stderr, flush=True)
