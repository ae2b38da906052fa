"""The script of the database Job, on a real PostgreSQL: roles and databases, as the URLs say."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from chart import CHART

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from crmhouse.warehouse import Warehouse

pytestmark = pytest.mark.xdist_group("kubernetes-chart")

SCRIPT = CHART / "files" / "database.py"
OWNER, ADMIN = "chart_owner", "chart_admin"


@pytest.fixture
def admin(server: Warehouse) -> Iterator[psycopg.Connection]:
    """A superuser's connection; what the test makes is dropped at the end."""
    with server.connect(autocommit=True) as connection:
        yield connection
        connection.execute(f"drop database if exists {OWNER}")
        for role in (OWNER, ADMIN):
            connection.execute(f"drop role if exists {role}")


def script(server: Warehouse, action: str, password: str, user: str = "postgres") -> str:
    """Run the script; return what it said."""
    where = f"@/{{}}?host={server.parameters['host']}"
    env = {
        **os.environ,
        "DATABASE_ADMIN_URL": f"postgresql://{user}:any{where.format('postgres')}",
        "OUR_URL": f"postgresql+asyncpg://{OWNER}:{password}{where.format(OWNER)}&ssl=prefer",
    }
    done = subprocess.run(
        [sys.executable, SCRIPT, action, "OUR_URL"],
        env=env, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def secret(admin: psycopg.Connection) -> str:
    row = admin.execute("select rolpassword from pg_authid where rolname = %s", [OWNER]).fetchone()
    assert row
    return str(row[0])


def test_it_makes_role_and_database_once_and_takes_over_a_new_password(
    server: Warehouse, admin: psycopg.Connection
) -> None:
    said = script(server, "roles", "fir%40st")
    assert f"created the role {OWNER}" in said
    assert f"created the database {OWNER}" in said
    first = secret(admin)
    assert first.startswith("SCRAM-SHA-256$")

    assert "created" not in script(server, "roles", "second")
    assert secret(admin) != first
    assert script(server, "wait", "second") == ""


def test_nobody_else_may_connect_to_the_database(
    server: Warehouse, admin: psycopg.Connection
) -> None:
    script(server, "roles", "word")
    admin.execute(f"create role {ADMIN}")
    row = admin.execute(
        "select has_database_privilege(%s, %s, 'connect'), "
        "has_database_privilege(%s, %s, 'connect')", [ADMIN, OWNER, OWNER, OWNER],
    ).fetchone()  # fmt: skip
    assert row == (False, True)


def test_an_administrator_need_not_be_a_superuser(
    server: Warehouse, admin: psycopg.Connection
) -> None:
    admin.execute(f"create role {ADMIN} login createdb createrole")
    assert "created the database" in script(server, "roles", "word", user=ADMIN)
    assert "created" not in script(server, "roles", "word", user=ADMIN)
    # What it was a member of goes with it.
    admin.execute(f"drop owned by {ADMIN}")
