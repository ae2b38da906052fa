from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from identity_input import Identities

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse


@pytest.fixture(scope="module")
def module_identities(module_warehouse: Warehouse) -> Identities:
    return Identities(module_warehouse)


@pytest.fixture
def identities(module_identities: Identities) -> Identities:
    """Input and output are empty when the test begins."""
    module_identities.forget()
    module_identities.deliver()
    return module_identities
