"""Where faults hit: before any chosen exchange with PostgreSQL, in this process or in a child.

The engine keeps no state but in PostgreSQL, so a run is as far as its last exchange with it (a
statement, a part of a COPY, begin, commit). A kill after one and before the next are the same.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection as Pipe

    from crmhouse.warehouse import Warehouse

FORKS = multiprocessing.get_context("forkserver")
# Children are forked from a process that has imported all that they need, and has no thread.
FORKS.set_forkserver_preload(
    ["pytest", "ingestion.sync", "crmhouse.settings", "crmhouse.warehouse"]
)

_SECONDS = 120


@contextmanager
def before_exchanges(act: Callable[[int, Any, str], object]) -> Iterator[None]:
    """Call `act` right before each exchange of this process with PostgreSQL.

    Args:
        act: is given the exchange's number from 1, the connection, and what is about to be sent.
    """
    exchange = psycopg.Connection.wait
    numbers = itertools.count(1)

    def wait(self: Any, generator: Any, *args: Any, **kwargs: Any) -> Any:
        act(next(numbers), self, _what(generator))
        return exchange(self, generator, *args, **kwargs)

    psycopg.Connection.wait = wait  # type: ignore[method-assign]
    try:
        yield
    finally:
        psycopg.Connection.wait = exchange  # type: ignore[method-assign]


@contextmanager
def before_exchange(number: int, act: Callable[[Any, str], object]) -> Iterator[None]:
    """Call `act` right before the n-th exchange, counted from 1; it may have exchanges itself."""

    def when_it_is_time(current: int, connection: Any, what: str) -> None:
        if current == number:
            act(connection, what)

    with before_exchanges(when_it_is_time):
        yield


def _what(generator: Any) -> str:
    """Say what a generator of psycopg is about to send; it has not started yet."""
    frame = getattr(generator, "gi_frame", None)
    given: dict[str, Any] = frame.f_locals if frame else {}
    if "exc_type" in given:
        return "rollback" if given["exc_type"] else "commit"
    query = given.get("query", given.get("statement", generator.__name__))
    text = query.as_string() if isinstance(query, psycopg.sql.Composable) else str(query)
    return " ".join(text.split())[:70]


def die() -> None:
    """End as by `kill -9`: no handler, no clean-up, no farewell to PostgreSQL."""
    os.kill(os.getpid(), signal.SIGKILL)


class Child:
    """A process that does some work and may tell the test what it sees fit.

    Args:
        work: a function of a module; gets a pipe, and the arguments. What it raises is sent.
        arguments: what can be pickled.
        more: arguments by name.
    """

    def __init__(self, work: Callable[..., object], *arguments: Any, **more: Any) -> None:
        self._pipe, theirs = FORKS.Pipe(duplex=False)
        self._process = FORKS.Process(target=_run, args=(theirs, work, arguments, more))
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.wait()
        self._pipe.close()
        self._process.close()

    def said(self) -> Any:
        """Wait for what it says next; None when it ended without a word."""
        try:
            assert self._pipe.poll(_SECONDS), "the child hangs"
            return self._pipe.recv()
        except EOFError:
            return None

    def ends_within(self, seconds: float) -> bool:
        """Say whether the process ends in that time."""
        self._process.join(seconds)
        return self._process.exitcode is not None

    def kill(self) -> None:
        """Send SIGKILL, if it still lives."""
        self._process.kill()

    def wait(self) -> int:
        """Wait for its end; return the exit code, -9 of a killed one."""
        assert self.ends_within(_SECONDS), "the child hangs"
        code = self._process.exitcode
        assert code is not None
        return code


def _run(
    pipe: Pipe, work: Callable[..., object], arguments: tuple[Any, ...], more: dict[str, Any]
) -> None:
    try:
        work(pipe, *arguments, **more)
    except Exception as error:  # noqa: BLE001  # the test is told
        pipe.send(f"{type(error).__name__}: {error}")
        raise SystemExit(1) from None


def wait_for_the_dead(warehouse: Warehouse) -> None:
    """Wait until PostgreSQL has noticed which processes are gone."""
    others = (
        "select count(*) from pg_stat_activity where datname = current_database() "
        "and pid <> pg_backend_pid() and backend_type = 'client backend'"
    )
    deadline = time.monotonic() + _SECONDS
    with warehouse.connect(autocommit=True) as connection:
        while connection.execute(others).fetchone() != (0,):
            assert time.monotonic() < deadline, "connections of dead processes are still open"
            time.sleep(0.002)
