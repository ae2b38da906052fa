"""Running the sides: each in a process of its own, into a database of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crmhouse.warehouse import Warehouse, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from data import Total

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Took:
    """What a process took.

    Attributes:
        seconds: by the clock, without the imports.
        cpu_seconds: of this process; the server's are not among them.
        peak_mb: the most memory that it held at once.
        said: what else it had to say.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float
    said: Any = None


class Child:
    """A process that is ready to do its job.

    Args:
        script: below the folder of the benchmarks.
        job: what to do; it must fit into JSON.
        python: the interpreter; our own when left out.
    """

    def __init__(self, script: str, job: dict[str, Any], python: Path | None = None) -> None:
        paths = [str(HERE), *([str(HERE.parent)] if python is None else [])]
        self._script = script
        self._process = subprocess.Popen(
            [str(python or sys.executable), str(HERE / script), json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        if self._out.readline().strip() != "ready":
            self._fail()

    def go(self) -> Child:
        """Let it begin."""
        self._in.write("go\n")
        self._in.flush()
        return self

    def took(self) -> Took:
        """Wait for its end.

        Raises:
            SystemExit: it failed; what it said is on standard error.
        """
        output, _ = self._process.communicate()
        if self._process.returncode:
            self._fail()
        return Took(**json.loads(output.splitlines()[-1]))

    @property
    def _in(self) -> Any:  # noqa: ANN401  # the pipe that Popen was asked for
        return self._process.stdin

    @property
    def _out(self) -> Any:  # noqa: ANN401  # the same
        return self._process.stdout

    def _fail(self) -> None:
        self._process.communicate()
        sys.exit(f"benchmarks/{self._script} ended with {self._process.returncode}: see above.")


def run(script: str, job: dict[str, Any], python: Path | None = None) -> Took:
    """Run one process from its beginning to its end."""
    return Child(script, job, python).go().took()


@dataclass(frozen=True)
class Server:
    """The PostgreSQL that all sides write to, and that has the source database."""

    warehouse: Warehouse

    @contextmanager
    def database(self, name: str, *, migrated: bool = False) -> Iterator[Warehouse]:
        """Create an empty database, and drop it at the end."""
        with self.warehouse.connect(autocommit=True) as connection:
            connection.execute(f"drop database if exists {name} with (force)")
            connection.execute(f"create database {name}")
        fresh = replace(self.warehouse, parameters={**self.warehouse.parameters, "dbname": name})
        if migrated:
            migrate(fresh)
        self.settle()
        yield fresh
        with self.warehouse.connect(autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)")

    def settle(self) -> None:
        """Write out what the side before has left to be written."""
        with self.warehouse.connect(autocommit=True) as connection:
            connection.execute("checkpoint")

    @property
    def version(self) -> str:
        """Return PostgreSQL's version."""
        with self.warehouse.connect() as connection:
            return str(connection.info.parameter_status("server_version"))


def require(
    warehouse: Warehouse, table: str, expected: Total, *, by: str, amount: str = "amount"
) -> None:
    """See that a side has landed every row in its newest version.

    Args:
        warehouse: where it has landed.
        table: with its schema.
        expected: what it should be.
        by: who has landed it.
        amount: the column of the amount.

    Raises:
        SystemExit: it has not; its time would mean nothing.
    """
    with warehouse.connect() as connection:
        found = connection.execute(
            f"select count(*), (sum({amount}::numeric) * 100)::numeric(30, 0) from {table}"
        ).fetchone()
    if found != (expected.rows, expected.cents):
        sys.exit(
            f"{by}: {table} has (rows, cents) {found}, not {(expected.rows, expected.cents)}. "
            "Nothing is measured on a wrong result."
        )
