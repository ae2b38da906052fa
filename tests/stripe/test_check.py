"""What a check says of an account that cannot be read, and that no secret is told."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from stripe_account import account, customer, lay_out, source, stand_in_of, sync

from crmhouse.errors import ConfigurationError, SyncFailedError
from ingestion.sources import connector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stand_in import StandIn

    from crmhouse.warehouse import Warehouse

RESTRICTED = "rk_test_restricted_9876"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[StandIn]:
    with account(lay_out(tmp_path / "data", {"customers": [customer(1)]}), tmp_path) as running:
        yield running


def problems(running: StandIn, *streams: str, **options: Any) -> list[str]:
    return connector(*source(running, *streams, **options)).check()


def test_a_key_that_was_revoked_is_told(running: StandIn) -> None:
    running.fault("key_revoked")
    assert "api_key_expired" in problems(running, "customers")[0]


def test_the_missing_permission_of_a_restricted_key_is_named(running: StandIn) -> None:
    keys = stand_in_of(running).access.keys
    keys[RESTRICTED] = frozenset({"rak_customer_read", "rak_event_read"})
    assert problems(running, "customers", api_key=RESTRICTED) == []
    keys[RESTRICTED] = frozenset({"rak_customer_read"})
    (said,) = problems(running, "customers", api_key=RESTRICTED)
    assert "the permission rak_event_read" in said


def test_a_missing_permission_fails_its_stream_alone(
    running: StandIn, warehouse: Warehouse
) -> None:
    stand_in_of(running).access.keys[RESTRICTED] = frozenset(
        {"rak_customer_read", "rak_event_read"}
    )
    with pytest.raises(SyncFailedError, match="rak_charge_read") as caught:
        sync(warehouse, source(running, "charges", "customers", api_key=RESTRICTED))
    assert len(caught.value.causes) == 1
    assert RESTRICTED not in str(caught.value)


def test_another_host_is_told_from_a_wrong_key(running: StandIn) -> None:
    (said,) = problems(running, "customers", url=f"{running.url}/_simulator/state")
    assert "see that the option url is right" in said


def test_a_host_where_nothing_listens_is_told(running: StandIn) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        (said,) = problems(running, url=url)
    assert "nothing listens there" in said


def test_a_host_that_does_not_exist_is_told(running: StandIn) -> None:
    (said,) = problems(running, url="https://no-such-host.invalid")
    assert "no such host" in said or "is there a network" in said


def test_a_version_that_stripe_does_not_know_is_told(running: StandIn) -> None:
    running.fault("status", status=400)
    (said,) = problems(running, "customers")
    assert "the option version" in said


def test_a_publishable_key_is_refused_at_once(running: StandIn) -> None:
    with pytest.raises(ConfigurationError, match="publishable") as caught:
        problems(running, api_key="pk_test_abc987")
    assert "abc987" not in str(caught.value)
