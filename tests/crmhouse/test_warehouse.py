"""The warehouse: URLs, connections, migrations."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest
from pydantic import SecretStr
from roles import restricted_role

from crmhouse.errors import ConfigurationError, PermissionMissingError, WarehouseError
from crmhouse.settings import Settings
from crmhouse.status import read_status
from crmhouse.warehouse import Warehouse, migrate, open_warehouse, warehouse_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def restricted(warehouse: Warehouse) -> Iterator[Warehouse]:
    with restricted_role(warehouse) as restricted:
        yield restricted


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_url_is_split_and_its_password_is_not_shown(scheme: str) -> None:
    settings = Settings(
        warehouse_url=SecretStr(f"{scheme}://me:p%40ss@db.example:6543/crm?sslmode=require")
    )
    warehouse = warehouse_of(settings)
    assert warehouse.parameters == {
        "host": "db.example", "port": "6543", "user": "me", "password": "p@ss", "dbname": "crm",
        "sslmode": "require",
    }  # fmt: skip
    assert "p@ss" not in repr(warehouse)
    assert warehouse.url() == "postgresql://me:p%40ss@db.example:6543/crm?sslmode=require"
    assert warehouse.sqlalchemy_url("psycopg2").drivername == "postgresql+psycopg2"


@pytest.mark.parametrize(
    "url", ["mysql://me:geheim@host/db", "postgresql://me:geheim@host:port/db"]
)
def test_a_url_that_is_none_of_postgresql_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises((ConfigurationError, WarehouseError)) as caught:
        warehouse_of(Settings(warehouse_url=SecretStr(url))).connect()
    assert "geheim" not in str(caught.value)


def test_a_server_that_does_not_answer_is_named_with_what_to_do() -> None:
    settings = Settings(warehouse_url=SecretStr("postgresql://me:geheim@127.0.0.1:1/db"))
    with (
        pytest.raises(WarehouseError, match=r"127\.0\.0\.1:1/db.*CRMHOUSE_WAREHOUSE_URL") as caught,
        open_warehouse(settings),
    ):
        pass
    assert "geheim" not in str(caught.value)


def test_every_line_of_the_reason_is_told_in_one_without_the_password() -> None:
    url = "postgresql://me:geheim@127.0.0.1:1,127.0.0.2:2/db"
    with pytest.raises(WarehouseError) as caught:
        warehouse_of(Settings(warehouse_url=SecretStr(url))).connect()
    message = str(caught.value)
    assert "port 1 failed" in message
    assert "port 2 failed" in message
    assert "\n" not in message
    twisted = "postgresql://me:geheim@127.0.0.1:1/db?sslmode=geheim"
    with pytest.raises(WarehouseError, match="sslmode") as caught:
        warehouse_of(Settings(warehouse_url=SecretStr(twisted))).connect()
    assert "geheim" not in str(caught.value)


def test_the_urls_own_options_hold_beside_ours(warehouse: Warehouse) -> None:
    options = "-c statement_timeout=1234ms -c timezone=Asia/Tokyo"
    chosen = Warehouse({**warehouse.parameters, "options": options}, embedded=False)
    with chosen.connect() as connection:
        assert connection.execute("show statement_timeout").fetchone() == ("1234ms",)
        assert connection.execute("show timezone").fetchone() == ("UTC",)


def test_connections_are_kept_alive_unless_the_url_says_otherwise(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        assert connection.info.get_parameters()["keepalives_idle"] == "60"
    chosen = Warehouse({**warehouse.parameters, "keepalives_idle": "7"}, embedded=False)
    with chosen.connect() as connection:
        assert connection.info.get_parameters()["keepalives_idle"] == "7"


def test_a_url_opens_the_same_warehouse_with_its_schemas(warehouse: Warehouse) -> None:
    settings = Settings(warehouse_url=SecretStr(warehouse.url()))
    with open_warehouse(settings) as opened, opened.connect() as connection:
        assert opened.embedded is False
        found = connection.execute("select nspname from pg_namespace").fetchall()
    schemas = {"ops", "identity", "staging", "intermediate", "marts_build", "marts"}
    assert {name for (name,) in found} >= schemas


def test_sqlalchemy_reaches_a_server_on_a_socket(warehouse: Warehouse) -> None:
    import sqlalchemy  # noqa: PLC0415

    for driver in ("psycopg", "psycopg2"):
        engine = sqlalchemy.create_engine(warehouse.sqlalchemy_url(driver))
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("select 1")).scalar() == 1
        engine.dispose()


def test_connections_speak_utc(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        assert connection.execute("show timezone").fetchone() == ("UTC",)


def test_processes_that_migrate_at_once_apply_each_migration_once(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute("drop schema ops cascade")
        connection.execute("drop schema identity cascade")
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(lambda _: migrate(warehouse), range(4)))
    assert sorted(map(bool, applied)) == [False, False, False, True]
    assert migrate(warehouse) == []


def test_a_migration_that_was_edited_is_refused(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute("update ops.migrations set sha256 = 'x' where name like '0001%'")
    with pytest.raises(WarehouseError, match=r"0001_operations\.sql differs"):
        migrate(warehouse)


def test_a_migration_that_fails_is_an_error_of_ours_and_changes_nothing(
    warehouse: Warehouse,
) -> None:
    with warehouse.connect() as connection:
        connection.execute("drop table ops.migrations")  # the first one finds its tables there
    with pytest.raises(WarehouseError, match=r"could not be prepared \(DuplicateTable.*42P07"):
        migrate(warehouse)
    with warehouse.connect() as connection:
        assert connection.execute("select to_regclass('ops.migrations')").fetchone() == (None,)


def test_a_role_without_privileges_is_told_what_to_grant_and_with_that_it_works(
    warehouse: Warehouse, restricted: Warehouse
) -> None:
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("drop schema ops cascade; drop schema identity cascade;")
        with pytest.raises(
            PermissionMissingError, match="permission denied for database"
        ) as caught:
            migrate(restricted)
        connection.execute(grant_in(caught.value))
        assert migrate(restricted)
        assert migrate(restricted) == []


def test_a_role_that_does_not_own_the_schemas_is_told_who_does(
    warehouse: Warehouse, restricted: Warehouse
) -> None:
    with warehouse.connect() as connection:
        connection.execute(f"grant create on database {warehouse.parameters['dbname']} to public")
    with pytest.raises(PermissionMissingError, match="as postgres, to whom its schemas") as caught:
        migrate(restricted)
    with warehouse.connect() as connection:
        connection.execute(grant_in(caught.value))
    assert migrate(restricted) == []


def test_a_role_that_may_only_read_can_open_a_warehouse_in_which_nothing_is_missing(
    warehouse: Warehouse, restricted: Warehouse
) -> None:
    role = restricted.parameters["user"]
    with warehouse.connect() as connection:
        connection.execute(f"grant usage on schema ops to {role}")
        connection.execute(f"grant select on all tables in schema ops to {role}")
    assert migrate(restricted) == []
    assert read_status(restricted, Settings()).streams == ()


def grant_in(error: PermissionMissingError) -> str:
    """The statement that the message tells to run."""
    return "grant" + str(error).rsplit("grant", 1)[1]


def test_a_failed_block_is_rolled_back(warehouse: Warehouse) -> None:
    def fail() -> None:
        with warehouse.connect() as connection:
            connection.execute("create table half (id int)")
            connection.execute("select 1 / 0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        fail()
    with warehouse.connect() as connection:
        assert connection.execute("select to_regclass('half')").fetchone() == (None,)
