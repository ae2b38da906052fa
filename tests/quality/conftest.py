from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from quality_tables import AS_OF, SOURCES, create_marts, create_raw

import quality

if TYPE_CHECKING:
    from collections.abc import Callable

    from crmhouse.warehouse import Warehouse


class RunGate(Protocol):
    """Run a gate on the test's warehouse; every argument has a sensible default."""

    def __call__(
        self, boundary: quality.Boundary, **changes: Any
    ) -> quality.GateReport: ...  # of any kind


@pytest.fixture
def raw(warehouse: Warehouse) -> Warehouse:
    """A warehouse with every raw table, one clean row each."""
    create_raw(warehouse)
    return warehouse


@pytest.fixture
def marts(warehouse: Warehouse) -> Warehouse:
    """A warehouse with every mart, small and clean."""
    create_marts(warehouse)
    return warehouse


@pytest.fixture
def gate(warehouse: Warehouse) -> Callable[..., quality.GateReport]:
    def run(boundary: quality.Boundary, **changes: Any) -> quality.GateReport:
        arguments = {"run_id": uuid.uuid4(), "sources": SOURCES, "as_of": AS_OF, **changes}
        return quality.run_gate(warehouse, boundary, **arguments)

    return run
