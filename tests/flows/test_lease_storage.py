"""A limit and its leases are made to agree, but not while a request is between the two."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from prefect.server.concurrency.lease_storage import ConcurrencyLimitLeaseMetadata
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, temporary_settings
from prefect_server import url_of_database

from flows import lease_storage

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse


def test_a_limit_is_corrected_when_it_differs_for_the_second_time(warehouse: Warehouse) -> None:
    taken, drifted, rate = (uuid.uuid4() for _ in range(3))
    url = url_of_database(warehouse, warehouse.parameters["dbname"])

    with warehouse.connect(autocommit=True) as connection:
        connection.execute(
            "create table concurrency_limit_v2 "
            "(id uuid primary key, active_slots int, slot_decay_per_second float)"
        )  # the part of Prefect's own that is looked at
        for limit, decay in ((taken, 0), (drifted, 0), (rate, 1.5)):
            connection.execute(
                "insert into concurrency_limit_v2 values (%s, 1, %s)", [limit, decay]
            )

        def slots() -> dict[uuid.UUID, int]:
            return dict(connection.execute("select id, active_slots from concurrency_limit_v2"))

        async def passes() -> None:
            storage = lease_storage.ConcurrencyLeaseStorage()
            assert await storage.read_expired_lease_ids() == []
            assert slots() == {taken: 1, drifted: 1, rate: 1}  # either may be a request at work
            one = ConcurrencyLimitLeaseMetadata(slots=1)
            lease = await storage.create_lease([taken], timedelta(minutes=5), one)
            await storage.read_expired_lease_ids()
            assert slots() == {taken: 1, drifted: 0, rate: 1}
            # One is given back while another is being taken: it differs again, and otherwise.
            await storage.revoke_lease(lease.id)
            await storage.read_expired_lease_ids()
            connection.execute("update concurrency_limit_v2 set active_slots = active_slots + 1")
            await storage.read_expired_lease_ids()
            assert slots() == {taken: 2, drifted: 1, rate: 2}
            await storage.read_expired_lease_ids()
            assert slots() == {taken: 0, drifted: 0, rate: 2}
            await (await lease_storage._configuration().engine()).dispose()  # noqa: SLF001

        with temporary_settings({PREFECT_API_DATABASE_CONNECTION_URL: url}):
            asyncio.run(passes())
