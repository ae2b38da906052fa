"""Locks between processes, in PostgreSQL: it lets go of them when the process that holds one dies.

A source is shared by all that land rows of it, and held alone by whoever builds from it. A stream
is held alone by the sync that leads it; helpers and backfills land slices of it meanwhile. The rows
of a stream are shared by all that add some, and held alone while missing ones are looked for.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg

from crmhouse.errors import AlreadyRunningError, WarehouseError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from crmhouse.warehouse import Warehouse

logger = logging.getLogger(__name__)


def of_source(source: str) -> str:
    """Return the name of a source's lock."""
    return f"sync {source}"


class Locks:
    """The locks of one process, on a connection of their own."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def take(self, name: str, *, shared: bool = False, seconds: float = 0) -> bool:
        """Take a lock, and say whether it was to be had.

        Args:
            name: of the lock.
            shared: whether others may share it.
            seconds: how long to wait for it.
        """
        milliseconds = max(1, round(seconds * 1000))  # 0 would wait for ever
        try:
            self._connection.execute(
                "select set_config('lock_timeout', %s, false)", [str(milliseconds)]
            )
            self._connection.execute(_TAKE_SHARED if shared else _TAKE, [name])
        except psycopg.errors.LockNotAvailable:
            return False
        except psycopg.OperationalError as error:
            raise WarehouseError(
                f"The warehouse did not give the lock {name} ({type(error).__name__}, SQLSTATE "
                f"{error.sqlstate or 'unknown'}). See that it runs, then try again."
            ) from None
        return True

    def release(self, name: str, *, shared: bool = False) -> None:
        """Let go of a lock. Where the connection is lost, it is gone already."""
        with suppress(psycopg.OperationalError):
            self._connection.execute(_RELEASE_SHARED if shared else _RELEASE, [name])


_TAKE = "select pg_advisory_lock(hashtextextended(%s, 0))"
_TAKE_SHARED = "select pg_advisory_lock_shared(hashtextextended(%s, 0))"
_RELEASE = "select pg_advisory_unlock(hashtextextended(%s, 0))"
_RELEASE_SHARED = "select pg_advisory_unlock_shared(hashtextextended(%s, 0))"


@contextmanager
def open_locks(warehouse: Warehouse) -> Iterator[Locks]:
    """Give a process its locks; all are let go at the end of the block."""
    with warehouse.connect(autocommit=True) as connection:
        try:
            yield Locks(connection)
        finally:
            # Closing alone would free them too, but only when the server has noticed. Where the
            # connection is lost the locks are too, and what has landed has landed.
            with suppress(psycopg.OperationalError):
                connection.execute("select pg_advisory_unlock_all()")


@contextmanager
def hold_sources(
    warehouse: Warehouse, sources: Collection[str], *, patience: float = 0
) -> Iterator[None]:
    """Let no other process sync these sources while the block runs.

    Args:
        warehouse: where they land.
        sources: names of configured sources.
        patience: seconds to wait for a process that holds one of them.

    Raises:
        AlreadyRunningError: another process still holds one.
    """
    with open_locks(warehouse) as locks:
        for source in sorted(sources):  # one order for all, so that nobody waits in a circle
            require(locks, of_source(source), source, patience=patience)
        yield


def require(
    locks: Locks, name: str, source: str, *, shared: bool = False, patience: float = 0
) -> None:
    """Take the lock of a source, or of a part of it.

    Raises:
        AlreadyRunningError: another process still holds it.
    """
    if locks.take(name, shared=shared):
        return
    if patience:
        logger.info("%s is held by another process: waiting up to %.0f s", source, patience)
    if not (patience and locks.take(name, shared=shared, seconds=patience)):
        raise AlreadyRunningError(
            f"Another process is syncing {source}, or builds the marts from it, at this "
            "moment. Wait for it to end."
        )
