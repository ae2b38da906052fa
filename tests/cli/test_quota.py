"""A quota that is used up is no failure: what has landed stays, and the next sync goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from landing_records import fetch
from project import KEYS
from stand_in import standing_in

from simulators.systems import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from command_line import Cli
    from stand_in import StandIn

    from crmhouse.warehouse import Warehouse


@pytest.fixture
def apis(exports: Path, tmp_path: Path) -> Iterator[StandIn]:
    with standing_in(exports, tmp_path, SYSTEMS) as running:
        yield running


def configure(cli: Cli, apis: StandIn, streams: list[str] | None, **options: Any) -> None:
    options = {"url": f"{apis.url}/hubspot", "token": "${STAND_IN_HUBSPOT_TOKEN}", **options}
    crm = {"name": "crm", "kind": "hubspot", "options": options, "streams": streams}
    cli.configure(sources=[crm])


def test_a_sync_whose_quota_is_used_up_is_partial_and_the_next_one_completes_it(
    cli: Cli, apis: StandIn, warehouse: Warehouse
) -> None:
    configure(cli, apis, ["contacts"])
    apis.fault("quota_daily", path="objects/contacts")
    said = cli.json("sync", expect=3, **KEYS)["errors"]["crm"]
    assert "answered 429" in said
    assert "the next sync goes on from there" in said
    apis.heal()
    (stream,) = cli.json("sync", **KEYS)["streams"]
    assert stream["inserted"] > 0
    statuses = fetch(warehouse, "select distinct status from ops.sync_runs order by 1")
    assert statuses == [("partial",), ("succeeded",)]


def test_a_quota_that_is_used_up_before_the_streams_are_known_is_partial_too(
    cli: Cli, apis: StandIn, warehouse: Warehouse
) -> None:
    configure(cli, apis, None, objects=["contacts"], custom_objects=True)
    apis.fault("quota_daily", path="schemas")
    checked = cli.json("check", expect=2, **KEYS)
    (problem,) = [one for one in checked if one["outcome"] == "problem"]
    assert "requests of this day are used up" in problem["detail"]
    assert cli.json("sources", **KEYS)[0]["streams"] is None
    for targets in ([], ["crm.contacts"]):
        said = cli.json("sync", *targets, expect=3, **KEYS)["errors"]["crm"]
        assert "429 RATE_LIMITS DAILY" in said
    states = "select stream, status from ops.sync_runs order by started_at"
    assert fetch(warehouse, states) == [("-", "partial"), ("contacts", "partial")]
    apis.heal()
    cli.json("sync", **KEYS)
    assert {one["status"] for one in cli.json("status", **KEYS)["streams"]} == {"succeeded"}
