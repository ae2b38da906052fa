from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from crmhouse.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server beside that of the other tests: it may be stopped, and its disk may be full."""
    embedded = EmbeddedServer.of(tmp_path_factory.mktemp("home of faults"))
    with embedded.use():
        yield embedded
    shutil.rmtree(embedded.data.parent)
