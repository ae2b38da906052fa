"""Raw tables and marts for the tests of the gates: small, clean, and typed as in the contract."""

from __future__ import annotations

import csv
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import psycopg

    from crmhouse.warehouse import Warehouse

ROOT = Path(__file__).parents[2]
AS_OF = datetime(2025, 4, 1, tzinfo=UTC)
SOURCES = {
    "salesforce": ["salesforce"],
    "hubspot": ["hubspot"],
    "stripe": ["stripe"],
    "shopify": ["shopify"],
    "files": ["reference"],
}
_META = {
    "_source_updated_at": "timestamptz",
    "_loaded_at": "timestamptz",
    "_run_id": "uuid",
    "_deleted_at": "timestamptz",
}
_FX = {"month": "text", "currency": "text", "usd_per_unit": "numeric"}
_SECONDS = 1_740_000_000  # 2025-02-19
_TIMES = {"created_date": "2025-03-01Z", "system_modstamp": "2025-03-31Z"}

CLEAN: dict[tuple[str, str], dict[str, Any]] = {
    ("salesforce", "account"): {
        "id": "001A", "name": "Northwind", "number_of_employees": 10, "annual_revenue": 1000,
        "is_deleted": False, **_TIMES,
    },
    ("salesforce", "contact"): {
        "id": "003A", "account_id": "001A", "last_name": "Chen", "is_deleted": False,
        "email": "mia.chen@northwind.example", **_TIMES,
    },
    ("salesforce", "opportunity"): {
        "id": "006A", "account_id": "001A", "name": "A deal", "stage_name": "Proposal",
        "probability": 50, "amount": 100, "currency_iso_code": "EUR", "close_date": "2025-05-01",
        "is_closed": False, "is_won": False, "is_deleted": False, **_TIMES,
    },
    ("salesforce", "opportunity_history"): {
        "id": "008A", "opportunity_id": "006A", "stage_name": "Proposal", "probability": 50,
        "amount": 100, "created_date": "2025-03-01Z",
    },
    ("hubspot", "contacts"): {
        "id": "1", "property_email": "mia.chen@northwind.example", "archived": False,
        "created_at": "2025-03-01Z", "updated_at": "2025-03-31Z",
    },
    ("stripe", "customers"): {
        "id": "cus_1", "created": _SECONDS, "email": "mia.chen@northwind.example",
        "livemode": True,
    },
    ("stripe", "subscriptions"): {
        "id": "sub_1", "customer": "cus_1", "status": "active", "created": _SECONDS,
        "start_date": _SECONDS, "ended_at": _SECONDS + 1, "currency": "eur", "livemode": True,
        "items": {"data": [{"price": {"unit_amount": 3000, "currency": "eur"}, "quantity": 1}]},
    },
    ("stripe", "invoices"): {
        "id": "in_1", "customer": "cus_1", "subscription": "sub_1", "created": 1_743_000_000,
        "currency": "eur", "total": 3000, "amount_paid": 3000, "status": "paid",
        "status_transitions": {"paid_at": _SECONDS}, "livemode": True,
    },
    ("stripe", "charges"): {
        "id": "ch_1", "customer": "cus_1", "amount": 3000, "amount_refunded": 0,
        "currency": "eur", "created": 1_743_000_000, "status": "succeeded", "livemode": True,
    },
    ("shopify", "customers"): {
        "id": 1, "email": "tariq.singh@mail.example", "created_at": "2025-03-01Z",
        "updated_at": "2025-03-01Z",
    },
    ("shopify", "orders"): {
        "id": 11, "created_at": "2025-03-10Z", "updated_at": "2025-03-31Z", "test": False,
        "currency": "EUR", "total_price": "100.00", "total_tax": "5.00",
        "financial_status": "paid", "line_items": [], "refunds": [],
    },
    ("files", "fx_rates_monthly"): {"month": "2025-03", "currency": "EUR", "usd_per_unit": "1.1"},
}  # fmt: skip


def raw_columns() -> dict[tuple[str, str], dict[str, str]]:
    """Read the declared columns of the raw tables: (kind, table) to column and type."""
    declared = {}
    for file in sorted((ROOT / "dbt/models/staging").glob("*/_*__sources.yml")):
        for source in yaml.safe_load(file.read_text(encoding="utf-8"))["sources"]:
            for table in source["tables"]:
                columns = {column["name"]: column["data_type"] for column in table["columns"]}
                declared[source["name"], table["name"]] = {**columns, **_META}
    return {key: declared.get(key, {**_FX, **_META}) for key in CLEAN}


def schema_of(kind: str) -> str:
    """Return the raw schema of the tests' source of a kind."""
    return f"raw_{SOURCES[kind][0]}"


def create_raw(warehouse: Warehouse) -> None:
    """Create all raw tables, each with one clean row."""
    with warehouse.connect() as connection:
        _create_empty_raw(connection)
        for (kind, table), row in CLEAN.items():
            insert(connection, f"{schema_of(kind)}.{table}", row)


def create_marts(warehouse: Warehouse) -> None:
    """Create all marts, clean and in agreement with each other."""
    script = (Path(__file__).parent / "clean_marts.sql").read_text(encoding="utf-8")
    with warehouse.connect() as connection:
        connection.execute(script)


def insert(connection: psycopg.Connection, relation: str, row: Mapping[str, Any]) -> None:
    """Insert a row; a nested value becomes jsonb."""
    names = ", ".join(f'"{name}"' for name in row)
    values = [Jsonb(v) if isinstance(v, dict | list) else v for v in row.values()]
    marks = ", ".join(["%s"] * len(values))
    connection.execute(f"insert into {relation} ({names}) values ({marks})", values)


def multiply(connection: psycopg.Connection, relation: str, copies: int) -> None:
    """Add so many copies of a raw table's first row, each with an id of its own."""
    connection.execute(
        f"""
        insert into {relation}
        select (jsonb_populate_record(sample.one, jsonb_build_object('id', base + number))).*
        from
            (select one from {relation} as one limit 1) as sample,
            (select 1000000 + count(*) as base from {relation}) as counted,
            generate_series(1, {copies}) as number
        """
    )


def load_crm_demo(warehouse: Warehouse, folder: Path) -> None:
    """Load the first batch of the reference data as the landing engine lands it."""
    with warehouse.connect() as connection:
        _create_empty_raw(connection)
        for (kind, table), columns in raw_columns().items():
            records = sorted(_read(_file(folder, kind, table)), key=_version)
            latest = {row.get("id", id(row)): row for row in records}
            _copy(connection, f"{schema_of(kind)}.{table}", columns, latest.values())


def _create_empty_raw(connection: psycopg.Connection) -> None:
    for (kind, table), columns in raw_columns().items():
        connection.execute(f"create schema if not exists {schema_of(kind)}")
        listed = ", ".join(f'"{name}" {kind_of}' for name, kind_of in columns.items())
        connection.execute(f"create table {schema_of(kind)}.{table} ({listed})")


def _file(folder: Path, kind: str, table: str) -> Path:
    if kind == "files":
        return folder / "reference" / f"{table}.csv"
    if kind == "salesforce":
        name = "".join(word.title() for word in table.split("_"))
        return folder / "batch_1" / kind / f"{name}.csv"
    return folder / "batch_1" / kind / f"{table}.jsonl"


def _read(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        if file.suffix == ".csv":
            for record in csv.DictReader(lines):
                yield {_snake(name): value or None for name, value in record.items()}
            return
        for line in lines:
            record = json.loads(line)
            properties = record.pop("properties", {})
            row = {_snake(name): value for name, value in record.items()}
            yield row | {f"property_{name}": value for name, value in properties.items()}


def _version(row: Mapping[str, Any]) -> str:
    return str(row.get("system_modstamp") or row.get("updated_at") or row.get("created_date") or "")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _copy(
    connection: psycopg.Connection,
    relation: str,
    columns: Mapping[str, str],
    rows: Iterable[Mapping[str, Any]],
) -> None:
    listed = ", ".join(f'"{name}"' for name in columns)
    with connection.cursor().copy(f"copy {relation} ({listed}) from stdin") as copy:
        for row in rows:
            values = ((row.get(name), kind_of) for name, kind_of in columns.items())
            copy.write_row(
                [json.dumps(v) if k == "jsonb" and v is not None else v for v, k in values]
            )
