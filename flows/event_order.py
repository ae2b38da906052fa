"""The order of a run's events: nobody waits for an event that does not come.

A module for Prefect's server, named by PREFECT_SERVER_EVENTS_CAUSAL_ORDERING. Before its triggers
look at an event of a run they wait until they have seen the one before it, for a quarter of an hour
at most. Two never come: what the server saw before it was started again, since what it has seen is
in memory; and that a run was scheduled, since the scheduler makes runs without an event. The crash
of such a run would be answered that late. Here both count as seen.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from prefect.server.database import provide_database_interface
from prefect.server.events.ordering.memory import CausalOrdering as InMemory

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.server.events.schemas.events import ReceivedEvent

_STARTED = datetime.now(UTC)


class CausalOrdering(InMemory):
    """Prefect's own, that also knows what the server before it has seen."""

    async def wait_for_leader(self, event: ReceivedEvent) -> None:
        """Let an event pass whose predecessor does not come any more.

        Raises:
            EventArrivedEarly: its predecessor has not been seen; it is looked at after that.
        """
        leader = event.follows
        if leader is None or await self.event_has_been_seen(leader):
            return
        if await _was_seen_before(leader) or await _is_of_the_scheduler(leader):
            return
        await super().wait_for_leader(event)


async def _was_seen_before(event_id: UUID) -> bool:
    database = provide_database_interface()
    return await _finds(
        sa.select(database.Event.id).where(
            database.Event.id == event_id, database.Event.received < _STARTED
        )
    )


async def _is_of_the_scheduler(event_id: UUID) -> bool:
    """Say whether an event would be that the scheduler made a run: it has the state's id."""
    database = provide_database_interface()
    state, run = database.FlowRunState, database.FlowRun
    return await _finds(
        sa.select(state.id)
        .join(run, run.id == state.flow_run_id)
        .where(state.id == event_id, state.name == "Scheduled", run.auto_scheduled.is_(True))
    )


async def _finds(query: sa.Select[tuple[UUID]]) -> bool:
    async with provide_database_interface().session_context() as session:
        return (await session.execute(query)).first() is not None
