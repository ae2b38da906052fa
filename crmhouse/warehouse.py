"""The warehouse: one PostgreSQL, named by URL or embedded, with its schemas in place."""

from __future__ import annotations

import hashlib
import logging
import re
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from crmhouse.embedded import EmbeddedServer
from crmhouse.errors import ConfigurationError, PermissionMissingError, WarehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL

    from crmhouse.settings import Settings

logger = logging.getLogger(__name__)

SCHEMAS = ("ops", "identity", "staging", "intermediate", "marts_build", "marts")
OLDEST_SERVER = 14
_MIGRATION = re.compile(r"^\d{4}_[a-z_]+\.sql$")
_MIGRATION_LOCK = 0x63726D68  # "crmh": one process at a time applies migrations
_DRIVER = re.compile(r"^postgres(?:ql)?(?:\+\w+)?://")
# Seconds; the URL may say otherwise. A connection that idles, as the lock of a run does for hours,
# is kept alive through firewalls, and a dead one is noticed within two minutes.
_DEFAULTS = {
    "connect_timeout": "30",
    "keepalives_idle": "60",
    "keepalives_interval": "15",
    "keepalives_count": "4",
}


@dataclass(frozen=True)
class Warehouse:
    """An open warehouse: how to connect to it.

    Attributes:
        parameters: libpq connection parameters; `host` may be a socket folder. The password is
            among them, so the object's repr leaves them out.
        embedded: whether the server is ours.
    """

    parameters: dict[str, str]
    embedded: bool

    def __repr__(self) -> str:
        return f"Warehouse({self.place})"

    @property
    def place(self) -> str:
        """Return host, port and database, without user or password, for messages."""
        get = self.parameters.get
        return f"{get('host', 'localhost')}:{get('port', '5432')}/{get('dbname', '')}"

    @property
    def conninfo(self) -> str:
        """Return the connection string of libpq. It holds the password: never log it."""
        return make_conninfo("", **{**_DEFAULTS, **self.parameters})

    def connect(self, *, autocommit: bool = False) -> psycopg.Connection:
        """Open a connection; as a context manager it commits, or rolls back on an error.

        Raises:
            WarehouseError: the server cannot be reached.
        """
        try:
            return psycopg.connect(
                self.conninfo,
                autocommit=autocommit,
                application_name="crmhouse",
                # After the URL's own, so that ours hold: digests and keys are of these texts. A
                # statement whose process is gone ends within a second, and lets go of its locks.
                options=f"{self.parameters.get('options', '')} "
                "-c client_connection_check_interval=1s "
                "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres "
                "-c client_min_messages=warning",
            )
        except psycopg.OperationalError as error:
            # Of several lines the first often tells the cause, and the last one never all of it.
            reason = " ".join(str(error).split()).rstrip(".")
            if password := self.parameters.get("password"):
                reason = reason.replace(password, "***")
            raise WarehouseError(
                f"Cannot connect to the warehouse {self.place}: {reason}. "
                "Check that the server runs and that CRMHOUSE_WAREHOUSE_URL is right."
            ) from None

    def sqlalchemy_url(self, driver: str = "psycopg") -> URL:
        """Return the URL for SQLAlchemy with that driver (`psycopg` or `psycopg2`)."""
        from sqlalchemy import URL  # noqa: PLC0415  # most processes do without

        rest = dict(self.parameters)
        host = rest.pop("host", None)
        socket = host is not None and host.startswith("/")
        return URL.create(
            f"postgresql+{driver}",
            username=rest.pop("user", None),
            password=rest.pop("password", None),
            host=None if socket else host,
            port=int(rest.pop("port", "5432")) if not socket else None,
            database=rest.pop("dbname", None),
            query={**({"host": host} if socket and host else {}), **rest},
        )

    def url(self) -> str:
        """Return the URL for other programs, with the password if there is one."""
        return self.sqlalchemy_url().set(drivername="postgresql").render_as_string(False)


def warehouse_of(settings: Settings) -> Warehouse:
    """Return where the configured warehouse is, without connecting or starting anything.

    Raises:
        ConfigurationError: the URL is not one of PostgreSQL.
    """
    if settings.warehouse_url is not None:
        return Warehouse(_parameters(settings.warehouse_url.get_secret_value()), embedded=False)
    return Warehouse(EmbeddedServer.of(settings.home).parameters, embedded=True)


@contextmanager
def open_warehouse(settings: Settings) -> Iterator[Warehouse]:
    """Open the configured warehouse; start the embedded one when none is configured.

    The schemas and the tables of `ops` and `identity` exist when the block begins.

    Raises:
        ConfigurationError: the URL is not one of PostgreSQL, or the server is too old.
        WarehouseError: the server cannot be reached or started.
        PermissionMissingError: the role may not create what is missing.
    """
    warehouse = warehouse_of(settings)
    if not warehouse.embedded:
        migrate(warehouse)
        yield warehouse
        return
    with EmbeddedServer.of(settings.home).use():
        migrate(warehouse)
        yield warehouse


def migrate(warehouse: Warehouse) -> list[str]:
    """Create the schemas and apply the migrations that are missing; return their names.

    Each migration is one transaction, recorded with its hash in `ops.migrations`. Processes that
    start together wait for each other.

    Raises:
        PermissionMissingError: the role may not do this; says what to grant.
        WarehouseError: a migration that was applied has since been changed, or one failed.
    """
    try:
        with warehouse.connect() as connection:
            _require_version(connection)
            connection.execute("select pg_advisory_xact_lock(%s)", [_MIGRATION_LOCK])
            _create_schemas(connection)
            applied = _apply(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise PermissionMissingError(_what_to_grant(warehouse, error)) from None
    except psycopg.Error as error:
        what = f"{type(error).__name__}, SQLSTATE {error.sqlstate or 'unknown'}"
        raise WarehouseError(
            f"The warehouse {warehouse.place} could not be prepared ({what}). Nothing of it was "
            "changed; the server's log has the details."
        ) from None
    if applied:
        logger.info("applied migrations to %s: %s", warehouse.place, ", ".join(applied))
    return applied


def _create_schemas(connection: psycopg.Connection) -> None:
    """Create the missing ones; `if not exists` would ask for the right to create in any case."""
    rows = connection.execute("select nspname from pg_namespace").fetchall()
    there = {str(name) for (name,) in rows}
    for schema in SCHEMAS:
        if schema not in there:
            connection.execute(f"create schema {schema}")


def _apply(connection: psycopg.Connection) -> list[str]:
    row = connection.execute("select to_regclass('ops.migrations') is null").fetchone()
    if row and row[0]:
        connection.execute(
            "create table ops.migrations (name text primary key, "
            "sha256 text not null, applied_at timestamptz not null default now())"
        )
    known: dict[str, str] = dict(
        connection.execute("select name, sha256 from ops.migrations").fetchall()
    )
    applied: list[str] = []
    for name, text in _migrations():
        digest = hashlib.sha256(text.encode()).hexdigest()
        if name in known:
            if known[name] != digest:
                raise WarehouseError(
                    f"Migration {name} differs from the one that this warehouse has. "
                    "A migration is never edited: put the change into a new one."
                )
            continue
        connection.execute(text)
        connection.execute(
            "insert into ops.migrations (name, sha256) values (%s, %s)", [name, digest]
        )
        applied.append(name)
    return applied


def _what_to_grant(warehouse: Warehouse, error: psycopg.errors.InsufficientPrivilege) -> str:
    """Say which privilege is missing, and the statement that gives it."""
    with warehouse.connect() as connection:
        row = connection.execute(
            "select quote_ident(current_user), quote_ident(current_database()), "
            "quote_ident((select pg_get_userbyid(nspowner) from pg_namespace "
            "where nspname = 'ops'))"
        ).fetchone()
    role, database, owner = row or ("", "", None)
    said = error.diag.message_primary or ""
    advice = f"Let the database's owner run: grant create on database {database} to {role};"
    if owner and " for database " not in said:
        advice = (
            f"Run crmhouse as {owner}, to whom its schemas belong, or let {owner} run: "
            f"grant {owner} to {role};"
        )
    return f"The role {role} may not prepare the warehouse {warehouse.place}: {said}. {advice}"


def _migrations() -> list[tuple[str, str]]:
    folder = resources.files("crmhouse") / "migrations"
    names = sorted(file.name for file in folder.iterdir() if _MIGRATION.match(file.name))
    return [(name, (folder / name).read_text(encoding="utf-8")) for name in names]


def _require_version(connection: psycopg.Connection) -> None:
    version = connection.info.server_version // 10_000
    if version < OLDEST_SERVER:
        raise ConfigurationError(
            f"The warehouse runs PostgreSQL {version}; {OLDEST_SERVER} or newer is needed."
        )


def _parameters(url: str) -> dict[str, str]:
    """Split a URL into libpq parameters; a driver suffix as SQLAlchemy writes it is allowed."""
    if not _DRIVER.match(url):
        raise ConfigurationError(
            "CRMHOUSE_WAREHOUSE_URL must start with postgresql:// "
            "(postgresql://user:password@host:port/database)."
        )
    try:
        parsed = conninfo_to_dict(_DRIVER.sub("postgresql://", url))
    except psycopg.ProgrammingError:
        raise ConfigurationError(
            "CRMHOUSE_WAREHOUSE_URL is not a valid URL: special characters in user or password "
            "must be percent-encoded."
        ) from None
    return {name: str(value) for name, value in parsed.items() if value is not None}
