"""The bound on how many slices of a source are read at once, over all flows.

It is a global concurrency limit of Prefect, `source-<name>`, that `crmhouse deploy` makes. A server
without it, such as the one of `crmhouse run` alone, and one that does not answer, set no bound.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

import httpx
from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound

from crmhouse.errors import AlreadyRunningError

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

_LEASE_SECONDS = 60.0
"""How long a killed holder keeps its slot: the least that Prefect allows."""


def limit_of(source: str) -> str:
    """Return the name of a source's limit."""
    return f"source-{source}"


@contextmanager
def one_slot_of(source: str, patience: float) -> Iterator[None]:
    """Hold one of a source's slots while the block runs.

    Args:
        source: the source's name.
        patience: seconds to wait for a slot.

    Raises:
        AlreadyRunningError: others hold all of them for all the time.
    """
    name = limit_of(source)
    try:
        is_bounded = _exists(name)
    except httpx.HTTPError as error:
        logger.warning("Prefect's server does not tell its limits: %s", type(error).__name__)
        is_bounded = False
    if not is_bounded:
        yield
        return
    slot = concurrency(
        name,
        timeout_seconds=patience,
        lease_duration=_LEASE_SECONDS,
        raise_on_lease_renewal_failure=False,  # what is read is right without it, too
    )
    try:
        slot.__enter__()
    except TimeoutError:
        raise AlreadyRunningError(
            f"Source {source}: other flow runs hold all slots of its limit {name}, for "
            f"{patience:.0f} s now. Wait for them to end, or raise `parallel_slices` and deploy."
        ) from None
    except ConcurrencySlotAcquisitionError:
        logger.warning("Prefect's server does not answer: %s is not bounded now", source)
        yield
        return
    try:
        yield
    finally:
        try:
            slot.__exit__(None, None, None)
        except httpx.HTTPError as error:  # the lease ends by itself
            logger.warning("slot of %s not given back: %s", name, type(error).__name__)


@lru_cache
def _exists(name: str) -> bool:
    """Say whether the server has the limit; asked once a process."""
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            return False
    return True
