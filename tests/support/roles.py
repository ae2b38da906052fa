"""Roles of a database that are not its owner."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crmhouse.warehouse import Warehouse


@contextmanager
def restricted_role(warehouse: Warehouse) -> Iterator[Warehouse]:
    """Give the warehouse as a role of its own sees it: one that may connect, and nothing else."""
    role = f"role_{uuid.uuid4().hex[:12]}"
    with warehouse.connect() as connection:
        connection.execute(f"create role {role} login")
    try:
        yield replace(warehouse, parameters={**warehouse.parameters, "user": role})
    finally:
        with warehouse.connect() as connection:
            connection.execute(f"reassign owned by {role} to current_user")
            connection.execute(f"drop owned by {role}")
            connection.execute(f"drop role {role}")
