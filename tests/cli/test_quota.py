"""A quota that is used up is no failure: what has landed stays, and the next sync goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landing_records import fetch
from project import KEYS
from stand_in import standing_in

from simulators.systems import SYSTEMS

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Cli

    from crmhouse.warehouse import Warehouse


def test_a_sync_whose_quota_is_used_up_is_partial_and_the_next_one_completes_it(
    cli: Cli, exports: Path, tmp_path: Path, warehouse: Warehouse
) -> None:
    with standing_in(exports, tmp_path, SYSTEMS) as apis:
        options = {"url": f"{apis.url}/hubspot", "token": "${STAND_IN_HUBSPOT}"}
        crm = {"name": "crm", "kind": "hubspot", "options": options, "streams": ["contacts"]}
        cli.configure(sources=[crm])
        apis.fault("quota_daily", path="objects/contacts")
        said = cli.json("sync", expect=3, **KEYS)["errors"]["crm"]
        assert "answered 429" in said
        assert "the next sync goes on from there" in said
        apis.heal()
        (stream,) = cli.json("sync", **KEYS)["streams"]
        assert stream["inserted"] > 0
    statuses = fetch(warehouse, "select distinct status from ops.sync_runs order by 1")
    assert statuses == [("partial",), ("succeeded",)]
