"""A PostgreSQL that a test may stop: its own, beside the one that tests share."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from crmhouse.embedded import EmbeddedServer
from crmhouse.embedded_files import is_server_of, named_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def own_postgres(home: Path) -> Iterator[EmbeddedServer]:
    """Run a server whose files belong to a folder."""
    embedded = EmbeddedServer.of(home)
    with embedded.use():
        yield embedded
    shutil.rmtree(embedded.data.parent)


def stop_immediately(server: EmbeddedServer) -> None:
    """Do what `pg_ctl stop -m immediate` does: nothing is written down, the next start recovers."""
    process = named_process(server.data)
    assert process is not None
    os.kill(int(process.name), signal.SIGQUIT)
    while is_server_of(process, server.data):
        time.sleep(0.005)


def start_again(server: EmbeddedServer) -> None:
    """Start a server that was stopped."""
    with server.use():
        pass
