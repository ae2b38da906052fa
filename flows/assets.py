"""Lineage: how source objects, raw tables and marts are called in Prefect's asset events."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ingestion.sources import kind_of

if TYPE_CHECKING:
    from crmhouse.settings import SourceConfig
    from crmhouse.warehouse import Warehouse
    from flows.work import Work


def of_source(source: SourceConfig, stream: str) -> str:
    """Return the key of what a stream reads."""
    return f"{kind_of(source).system}://{source.name}/{stream}"


def of_table(warehouse: Warehouse, schema: str, table: str) -> str:
    """Return the key of a table: host and database, never user or password."""
    host = "embedded" if warehouse.embedded else warehouse.parameters.get("host", "localhost")
    database = warehouse.parameters.get("dbname", "postgres")
    place = re.sub(r"[^\w./:-]", "-", f"{host.strip('/')}/{database}", flags=re.ASCII)
    return f"postgres://{place}/{schema}/{table}"


def of_raw_tables(work: Work) -> list[str]:
    """Return the keys of every raw table that the marts are made from."""
    return [
        of_table(work.warehouse, f"raw_{source}", stream)
        for source, streams in work.streams.items()
        for stream in streams
    ]
