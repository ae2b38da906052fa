from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from crmhouse.settings import Settings
from flows.results import StreamFailure
from flows.work import Work

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse

STREAMS = {"crm": ("contacts", "deals"), "shop": ()}
SILENT = StreamFailure("shop", "-", "the shop does not answer")
USED_UP = [StreamFailure("crm", name, "429", is_quota=True) for name in STREAMS["crm"]]


@pytest.mark.parametrize(
    ("failures", "failed"),
    [
        ([], False),
        ([SILENT], False),
        ([*USED_UP, SILENT], True),
        ([*USED_UP, StreamFailure("shop", "-", "429", is_quota=True)], False),
    ],
)
def test_a_run_has_failed_when_nothing_could_be_read_and_not_for_the_limits_of_the_day_alone(
    warehouse: Warehouse, failures: list[StreamFailure], *, failed: bool
) -> None:
    work = Work(warehouse, Settings(), uuid.uuid4(), STREAMS)
    work.failures += failures
    assert work.has_failed() == failed
