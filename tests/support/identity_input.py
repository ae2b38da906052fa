"""The views that identity reads as tables that a test fills, and what identity made of them."""

from __future__ import annotations

import uuid
from itertools import count
from typing import TYPE_CHECKING, Any

from psycopg import sql

from identity.resolve import Resolution, resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from crmhouse.warehouse import Warehouse

Row = dict[str, Any]
Key = tuple[str, str, str]

_KEY = ["source", "source_object", "source_id", "source_system"]
_NAME = ["full_name", "first_name", "last_name"]
_CONTACT = ["email", "phone", *_NAME, "country", "company", "account_source_id"]
_TIMES = ["created_at", "updated_at"]
_COLUMNS = {
    "int_person_records": [*_KEY, *_CONTACT, *_TIMES],
    "int_person_references": [*_KEY[:3], "ref_source_system", "ref_object", "ref_id", "rule"],
    "int_account_records": [
        *_KEY, "name", "website", "country", "industry", "employees", *_TIMES,
    ],
}  # fmt: skip
_TYPES = {"created_at": "timestamptz", "updated_at": "timestamptz", "employees": "bigint"}
_OBJECTS = {
    "salesforce": "Contact",
    "hubspot": "contacts",
    "stripe": "customers",
    "shopify": "customers",
}
_MINUTES = count()


def person(source: str, key: str, **fields: Any) -> Row:
    """Return a person record; each is a minute younger than the one made before it."""
    minutes = next(_MINUTES)
    created = f"2026-01-{1 + minutes // 1440:02}T{minutes // 60 % 24:02}:{minutes % 60:02}:00Z"
    return {
        "source": source,
        "source_system": source,
        "source_object": _OBJECTS[source],
        "source_id": key,
        "created_at": created,
        **fields,
    }


def account(key: str, name: str, **fields: Any) -> Row:
    """Return an organisation record."""
    base = person("salesforce", key, name=name, **fields)
    return {**base, "source_object": "Account"}


def reference(record: Row, other: Row, rule: str) -> Row:
    """Return what a record says: that it is the same person as the other one."""
    return {
        **{name: record[name] for name in ("source", "source_object", "source_id")},
        "ref_source_system": other["source_system"],
        "ref_object": other["source_object"],
        "ref_id": other["source_id"],
        "rule": rule,
    }


class Identities:
    """A warehouse with the input of identity."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        with warehouse.connect() as connection:
            for name, columns in _COLUMNS.items():
                typed = ", ".join(f"{column} {_TYPES.get(column, 'text')}" for column in columns)
                connection.execute(f"create table intermediate.{name} ({typed})")

    def deliver(
        self,
        persons: Iterable[Mapping[str, Any]] = (),
        references: Iterable[Mapping[str, Any]] = (),
        accounts: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Replace the whole input."""
        for name, rows in zip(_COLUMNS, (persons, references, accounts), strict=True):
            self._fill(name, rows)

    def _fill(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        columns = _COLUMNS[name]
        table = sql.Identifier("intermediate", name)
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        with self.warehouse.connect() as connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL("truncate {}").format(table))
            with cursor.copy(sql.SQL("copy {} ({}) from stdin").format(table, names)) as copy:
                for row in rows:
                    copy.write_row([row.get(column) for column in columns])

    def resolve(self) -> Resolution:
        """Run identity as a pipeline run of its own."""
        return resolve(self.warehouse, run_id=uuid.uuid4())

    def forget(self) -> None:
        """Empty all identity tables, as in a warehouse that is built from scratch."""
        tables = self.rows("select tablename from pg_tables where schemaname = 'identity'")
        names = ", ".join(f"identity.{name}" for (name,) in tables)
        with self.warehouse.connect() as connection:
            connection.execute(f"truncate {names}")

    def links(self, entity: str = "customer") -> dict[Key, str]:
        """Return the id of every record."""
        return {
            (source, kind, key): value
            for source, kind, key, value in self.rows(
                f"select source, source_object, source_id, {entity}_id from identity.{entity}_links"
            )
        }

    def ids(self, entity: str = "customer") -> dict[str, str]:
        """Return the id of every record by source id alone."""
        return {key: value for (_, _, key), value in self.links(entity).items()}

    def groups(self, entity: str = "customer") -> list[list[str]]:
        """Return the records that are together, by source id, sorted."""
        together: dict[str, list[str]] = {}
        for key, value in self.ids(entity).items():
            together.setdefault(value, []).append(key)
        return sorted(sorted(group) for group in together.values())

    def row_versions(self) -> dict[str, list[Any]]:
        """Return which transaction wrote each row of each identity table."""
        tables = self.rows("select tablename from pg_tables where schemaname = 'identity'")
        return {
            name: sorted(self.rows(f"select xmin::text, ctid::text from identity.{name}"))
            for (name,) in tables
        }

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.warehouse.connect() as connection:
            return connection.execute(query).fetchall()
