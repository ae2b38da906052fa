from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from file_sources import export, files, sync, write
from landing_records import fetch

from crmhouse.errors import ConfigurationError, RunFailedError, SourceRefusedError, SyncFailedError
from crmhouse.rules import RowRule

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crmhouse.errors import CrmhouseError
    from crmhouse.warehouse import Warehouse

FAILED = "select stream, slice, status, error from ops.sync_runs where status = 'failed'"


def break_link(_: Warehouse, folder: Path) -> None:
    (folder / "batch_2/stripe").mkdir(parents=True)
    (folder / "batch_2/stripe/charges.jsonl").symlink_to(folder / "gone")


def write_carriage_returns(_: Warehouse, folder: Path) -> None:
    write(folder, "batch_2/stripe/charges.csv", "id,amount\r1,2\r")


def change_type(warehouse: Warehouse, _: Path) -> None:
    with warehouse.connect() as connection:
        connection.execute("alter table raw_stripe.charges alter column amount type integer")


def take_schema_away(warehouse: Warehouse, _: Path) -> None:
    with warehouse.connect() as connection:
        connection.execute("alter table ops.schema_changes rename to moved")
        connection.execute("drop table raw_stripe.charges")


@pytest.mark.parametrize(
    ("do_harm", "slice_", "kind", "says"),
    [
        (
            break_link,
            "batch_2/stripe/charges.jsonl",
            SourceRefusedError,
            r"FileNotFoundError at .*charges\.jsonl",
        ),
        (write_carriage_returns, "batch_2/stripe/charges.csv", SourceRefusedError, "LF or CRLF"),
        (change_type, "-", ConfigurationError, "column amount has the type integer"),
        (take_schema_away, "-", RunFailedError, "UndefinedTable, SQLSTATE 42P01"),
    ],
)
def test_whatever_breaks_one_stream_is_recorded_and_the_others_are_synced(
    warehouse: Warehouse,
    tmp_path: Path,
    do_harm: Callable[[Warehouse, Path], None],
    slice_: str,
    kind: type[CrmhouseError],
    says: str,
) -> None:
    write(tmp_path, "batch_1/stripe/charges.jsonl", '{"id": "a", "amount": 1}\n')
    sync(warehouse, export(tmp_path, "stripe"))
    do_harm(warehouse, tmp_path)
    write(tmp_path, "batch_2/stripe/customers.jsonl", '{"id": "c"}\n')
    with pytest.raises(SyncFailedError, match=says) as caught:
        sync(warehouse, export(tmp_path, "stripe"))
    assert [type(cause) for cause in caught.value.causes] == [kind]
    assert [run.slice for run in caught.value.runs] == ["batch_2/stripe/customers.jsonl"]
    [(stream, failed, _, error)] = fetch(warehouse, FAILED)
    assert (stream, failed) == ("charges", slice_)
    assert error in str(caught.value)


def test_a_fault_in_the_rules_is_the_streams_and_quotes_no_value(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    write(tmp_path, "a.csv", "id,v\n1,secret\n")
    rule = RowRule("number", "v::int > 0", "v must be a number")
    with pytest.raises(SyncFailedError, match="SQLSTATE 22P02") as caught:
        sync(warehouse, files(tmp_path), rules=lambda *_: [rule])
    assert "secret" not in str(caught.value)
    assert fetch(warehouse, FAILED)[0][:2] == ("things", "a.csv")


def test_a_lost_lock_does_not_turn_a_sync_that_landed_into_a_failure(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    write(tmp_path, "a.csv", "id\n1\n")

    def lose_the_lock(*_: str) -> list[RowRule]:
        fetch(
            warehouse,
            "select pg_terminate_backend(pid, 5000) from pg_locks "
            "where locktype = 'advisory' and database = "
            "(select oid from pg_database where datname = current_database())",
        )
        return []

    assert sync(warehouse, files(tmp_path), rules=lose_the_lock)["a.csv"].inserted == 1


def test_a_failure_that_cannot_be_recorded_is_reported_all_the_same(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    write(tmp_path, "a.csv", "id,id\n1,2\n")
    with warehouse.connect() as connection:
        connection.execute("alter table ops.sync_runs rename to moved")
    with pytest.raises(SyncFailedError, match="names id twice"):
        sync(warehouse, files(tmp_path))
