"""A HubSpot account: a stand-in over records that a test writes, and a source that reads it."""

from __future__ import annotations

import json
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql
from stand_in import standing_in

from crmhouse.settings import Settings, SourceConfig
from ingestion.sources import connector
from ingestion.sync import sync_source
from simulators.hubspot import TOKEN, HubSpot, Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from stand_in import StandIn

    from crmhouse.warehouse import Warehouse
    from ingestion.runs import SliceRun
    from ingestion.sources.connector import Connector
    from ingestion.stream_sync import Asked

UNLIMITED = Limits(ten_seconds=1_000_000, search=1_000_000, daily=1_000_000)

Record = dict[str, Any]


def at(minute: int, *, day: int = 1) -> str:
    """A moment of January 2026."""
    return f"2026-01-{day:02d}T{minute // 60:02d}:{minute % 60:02d}:00.000Z"


def record(id_: int, changed: str | None = None, **more: Any) -> Record:
    """A record; what does not belong to its frame is a property."""
    changed = changed or at(id_)
    frame = {name: more.pop(name) for name in ("archived", "archivedAt", "purged") if name in more}
    return {
        "id": str(id_),
        "properties": {"email": f"{id_}@acme.example", **more},
        "createdAt": at(0),
        "updatedAt": changed,
        "archived": False,
        **frame,
    }


def pair(one: int, other: int, *labels: str, **more: Any) -> Record:
    """An association of a contact with a company, with these labels besides the usual type."""
    kinds = [{"category": "HUBSPOT_DEFINED", "typeId": 279, "label": None}]
    kinds += [
        {"category": "USER_DEFINED", "typeId": 30 + number, "label": label}
        for number, label in enumerate(labels)
    ]
    return {
        "id": f"{one}-{other}", "fromObjectType": "contacts", "fromId": str(one),
        "toObjectType": "companies", "toId": str(other), "types": kinds, **more,
    }  # fmt: skip


def write(folder: Path, batch: int, **objects: Sequence[Record]) -> None:
    """Write the files of a batch."""
    for name, rows in objects.items():
        path = folder / f"batch_{batch}/hubspot/{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@dataclass(frozen=True)
class Account:
    """A stand-in and the warehouse that it is synced to."""

    running: StandIn
    warehouse: Warehouse

    @property
    def url(self) -> str:
        return f"{self.running.url}/hubspot"

    @property
    def service(self) -> HubSpot:
        service = self.running.simulator.systems["hubspot"]
        assert isinstance(service, HubSpot)
        return service

    def source(self, **options: Any) -> tuple[Settings, SourceConfig]:
        """The settings of a project with this source; fast, and everything at every sync."""
        chosen = {
            "token": TOKEN, "url": self.url, "objects": ["contacts"],
            "archived_every_hours": 0, "requests_per_10_seconds": 10_000_000,
            "searches_per_second": 100_000, **options,
        }  # fmt: skip
        if chosen["token"] is None:
            del chosen["token"]
        streams = chosen.pop("streams", ["contacts"])
        source = SourceConfig(name="test", kind="hubspot", options=chosen, streams=streams)
        return Settings(sources=(source,)), source

    def connector(self, **options: Any) -> Connector:
        return connector(*self.source(streams=None, **options))

    def check(self, **options: Any) -> list[str]:
        return self.connector(**options).check()

    def sync(self, *, asked: Asked | None = None, **options: Any) -> list[SliceRun]:
        """Sync; return what the slices did."""
        settings = self.source(**options)
        return sync_source(self.warehouse, *settings, run_id=uuid.uuid4(), asked=asked)

    def raw(self, columns: str, table: str = "contacts", where: str = "true") -> list[Any]:
        """Read columns of a raw table, ordered by the first."""
        return rows(self.warehouse, columns, f"raw_test.{table} where {where}")

    def alive(self) -> list[int]:
        """The ids of the contacts that are not deleted."""
        return [n for (n,) in self.raw("id::bigint", where="_deleted_at is null")]


def rows(warehouse: Warehouse, columns: str, source: str) -> list[Any]:
    """Read columns, ordered by the first."""
    with warehouse.connect() as connection:
        return connection.execute(
            sql.SQL("select {} from {} order by 1").format(sql.SQL(columns), sql.SQL(source))  # type: ignore[arg-type]
        ).fetchall()


@contextmanager
def account(
    folder: Path, home: Path, warehouse: Warehouse, kind: type[HubSpot] = HubSpot
) -> Iterator[Account]:
    """Serve a folder as HubSpot until the end of the block, as often as anybody asks."""
    with standing_in(folder, home, {"hubspot": kind}) as running:
        made = Account(running, warehouse)
        made.service.access.limits = UNLIMITED
        yield made
