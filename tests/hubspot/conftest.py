"""An account whose records the test writes."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from hubspot_account import Account, account, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from crmhouse.warehouse import Warehouse


@pytest.fixture
def of(tmp_path: Path, warehouse: Warehouse) -> Iterator[Callable[..., Account]]:
    """Make an account of these batches, each a mapping of objects to records."""
    with ExitStack() as stack:

        def make(*batches: dict[str, Any]) -> Account:
            folder = tmp_path / "data"
            for number, objects in enumerate(batches, start=1):
                write(folder, number, **objects)
            return stack.enter_context(account(folder, tmp_path, warehouse))

        yield make
