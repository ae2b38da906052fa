"""Waits for PostgreSQL and, as its administrator, makes the roles and databases that we use.

python3 database.py wait VARIABLE... waits until each URL (in the variable of that name) connects.
python3 database.py roles VARIABLE... makes what these URLs name: role, password, database. It
connects by DATABASE_ADMIN_URL and may run again and again: a changed password is taken over.
"""

import os
import sys
import time
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg
from psycopg import sql

_SECONDS = 900
_PAUSE = 2
_ADMIN = "DATABASE_ADMIN_URL"


def main() -> int:
    """Do what the first argument says with the URLs in the named variables."""
    action, *variables = sys.argv[1:]
    deadline = time.monotonic() + _SECONDS
    if action == "roles":
        with _connected(_ADMIN, deadline) as admin:
            for variable in variables:
                _make(admin, _parameters(variable))
    for variable in variables:
        _connected(variable, deadline).close()
    return 0


def _parameters(variable: str) -> dict[str, str]:
    """Return libpq's parameters of a URL, which may be one of SQLAlchemy with any driver."""
    url = urlsplit(os.environ[variable])
    query = {name: values[-1] for name, values in parse_qs(url.query).items()}
    if "ssl" in query:  # what asyncpg calls libpq's sslmode
        query["sslmode"] = query.pop("ssl")
    return {
        "host": url.hostname or "localhost",
        "port": str(url.port or 5432),
        "user": unquote(url.username or ""),
        "password": unquote(url.password or ""),
        "dbname": unquote(url.path.lstrip("/")),
        **query,
    }


def _connected(variable: str, deadline: float) -> psycopg.Connection:
    parameters = _parameters(variable)
    place = f"{parameters['user']}@{parameters['host']}:{parameters['port']}/{parameters['dbname']}"
    said = ""
    while True:
        try:
            return psycopg.connect(**parameters, autocommit=True, connect_timeout=10)
        except psycopg.OperationalError as error:
            problem = " ".join(str(error).split()).replace(parameters["password"] or "\0", "***")
        if problem != said:
            sys.stderr.write(f"waiting for {place}: {problem}\n")
            said = problem
        if time.monotonic() > deadline:
            raise SystemExit(f"Giving up. Is {variable} right, and does the server run?")
        time.sleep(_PAUSE)


def _make(admin: psycopg.Connection, wanted: dict[str, str]) -> None:
    """Create role and database, or set the role's password; nobody else may connect to it."""
    role, database = sql.Identifier(wanted["user"]), sql.Identifier(wanted["dbname"])
    if not _exists(admin, "select from pg_roles where rolname = %s", wanted["user"]):
        admin.execute(sql.SQL("create role {}").format(role))
        sys.stderr.write(f"created the role {wanted['user']}\n")
    # Only its hash travels and may end in the server's log.
    secret = admin.pgconn.encrypt_password(
        wanted["password"].encode(), wanted["user"].encode(), b"scram-sha-256"
    ).decode()
    admin.execute(sql.SQL("alter role {} login password {}").format(role, sql.Literal(secret)))
    if not _exists(admin, "select from pg_database where datname = %s", wanted["dbname"]):
        # An administrator that is no superuser, as those of cloud services, must be a member.
        if not _exists(admin, "select from pg_roles where rolname = current_user and rolsuper"):
            admin.execute(sql.SQL("grant {} to current_user").format(role))
        admin.execute(sql.SQL("create database {} owner {}").format(database, role))
        sys.stderr.write(f"created the database {wanted['dbname']}\n")
    admin.execute(sql.SQL("revoke connect on database {} from public").format(database))


def _exists(connection: psycopg.Connection, query: str, *values: str) -> bool:
    return connection.execute(query, values).fetchone() is not None  # type: ignore[call-overload]


if __name__ == "__main__":
    raise SystemExit(main())
