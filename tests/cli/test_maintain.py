"""`crmhouse maintain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from command_line import Cli

    from crmhouse.warehouse import Warehouse

OLD_RUN = """
    insert into ops.pipeline_runs (run_id, status, started_at, finished_at)
    select gen_random_uuid(), 'failed', at, at
    from (select now() - days * interval '1 day' from unnest(array[100, 200, 3]) as days) as t (at)
"""


def test_it_tells_what_it_did_by_the_days_of_the_settings(cli: Cli, warehouse: Warehouse) -> None:
    cli.configure(retention={"runs": 150, "gate_results": None})
    with warehouse.connect() as connection:
        connection.execute(OLD_RUN)
    told = cli.json("maintain")
    assert {(one["table"], one["days"], one["rows"]) for one in told["forgotten"]} == {
        ("sync_runs", 90, 0), ("pipeline_runs", 150, 1), ("gate_results", None, 0),
        ("quarantine", 30, 0),
    }  # fmt: skip
    assert told["dropped"] == []
    assert "Old rows" in cli("maintain")
    assert "ops.pipeline_runs: 0 rows older than 150 days removed" in cli.errors


def test_a_number_of_days_that_is_none_is_refused(cli: Cli) -> None:
    cli.configure(retention={"runs": 0, "rnus": 3})
    cli("maintain", expect=2)
    assert "retention.runs: Input should be greater than or equal to 1" in cli.errors
    assert "retention.rnus: there is no such setting" in cli.errors
