"""Who holds a slot of a concurrency limit: kept in PostgreSQL, beside the limits themselves.

A module for Prefect's server, named by PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE. Its own default
keeps leases in memory while the slots they stand for are counted in the database: a server that is
killed forgets who holds what, and the slots stay taken for ever. Here both are in one database.
Prefect looks for expired leases every 15 seconds: a count that then differs from the leases as it
did the time before is made to agree with them, whatever happened.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from prefect.server.concurrency.lease_storage import ConcurrencyLeaseStorage as Storage
from prefect.server.concurrency.lease_storage import ConcurrencyLimitLeaseMetadata
from prefect.server.database import provide_database_interface
from prefect.server.database.configurations import AsyncPostgresConfiguration
from prefect.server.utilities.leasing import ResourceLease

from crmhouse.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import timedelta
    from uuid import UUID

    from prefect.types._concurrency import ConcurrencyLeaseHolder
    from sqlalchemy import CursorResult, Row

    Lease = ResourceLease[ConcurrencyLimitLeaseMetadata]

# Connections of its own: a request waits for its lease while it holds one of Prefect's. Prefect
# keeps a pool for each timeout, so this one must differ from those of the API (10) and vacuum.
_SECONDS = 9.0
_CONNECTIONS = 3

_CREATE = """
    create table if not exists crmhouse_leases (
        id uuid primary key,
        limit_ids uuid[] not null,
        slots integer not null,
        holder jsonb,
        created_at timestamptz not null,
        expires_at timestamptz not null
    )
"""
_INSERT = """
    insert into crmhouse_leases (id, limit_ids, slots, holder, created_at, expires_at) values
        (:id, cast(:limit_ids as uuid[]), :slots, cast(:holder as jsonb), :created_at, :expires_at)
"""
# Rate limits have slots that no lease stands for.
_LEASED = "(select coalesce(sum(slots), 0) from crmhouse_leases where l.id = any(limit_ids))"
_DISAGREE = f"""
    select l.id, l.active_slots - {_LEASED} as excess from concurrency_limit_v2 as l
    where l.slot_decay_per_second = 0 and l.active_slots <> {_LEASED}
"""  # noqa: S608  # no value is in it
_AGREE = f"""
    update concurrency_limit_v2 as l set active_slots = {_LEASED}
    where l.id = :id and l.active_slots - {_LEASED} = :excess
"""  # noqa: S608


class ConcurrencyLeaseStorage(Storage):
    """Leases as rows of `crmhouse_leases`; Prefect makes an object for every use."""

    _prepared: set[str] = set()  # noqa: RUF012  # one of the process: databases with the table
    _differed: dict[UUID, int] = {}  # noqa: RUF012  # the same: limits that did the last time

    async def create_lease(
        self,
        resource_ids: list[UUID],
        ttl: timedelta,
        metadata: ConcurrencyLimitLeaseMetadata | None = None,
    ) -> Lease:
        """Write down who holds slots of these limits, and until when."""
        metadata = metadata or ConcurrencyLimitLeaseMetadata(slots=0)
        lease = ResourceLease(
            resource_ids=resource_ids, metadata=metadata, expiration=datetime.now(UTC) + ttl
        )
        holder = metadata.holder.model_dump_json() if metadata.holder else None
        await self._do(
            _INSERT,
            id=lease.id,
            limit_ids=resource_ids,
            slots=metadata.slots,
            holder=holder,
            created_at=lease.created_at,
            expires_at=lease.expiration,
        )
        return lease

    async def read_lease(self, lease_id: UUID) -> Lease | None:
        """Return a lease, expired or not; None when it was revoked."""
        rows = await self._rows("select * from crmhouse_leases where id = :id", id=lease_id)
        return _lease(rows[0]) if rows else None

    async def renew_lease(self, lease_id: UUID, ttl: timedelta) -> bool:
        """Let a lease last from now on; say whether it is still there."""
        renewed = await self._do(
            "update crmhouse_leases set expires_at = :until where id = :id",
            id=lease_id,
            until=datetime.now(UTC) + ttl,
        )
        return bool(renewed)

    async def revoke_lease(self, lease_id: UUID) -> None:
        """Forget a lease."""
        await self._do("delete from crmhouse_leases where id = :id", id=lease_id)

    async def read_active_lease_ids(self, limit: int = 100, offset: int = 0) -> list[UUID]:
        """Return leases that have not expired."""
        rows = await self._rows(
            "select id from crmhouse_leases where expires_at > now() "
            "order by created_at, id limit :limit offset :offset",
            limit=limit,
            offset=offset,
        )
        return [row.id for row in rows]

    async def read_expired_lease_ids(self, limit: int = 100) -> list[UUID]:
        """Return leases that nobody renewed in time, and make the limits agree with the leases."""
        await self._agree()
        rows = await self._rows(
            "select id from crmhouse_leases where expires_at < now() "
            "order by expires_at limit :limit",
            limit=limit,
        )
        return [row.id for row in rows]

    async def list_holders_for_limit(
        self, limit_id: UUID
    ) -> list[tuple[UUID, ConcurrencyLeaseHolder]]:
        """Return who holds a limit, with the lease."""
        rows = await self._rows(
            "select * from crmhouse_leases where :id = any(limit_ids) "
            "and expires_at > now() and holder is not null",
            id=limit_id,
        )
        held = ((row.id, _lease(row).metadata) for row in rows)
        return [(lease_id, of.holder) for lease_id, of in held if of and of.holder]

    async def _agree(self) -> None:
        """Correct the limits that differ from their leases for longer than a request takes.

        A request of the API takes or gives back slots first, and makes or revokes the lease after
        that has been committed: between the two nothing is wrong, and a slot that was then counted
        anew would be given away twice.
        """
        differ = {row.id: row.excess for row in await self._rows(_DISAGREE)}
        twice = differ.items() & self._differed.items()
        for limit, excess in twice:
            await self._do(_AGREE, id=limit, excess=excess)
        self._differed.clear()
        self._differed.update(differ.items() - twice)

    async def _rows(self, statement: str, **values: object) -> list[Row[Any]]:
        return list((await self._execute(statement, values)).all())

    async def _do(self, statement: str, **values: object) -> int:
        return (await self._execute(statement, values)).rowcount

    async def _execute(self, statement: str, values: dict[str, object]) -> CursorResult[Any]:
        configuration = _configuration()
        engine = await configuration.engine()
        async with engine.begin() as connection:
            if configuration.connection_url not in self._prepared:
                # Two servers that start together would both create the table.
                await connection.execute(
                    sa.text("select pg_advisory_xact_lock(hashtext('leases'))")
                )
                await connection.execute(sa.text(_CREATE))
            result = await connection.execute(sa.text(statement), values)
        self._prepared.add(configuration.connection_url)
        return result


def _configuration() -> AsyncPostgresConfiguration:
    database = provide_database_interface().database_config
    if not isinstance(database, AsyncPostgresConfiguration):
        raise ConfigurationError(
            "flows.lease_storage keeps leases in PostgreSQL, and Prefect's database is another: "
            "set PREFECT_API_DATABASE_CONNECTION_URL to postgresql+asyncpg://…, or take "
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE out of the server's environment."
        )
    configuration = AsyncPostgresConfiguration(connection_url=database.connection_url)
    configuration.timeout = _SECONDS
    configuration.sqlalchemy_pool_size = _CONNECTIONS
    configuration.sqlalchemy_max_overflow = 0
    return configuration


def _lease(row: Row[Any]) -> Lease:
    holder = json.loads(row.holder) if isinstance(row.holder, str) else row.holder
    return ResourceLease(
        id=row.id,
        resource_ids=list(row.limit_ids),
        metadata=ConcurrencyLimitLeaseMetadata(slots=row.slots, holder=holder),
        created_at=row.created_at,
        expiration=row.expires_at,
    )
