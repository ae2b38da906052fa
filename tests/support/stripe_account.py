"""Helpers of the Stripe tests: a folder of objects, and sources that read it."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from psycopg import sql
from psycopg.types.json import Jsonb
from stand_in import standing_in

from crmhouse.settings import Settings, SourceConfig
from ingestion.http import Patience
from ingestion.sync import sync_source
from simulators.stripe import Stripe
from simulators.stripe.access import SECRET_KEY

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from stand_in import StandIn

    from crmhouse.warehouse import Warehouse
    from ingestion.runs import SliceRun

QUICK = Patience(connect_seconds=5, silence_seconds=5, tries=9, first_pause=0.01, longest_pause=2)
FIRST_SECOND = 1_700_000_000

Objects = dict[str, list[dict[str, Any]]]


def customer(number: int, **more: Any) -> dict[str, Any]:
    """A customer; two of them are made in each second."""
    return {
        "id": f"cus_{number:06d}", "object": "customer", "created": FIRST_SECOND + number // 2,
        "email": f"c{number}@example.com", "name": f"Customer {number}", "livemode": True,
        "metadata": {}, **more,
    }  # fmt: skip


def subscription(number: int, items: int = 1, **more: Any) -> dict[str, Any]:
    """A subscription with so many items."""
    return {
        "id": f"sub_{number:06d}", "object": "subscription", "created": FIRST_SECOND + number,
        "customer": f"cus_{number:06d}", "status": "active", "currency": "jpy",
        "items": {
            "data": [
                {"id": f"si_{number}_{n}", "quantity": n, "price": {"id": "p", "unit_amount": 500}}
                for n in range(items)
            ]
        },
        **more,
    }  # fmt: skip


def lay_out(folder: Path, *batches: Objects) -> Path:
    """Write batches as a folder of exports."""
    for number, objects in enumerate(batches, start=1):
        for name, records in objects.items():
            path = folder / f"batch_{number}" / "stripe" / f"{name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return folder


def account(folder: Path, home: Path) -> AbstractContextManager[StandIn]:
    """Serve a folder."""
    return standing_in(folder, home, {"stripe": Stripe})


def stand_in_of(running: StandIn) -> Stripe:
    """Return the stand-in itself, to give it keys and limits."""
    system = running.simulator.systems["stripe"]
    assert isinstance(system, Stripe)
    return system


def source(
    running: StandIn, *streams: str, batch_rows: int = 1000, **options: Any
) -> tuple[Settings, SourceConfig]:
    """Configure the account as the source `billing`."""
    url = {"api_key": SECRET_KEY, "url": f"{running.url}/stripe", "requests_per_second": 5000}
    config = SourceConfig(
        name="billing", kind="stripe", options={**url, **options}, streams=streams or None
    )
    return Settings(sources=(config,), batch_rows=batch_rows), config


def sync(
    warehouse: Warehouse, configured: tuple[Settings, SourceConfig], **more: Any
) -> list[SliceRun]:
    """Sync, and return the slices in order."""
    return sync_source(warehouse, *configured, run_id=uuid.uuid4(), **more)


def raw(
    warehouse: Warehouse, columns: str, table: str = "customers", schema: str = "raw_billing"
) -> list[tuple[Any, ...]]:
    """Read columns of a raw table, ordered by the id."""
    query = sql.SQL(f"select {columns} from {{}} order by id").format(sql.Identifier(schema, table))
    with warehouse.connect() as connection:
        return connection.execute(query).fetchall()


def alter_checkpoint(warehouse: Warehouse, stream: str, slice_: str, **values: Any) -> None:
    """Change a checkpoint of the source, as if it were of another time."""
    with warehouse.connect(autocommit=True) as connection:
        connection.execute(
            "update ops.stream_state set checkpoint = checkpoint || %s "
            "where source = 'billing' and stream = %s and slice = %s",
            [Jsonb(values), stream, slice_],
        )
