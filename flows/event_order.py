"""The order of a run's events, over a restart of Prefect's server.

A module for Prefect's server, named by PREFECT_SERVER_EVENTS_CAUSAL_ORDERING. Before its triggers
look at an event of a run they wait until they have seen the one before it. What they have seen is
in memory, so a server that has just started waits for events that its predecessor saw: the crash of
a run that began shortly before would be answered a quarter of an hour later. Here, what was written
down before this server started counts as seen.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from prefect.server.database import provide_database_interface
from prefect.server.events.ordering import PRECEDING_EVENT_LOOKBACK
from prefect.server.events.ordering.memory import CausalOrdering as InMemory

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.server.events.schemas.events import ReceivedEvent

_STARTED = datetime.now(UTC)


class CausalOrdering(InMemory):
    """Prefect's own, that also knows what the server before it has seen."""

    async def wait_for_leader(self, event: ReceivedEvent) -> None:
        """Let an event pass whose predecessor came before this server started.

        Raises:
            EventArrivedEarly: its predecessor has not been seen; it is looked at after that.
        """
        # Later than that nobody waits for an event of before: Prefect links close ones only.
        is_young = event.received < _STARTED + PRECEDING_EVENT_LOOKBACK
        if event.follows and is_young and await _came_before(event.follows):
            return
        await super().wait_for_leader(event)


async def _came_before(event_id: UUID) -> bool:
    database = provide_database_interface()
    known = sa.select(database.Event.id).where(
        database.Event.id == event_id, database.Event.received < _STARTED
    )
    async with database.session_context() as session:
        return (await session.execute(known)).first() is not None
