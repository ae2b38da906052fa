"""An org that the stand-in serves, a warehouse, and a source between them."""

from __future__ import annotations

import csv
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from stand_in import standing_in

from crmhouse.settings import Settings, SourceConfig
from ingestion.sync import sync_source
from simulators.salesforce import Salesforce

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stand_in import StandIn

    from crmhouse.warehouse import Warehouse
    from ingestion.runs import SliceRun
    from ingestion.stream_sync import Asked

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
ACCOUNTS = [
    {
        "Id": f"001{number:012d}AAA",
        "Name": f'Name "{number}",\nGmbH' if number == 7 else f"Name {number}",
        "NumberOfEmployees": str(number),
        "AnnualRevenue": f"{number}.10",
        "Score__c": "1",
        "CreatedDate": "2025-01-01T00:00:00.000+0000",
        "SystemModstamp": f"2025-01-01T00:{number // 60:02d}:{number % 60:02d}.000+0000",
        "IsDeleted": "false",
    }
    for number in range(1, 26)
]


@dataclass
class Org:
    """A stand-in with 25 accounts, and the warehouse that its objects are synced to."""

    stand_in: StandIn
    warehouse: Any
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def system(self) -> Salesforce:
        found = self.stand_in.simulator.systems["salesforce"]
        assert isinstance(found, Salesforce)
        return found

    @property
    def url(self) -> str:
        return f"{self.stand_in.url}/salesforce"

    def put(self, object_: str, *bodies: dict[str, Any]) -> None:
        """Write records of an object."""
        self.stand_in.simulator.store.put("salesforce", object_, bodies)

    def change(self, number: int, minute: int, **fields: Any) -> None:
        """Change the account of that number at a minute of 02:00."""
        when = f"2025-01-01T02:{minute:02d}:00.000+0000"
        self.put("Account", ACCOUNTS[number - 1] | {"SystemModstamp": when} | fields)

    def purge(self, object_: str, id_: str, when: datetime = _LONG_AGO) -> None:
        """Take a record away from all queries; the feed of deleted records has it at that time."""
        self.system.org.purged[object_][id_] = int(when.timestamp() * 1000)

    def configured(self, **options: Any) -> tuple[Settings, SourceConfig]:
        given = {
            "url": self.url, "client_id": "key", "client_secret": "secret",
            "objects": ["Account"], "page_rows": 10, "pages_at_once": 1, "bulk_from_rows": 10,
            "request_reserve": 0,
        }  # fmt: skip
        source = SourceConfig(
            name="sf", kind="salesforce", options={**given, **self.options, **options}
        )
        settings = Settings(
            sources=(source,), max_quarantine_share=0, warehouse_url=self.warehouse.url()
        )
        return settings, source

    def sync(self, asked: Asked | None = None, **options: Any) -> list[SliceRun]:
        """Sync; return what each slice did, without those that only note a job."""
        runs = sync_source(
            self.warehouse, *self.configured(**options), run_id=uuid.uuid4(), asked=asked
        )
        return [run for run in runs if run.reported is not None]

    def raw(self, columns: str, table: str = "account", where: str = "true") -> list[Any]:
        """Read columns of a raw table, ordered by the first."""
        with self.warehouse.connect() as connection:
            return connection.execute(
                f"select {columns} from raw_sf.{table} where {where} order by 1"
            ).fetchall()


@contextmanager
def serving(folder: Path, warehouse: Warehouse | None, home: Path) -> Iterator[Org]:
    with standing_in(folder, home, {"salesforce": Salesforce}) as stand_in:
        yield Org(stand_in, warehouse)


def write(folder: Path, object_: str, records: list[dict[str, Any]], batch: int = 1) -> None:
    """Write a file of a batch."""
    path = folder / f"batch_{batch}" / "salesforce" / f"{object_}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, records[0])
        writer.writeheader()
        writer.writerows(records)
