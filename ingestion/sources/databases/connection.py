"""Connections to a source database: read-only, with a timeout, seeing one moment of it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from crmhouse.errors import (
    ConfigurationError,
    CrmhouseError,
    SourceRefusedError,
    SourceUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
_CONNECT_SECONDS = 30
_READ_SECONDS = 3600  # how long MySQL waits for us while a batch is landed
_SQLITE_STEPS = 100_000
# Statement timeouts: PostgreSQL, MySQL, MariaDB. Refusals: login, privileges, what does not exist.
_TIMEOUTS = frozenset({"57014", "3024", "1969"})
_REFUSALS = ("28", "42", "3D")
_NUMBERS_OF_REFUSALS = frozenset({"1044", "1045", "1049", "1142", "1146", "1054"})
# PostgreSQL's driver gives no code where no connection came about.
_NO_ENTRY = ("authentication failed", "does not exist", "no pg_hba.conf entry", "not permitted")


@dataclass(frozen=True)
class Database:
    """A source database.

    Attributes:
        name: the source's name, for messages.
        url: with the driver; the password is in it, so the object's repr leaves it out.
        timeout: seconds that a statement may take.
    """

    name: str
    url: sa.URL
    timeout: int

    def __repr__(self) -> str:
        return f"Database({self.name})"

    @contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """Open a read-only transaction; everything read in it is of one moment.

        Raises:
            SourceUnavailableError: the database does not answer.
            SourceRefusedError: it does not let us in, or misses what is asked for.
        """
        engine = sa.create_engine(self.url, poolclass=NullPool, connect_args=self._arguments())
        with self.faults():
            connection = engine.connect()
        try:
            with self.faults():
                self._begin(connection)
            with unread_left(connection.connection.driver_connection, connection):
                yield connection
        finally:
            with self.faults(silent=True):
                connection.close()

    def _arguments(self) -> dict[str, Any]:
        if self.url.get_backend_name() == "sqlite":
            return {"timeout": _CONNECT_SECONDS}
        if self.url.drivername in _DRIVERS.values():
            return {"connect_timeout": _CONNECT_SECONDS}
        return {}

    def _begin(self, connection: sa.Connection) -> None:
        match connection.dialect.name:
            case "postgresql":
                for statement in (
                    "set transaction isolation level repeatable read, read only",
                    f"set local statement_timeout = '{self.timeout}s'",
                    "set local timezone = 'UTC'",
                    "set local datestyle = 'ISO'",
                    "set local client_encoding = 'UTF8'",
                    "set local intervalstyle = 'postgres'",
                    "set local bytea_output = 'hex'",
                    "set local extra_float_digits = 1",
                    "set local standard_conforming_strings = on",
                ):
                    connection.exec_driver_sql(statement)
            case "mysql" | "mariadb":
                for statement in (
                    "set session transaction isolation level repeatable read",
                    "set session time_zone = '+00:00'",
                    f"set session net_write_timeout = {_READ_SECONDS}",
                    f"set session max_statement_time = {self.timeout}"
                    if getattr(connection.dialect, "is_mariadb", False)
                    else f"set session max_execution_time = {self.timeout * 1000}",
                    "start transaction with consistent snapshot, read only",
                ):
                    connection.exec_driver_sql(statement)
            case "sqlite":
                driver: Any = connection.connection.driver_connection
                driver.isolation_level = None
                driver.text_factory = _text
                _limit_statements(connection, driver, self.timeout)
                connection.exec_driver_sql("pragma query_only = on")
                connection.exec_driver_sql("begin")

    @contextmanager
    def faults(self, *, silent: bool = False) -> Iterator[None]:
        """Turn what drivers raise into errors of ours, without their text: it may quote rows.

        Args:
            silent: whether to pass over it, as when closing what is broken already.
        """
        try:
            yield
        except (SQLAlchemyError, psycopg.Error, OSError) as error:
            if not silent:
                raise self._of_ours(error) from None

    def _of_ours(self, error: Exception) -> CrmhouseError:
        cause = getattr(error, "orig", None) or error
        state = getattr(cause, "sqlstate", None) or ""
        code = str(_first_argument(cause) or state or "unknown")
        what = f"{type(cause).__name__}, code {code}"
        if code in _TIMEOUTS or str(cause) == "interrupted":
            return SourceUnavailableError(
                f"Source {self.name}: a statement took longer than {self.timeout} s and was "
                "cancelled. Raise statement_timeout_seconds, or read smaller slices."
            )
        is_kept_out = code == "unknown" and any(text in str(cause) for text in _NO_ENTRY)
        if state.startswith(_REFUSALS) or code in _NUMBERS_OF_REFUSALS or is_kept_out:
            return SourceRefusedError(
                f"Source {self.name}: the database at {self.place} refused ({what}). See that "
                "user and password are right, that the tables and columns exist, and that the "
                "user may read them."
            )
        return SourceUnavailableError(
            f"Source {self.name}: the database at {self.place} did not do its part ({what}). "
            "See that it runs and can be reached, then sync again."
        )

    @property
    def place(self) -> str:
        """Return host and database, without user or password."""
        host = f"{self.url.host or 'localhost'}/" if self.url.get_backend_name() != "sqlite" else ""
        return f"{host}{self.url.database or ''}"


def _limit_statements(connection: sa.Connection, driver: Any, seconds: int) -> None:  # noqa: ANN401
    """Interrupt a statement of SQLite that takes too long, the reading of its rows included."""
    began = time.monotonic()

    def begin(*_: object) -> None:
        nonlocal began
        began = time.monotonic()

    sa.event.listen(connection, "before_cursor_execute", begin)
    driver.set_progress_handler(lambda: time.monotonic() > began + seconds, _SQLITE_STEPS)


@contextmanager
def unread_left(driver: object, connection: sa.Connection | None = None) -> Iterator[None]:
    """Leave the rest of a result unread when the block fails: PyMySQL reads it to its end first.

    Args:
        driver: its connection or cursor.
        connection: is given up, too: what is left would be taken for the next answer.
    """
    try:
        yield
    except BaseException:
        result: Any = getattr(driver, "_result", None)
        if result is not None:
            result.unbuffered_active = False
            if connection is not None:
                connection.invalidate()
        raise


def _text(content: bytes) -> str:
    """Read a text of SQLite, which may be no UTF-8; such a record is then held back."""
    return content.decode(errors="surrogateescape")


def _first_argument(error: object) -> object:
    arguments = getattr(error, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def database(name: str, url: str, timeout: int, base: Path) -> Database:
    """Return the database of a source.

    Args:
        name: the source's name.
        url: the configured URL.
        timeout: seconds that a statement may take.
        base: where a relative path of an SQLite file starts.

    Raises:
        ConfigurationError: this is no URL of a dialect that is installed; never repeats it.
    """
    try:
        parsed = sa.make_url(url)
        parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
        parsed.get_dialect().import_dbapi()
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            f"Source {name}, options: url is not a URL such as postgresql://user:password@host/"
            "database. Special characters in user or password must be percent-encoded."
        ) from None
    except (NoSuchModuleError, ImportError):
        raise ConfigurationError(
            f"Source {name}, options: url names the dialect {parsed.drivername}, which is not "
            "installed. Install the package of its driver beside crmhouse."
        ) from None
    if parsed.get_backend_name() == "sqlite":
        parsed = _read_only_file(name, parsed, base)
    return Database(name, parsed, timeout)


def _read_only_file(name: str, url: sa.URL, base: Path) -> sa.URL:
    if not url.database or url.database == ":memory:":
        raise ConfigurationError(f"Source {name}, options: url names no file, as sqlite:///a.db.")
    address = (base / url.database).resolve().as_uri()
    return url.set(database=address, query={**url.query, "mode": "ro", "uri": "true"})
