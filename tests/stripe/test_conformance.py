"""What is landed over the API is what an export of the same objects lands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from file_sources import export
from file_sources import sync as sync_files
from stripe_account import account, customer, lay_out, raw, source, subscription, sync

from ingestion.sources.stripe.streams import API_STREAMS, STREAMS
from ingestion.streams import ColumnType
from simulators.demo_data import generate

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse

FIXTURES = Path(__file__).parents[3] / "shared/data/stripe_fixtures/fixtures3.json"
NAMES = tuple(stream.name for stream in STREAMS)
FURTHER = ("products", "prices", "refunds")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("demo"), persons=150, seed=5).folder


def declared(
    warehouse: Warehouse, schema: str, names: tuple[str, ...]
) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the declared columns, and which are deleted."""
    return {
        stream.name: raw(
            warehouse,
            ", ".join(f'"{column.name}"' for column in stream.columns if column.name != "deleted")
            + ", _deleted_at is null",
            stream.name,
            schema,
        )
        for stream in API_STREAMS
        if stream.name in names
    }


def assert_equal(
    warehouse: Warehouse, folder: Path, home: Path, names: tuple[str, ...] = NAMES
) -> None:
    with account(folder, home) as running:
        configured = source(running, *names)
        for batch in ("batch_1", "batch_2"):
            sync(warehouse, configured)
            sync_files(warehouse, export(folder, "stripe", until=batch))
            over_api, of_files = (
                declared(warehouse, schema, names) for schema in ("raw_billing", "raw_stripe")
            )
            assert over_api.keys() == of_files.keys()
            for name in names:
                assert len(of_files[name]) > 2, name
                assert over_api[name] == of_files[name], (batch, name)
            if batch == "batch_1":
                running.advance()


def test_over_the_api_comes_what_the_export_has(
    warehouse: Warehouse, demo: Path, tmp_path: Path
) -> None:
    assert_equal(warehouse, demo, tmp_path, (*NAMES, *FURTHER))


def test_over_the_api_comes_what_the_reference_export_has(
    warehouse: Warehouse, crm_demo: Path, tmp_path: Path
) -> None:
    assert_equal(warehouse, crm_demo, tmp_path)


def test_what_was_deleted_is_a_tombstone_as_in_the_export(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    customers = [customer(number) for number in range(30)]
    changes = [customer(3, deleted=True), customer(4, name="New"), customer(77)]
    folder = lay_out(tmp_path / "data", {"customers": customers}, {"customers": changes})
    with account(folder, tmp_path) as running:
        sync(warehouse, source(running, "customers"))
        running.advance()
        sync(warehouse, source(running, "customers"))
    sync_files(warehouse, export(folder, "stripe"), streams=["customers"])
    columns = "id, name, email, created, _deleted_at is not null"
    found = raw(warehouse, columns)
    assert found == raw(warehouse, columns, schema="raw_stripe")
    assert [row[0] for row in found if row[-1]] == ["cus_000003"]


def test_discounts_come_with_their_coupons(warehouse: Warehouse, tmp_path: Path) -> None:
    """Without being asked for they are ids, which say nothing."""

    def discount(percent: int) -> dict[str, Any]:
        coupon = {"id": "C", "object": "coupon", "percent_off": percent}
        return {"id": "di_1", "object": "discount", "coupon": coupon}

    first = [subscription(number, discounts=[discount(5)]) for number in (1, 2)]
    second = [subscription(2, discounts=[discount(7)])]
    folder = lay_out(tmp_path / "data", {"subscriptions": first}, {"subscriptions": second})
    with account(folder, tmp_path) as running:
        sync(warehouse, source(running, "subscriptions"))
        running.advance()
        sync(warehouse, source(running, "subscriptions"))
    sync_files(warehouse, export(folder, "stripe"), streams=["subscriptions"])
    columns = "discounts, discounts -> 0 -> 'coupon' ->> 'percent_off'"
    found = raw(warehouse, columns, "subscriptions")
    assert [row[1] for row in found] == ["5", "7"]
    assert found == raw(warehouse, columns, "subscriptions", "raw_stripe")


def test_amounts_stay_in_the_smallest_unit_of_their_currency(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    amounts = {"jpy": 1500, "kwd": 12345, "usd": 2**53 + 1}
    charges = [
        {"id": f"ch_{currency}", "created": 1_700_000_000, "amount": amount, "currency": currency}
        for currency, amount in amounts.items()
    ]
    coupon = {"id": "TEN", "created": 1_700_000_000, "percent_off": 12.345678901234567}
    folder = lay_out(tmp_path / "data", {"charges": charges, "coupons": [coupon]})
    with account(folder, tmp_path) as running:
        sync(warehouse, source(running, "charges", "coupons"))
    assert dict(raw(warehouse, "currency, amount", "charges")) == amounts
    assert str(raw(warehouse, "percent_off", "coupons")[0][0]) == "12.345678901234567"


def test_objects_in_their_full_shape_are_landed(warehouse: Warehouse, tmp_path: Path) -> None:
    if not FIXTURES.is_file():
        pytest.skip(f"reference data not present: {FIXTURES.name}")
    known = json.loads(FIXTURES.read_text(encoding="utf-8"))["resources"]
    shapes = {stream.name: known[stream.name.removesuffix("s")] for stream in API_STREAMS}
    folder = lay_out(tmp_path / "data", {name: [shape] for name, shape in shapes.items()})
    with account(folder, tmp_path) as running:
        runs = sync(warehouse, source(running))
    assert sum(run.quarantined for run in runs) == 0
    for stream in API_STREAMS:
        shape = shapes[stream.name]
        columns = [c.name for c in stream.columns if c.type is not ColumnType.JSONB]
        names = ", ".join(f'"{name}"' for name in columns)
        (row,) = raw(warehouse, names, stream.name)
        assert row == tuple(shape.get(name) for name in columns), stream.name
