"""Syncs that are cut short, and go on."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hubspot_account import UNLIMITED, at, record

from crmhouse.errors import SyncFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hubspot_account import Account

    Of = Callable[..., Account]

MANY = [record(n) for n in range(1, 1001)]
BY_SEARCH = {"searches_per_second": 1e9, "window_rows": 200}


@pytest.mark.parametrize("options", [{"slice_rows": 200}, BY_SEARCH], ids=["list", "search"])
@pytest.mark.parametrize("requests", [0, 4, 9])
def test_a_first_load_that_is_cut_short_goes_on_and_misses_no_change(
    of: Of, requests: int, options: dict[str, Any]
) -> None:
    changed = [record(5, at(0, day=9)), record(2000, at(1, day=9))]
    made = of({"contacts": MANY}, {"contacts": changed})
    made.service.access.limits = replace(UNLIMITED, daily=1 + requests)
    with pytest.raises(SyncFailedError, match="DAILY"):
        made.sync(**options)
    made.service.access.limits = UNLIMITED
    made.running.advance()
    made.sync(**options)
    made.sync(**options)
    assert made.alive() == [*range(1, 1001), 2000]
    [(day,)] = made.raw("extract(day from updated_at)", where="id = '5'")
    assert day == 9


def test_a_slice_that_is_read_twice_is_the_same(of: Of) -> None:
    made = of({"contacts": MANY})
    connector = made.connector()
    [stream] = connector.only(["contacts"]).streams()
    with closing(connector.slices(stream, {})) as slices:
        part = next(slices)
        once, twice = ([row for batch in part.read() for row in batch.fields["id"]]
                       for _ in range(2))  # fmt: skip
        assert once == twice == [str(n) for n in range(1, 1001)]
        assert part.checkpoint()["done"] is True
