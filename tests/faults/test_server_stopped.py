from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fault_loads import WAYS, attempt, converge, land_calmly
from fault_points import before_exchange, before_exchanges
from own_postgres import stop_immediately

from crmhouse.warehouse import Warehouse

if TYPE_CHECKING:
    from pathlib import Path

    from faults import Faults

    from crmhouse.embedded import EmbeddedServer

pytestmark = pytest.mark.xdist_group("own-server")

MOMENTS = 3


@pytest.fixture(scope="package")
def server(own_server: EmbeddedServer) -> Warehouse:
    return Warehouse(own_server.parameters, embedded=True)


@pytest.mark.parametrize("way", ["into an empty table", "by merge", "while columns change"])
def test_a_server_that_stops_in_a_load_has_a_slice_or_nothing_of_it_when_it_is_back(
    own_server: EmbeddedServer, warehouse: Warehouse, tmp_path: Path, faults: Faults, way: str
) -> None:
    load = WAYS[way](tmp_path)
    before, after = land_calmly(load, warehouse, "calm")
    load.begin(warehouse, "count")
    sent: list[str] = []
    with before_exchanges(lambda *about: sent.append(about[-1])):
        load.sync(warehouse, "count")
    last_commit = len(sent) - sent[::-1].index("commit")
    moments = [len(sent) * part // MOMENTS for part in range(1, MOMENTS)]
    for number in sorted({*moments, last_commit, last_commit + 1}):
        name = f"trial_{number}"
        load.begin(warehouse, name)
        with before_exchange(number, lambda *_: stop_immediately(own_server)):
            error = attempt(load, warehouse, name)
        faults.inject("server stopped")
        with own_server.use():
            pass
        assert (error is None) == (number > last_commit)  # then only the source is let go of
        assert load.state(warehouse, name) == (before if error else after), sent[number - 1]
        converge(load, warehouse, name, after, faults)
