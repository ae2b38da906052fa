"""Source databases: a PostgreSQL, a MariaDB and an SQLite file, each with the same tables."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pymysql
import pytest
import sqlalchemy as sa
from mariadb import install, running

from crmhouse.settings import Settings, SourceConfig
from ingestion.sync import sync_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crmhouse.warehouse import Warehouse
    from ingestion.runs import SliceRun
    from ingestion.stream_sync import Asked

DIALECTS = ("postgresql", "mariadb", "sqlite")


@dataclass(frozen=True)
class Source:
    """A source database.

    Attributes:
        url: as it is configured.
        engine: for the test to write with.
        warehouse: where the test syncs to.
    """

    url: str
    engine: sa.Engine
    warehouse: Warehouse

    @property
    def dialect(self) -> str:
        return self.engine.dialect.name

    def execute(self, *statements: str, **values: Any) -> None:
        """Run statements, each in a transaction of its own."""
        for statement in statements:
            with self.engine.begin() as connection:
                connection.execute(sa.text(statement), values)

    def fill(self, statement: str, rows: list[dict[str, Any]]) -> None:
        """Run a statement for each row, in one transaction."""
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), rows)

    def configured(
        self, tables: dict[str, dict[str, Any]], settings: dict[str, Any], **options: Any
    ) -> tuple[Settings, SourceConfig]:
        """The settings of a project that syncs these tables."""
        source = SourceConfig(
            name="test",
            kind="database",
            schema_contract=options.pop("schema_contract", "evolve"),
            options={"url": self.url, "tables": tables, **options},
        )
        return Settings(sources=(source,), max_quarantine_share=1, **settings), source

    def sync(
        self,
        tables: dict[str, dict[str, Any]] | None = None,
        *,
        asked: Asked | None = None,
        settings: dict[str, Any] | None = None,
        **options: Any,
    ) -> dict[str, SliceRun]:
        """Sync these tables; return what each slice did, by its name."""
        configured = self.configured(tables or {"things": {}}, settings or {}, **options)
        runs = sync_source(self.warehouse, *configured, run_id=uuid.uuid4(), asked=asked)
        return {run.slice: run for run in runs}

    def connections(self) -> int:
        """How many connections the source has beside that of this question."""
        question = {
            "postgresql": "select count(*) from pg_stat_activity "
            "where datname = current_database()",
            "mariadb": "select count(*) from information_schema.processlist where db = database()",
            "sqlite": "select 1",
        }[self.dialect]
        with self.engine.connect() as connection:
            return int(connection.exec_driver_sql(question).scalar_one()) - 1

    def raw(
        self, columns: str, table: str = "things", where: str = "true"
    ) -> list[tuple[Any, ...]]:
        """Read columns of a raw table, ordered by the first."""
        with self.warehouse.connect() as connection:
            return connection.execute(
                f'select {columns} from raw_test."{table}" where {where} order by 1'
            ).fetchall()


@pytest.fixture(scope="session")
def mariadb_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The socket of a MariaDB server that this test process has started."""
    if not install():
        pytest.skip(
            "MariaDB is not installed and may not be installed: apt-get install mariadb-server"
        )
    # A socket's path may have 107 bytes, which pytest's folders exceed.
    with running(tmp_path_factory.mktemp("m")) as socket:
        yield socket


@pytest.fixture
def postgres(server: Warehouse, warehouse: Warehouse) -> Iterator[Source]:
    """A PostgreSQL database beside the warehouse."""
    name = f"source_{uuid.uuid4().hex[:12]}"
    with server.connect(autocommit=True) as connection:
        connection.execute(f"create database {name}")
    url = server.sqlalchemy_url().set(database=name)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    yield Source(url.render_as_string(hide_password=False), engine, warehouse)
    with server.connect(autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def mariadb(mariadb_socket: str, warehouse: Warehouse) -> Iterator[Source]:
    """A MariaDB database."""
    name = f"source_{uuid.uuid4().hex[:12]}"
    with pymysql.connect(unix_socket=mariadb_socket, user="root", autocommit=True) as connection:
        connection.cursor().execute(f"create database {name} character set utf8mb4")
        url = f"mariadb+pymysql://root@localhost/{name}?unix_socket={mariadb_socket}"
        utc = {"init_command": "set time_zone = '+00:00'"}  # the server's own is another
        engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=utc)
        yield Source(url, engine, warehouse)
        connection.cursor().execute(f"drop database {name}")


@pytest.fixture
def sqlite(tmp_path: Path, warehouse: Warehouse) -> Source:
    """An SQLite file."""
    url = f"sqlite:///{tmp_path / 'source.db'}"
    return Source(url, sa.create_engine(url, poolclass=sa.NullPool), warehouse)


@pytest.fixture(params=DIALECTS)
def source(request: pytest.FixtureRequest) -> Source:
    """A database of each dialect in turn."""
    fixture = {"postgresql": "postgres"}.get(request.param, request.param)
    found: Source = request.getfixturevalue(fixture)
    return found
