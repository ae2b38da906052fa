from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from own_postgres import own_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crmhouse.embedded import EmbeddedServer


@pytest.fixture(scope="package")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server beside that of the other tests: it may be stopped, and its disk may be full."""
    with own_postgres(tmp_path_factory.mktemp("home of faults")) as server:
        yield server
