"""The rows of `data` as a folder of the stand-ins: opportunities, or contacts of HubSpot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from data import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_SALESFORCE = {
    "id": "Id",
    "account_id": "AccountId",
    "name": "Name",
    "email": "Email__c",
    "stage": "StageName",
    "amount": "Amount",
    "discount": "Discount__c",
    "currency": "CurrencyIsoCode",
    "employees": "NumberOfEmployees",
    "is_closed": "IsClosed",
    "close_date": "CloseDate",
    "created_at": "CreatedDate",
    "updated_at": "SystemModstamp",
    "description": "Description",
}
_HUBSPOT = {
    "account_id": "company",
    "name": "lastname",
    "email": "email",
    "stage": "lifecyclestage",
    "amount": "amount",
    "discount": "discount",
    "currency": "currency",
    "employees": "employees",
    "is_closed": "is_closed",
    "close_date": "close_date",
    "created_at": "createdate",
    "updated_at": "lastmodifieddate",
    "description": "description",
}


def write(folder: Path, system: str, rows: int) -> None:
    """Write the first batch of a service's folder."""
    place = folder / "batch_1" / system
    place.mkdir(parents=True)
    if system == "salesforce":
        _write_opportunities(place / "Opportunity.csv", rows)
    else:
        _write_contacts(place / "contacts.jsonl", rows)


def _write_opportunities(path: Path, rows: int) -> None:
    parts = (_texts(block, _SALESFORCE, "+0000") for block in blocks(rows))
    first = next(parts)
    with arrow_csv.CSVWriter(path, first.schema) as writer:
        writer.write(first)
        for part in parts:
            writer.write(part)


def _write_contacts(path: Path, rows: int) -> None:
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:
        for start, block in enumerate(blocks(rows)):
            texts = _texts(block, _HUBSPOT, "Z")
            ids = range(1 + start * len(block), 1 + start * len(block) + len(block))
            for contact in _contacts(ids, texts.to_pylist()):
                file.write(encoder.encode(contact))
                file.write(b"\n")


def _contacts(ids: range, properties: list[dict[str, str | None]]) -> Iterator[dict[str, object]]:
    for id_, shown in zip(ids, properties, strict=True):
        yield {
            "id": str(id_),
            "properties": shown,
            "createdAt": shown["createdate"],
            "updatedAt": shown["lastmodifieddate"],
            "archived": False,
        }


def _texts(block: pa.RecordBatch, names: Mapping[str, str], zone: str) -> pa.Table:
    """Return the columns under the names of a service, and as its text."""
    return pa.table({new: _text(block[old], zone) for old, new in names.items()})


def _text(column: pa.Array, zone: str) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        moments = column.cast(pa.timestamp("ms", "UTC"), safe=False)
        texts = pc.strftime(moments, "%Y-%m-%dT%H:%M:%S")
        return pc.binary_join_element_wise(texts, zone, "")
    return column.cast(pa.string())
