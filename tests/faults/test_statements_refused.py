from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fault_loads import PERSONAL, WAYS, attempt, converge, land_calmly
from roles import restricted_role

if TYPE_CHECKING:
    from pathlib import Path

    from faults import Faults

    from crmhouse.warehouse import Warehouse

FAIL = f"""
create function public.fail() returns trigger language plpgsql as $$
    begin raise exception using errcode = tg_argv[0], message = '{PERSONAL} {{' || new || '}}'; end
$$
"""
NEW_ROW = ("raw_refused.contact", "new.id = 'c75'")
OLD_ROW = ("raw_refused.contact", "new.id = 'c40'")
SUCCESS = ("ops.sync_runs", "new.status = 'succeeded'")


@pytest.mark.parametrize(
    ("way", "place", "code", "name"),
    [
        ("by merge", NEW_ROW, "53100", "DiskFull"),
        ("by merge", OLD_ROW, "53400", "ConfigurationLimitExceeded"),
        ("by merge", OLD_ROW, "57014", "QueryCanceled"),
        ("by merge", NEW_ROW, "40P01", "DeadlockDetected"),
        ("by merge", NEW_ROW, "23514", "CheckViolation"),
        ("by merge", ("ops.quarantine", "true"), "53200", "OutOfMemory"),
        ("by merge", ("ops.stream_state", "true"), "53100", "DiskFull"),
        ("by merge", SUCCESS, "53100", "DiskFull"),
        ("into an empty table", ("ops.quarantine", "true"), "53100", "DiskFull"),
        ("into an empty table", ("ops.stream_state", "true"), "53100", "DiskFull"),
        ("into an empty table", SUCCESS, "53100", "DiskFull"),
        ("while columns change", ("ops.schema_changes", "true"), "53100", "DiskFull"),
    ],
)
def test_a_statement_that_is_refused_in_the_middle_of_a_slice_undoes_all_of_it(
    warehouse: Warehouse,
    tmp_path: Path,
    faults: Faults,
    way: str,
    place: tuple[str, str],
    code: str,
    name: str,
) -> None:
    load = WAYS[way](tmp_path)
    before, after = land_calmly(load, warehouse, "calm")
    load.begin(warehouse, "refused")
    if way == "into an empty table":  # what makes the table is not what is tested
        load.sync(warehouse, "refused", until="batch_0")
    table, when = place
    with warehouse.connect() as connection:
        connection.execute(FAIL)
        connection.execute(
            f"create trigger fail before insert or update on {table} for each row "
            f"when ({when}) execute function public.fail('{code}')"
        )
    error = attempt(load, warehouse, "refused")
    assert f"{name}, SQLSTATE {code}" in str(error)
    faults.inject("statement refused")
    assert load.state(warehouse, "refused") == before
    with warehouse.connect() as connection:
        connection.execute("drop function public.fail cascade")
    converge(load, warehouse, "refused", after, faults)


def test_where_the_state_cannot_be_written_no_row_lands_so_none_comes_twice(
    warehouse: Warehouse, tmp_path: Path, faults: Faults
) -> None:
    load = WAYS["by merge"](tmp_path)
    before, after = land_calmly(load, warehouse, "calm")
    load.begin(warehouse, "refused")
    with restricted_role(warehouse) as role:
        name = role.parameters["user"]
        with warehouse.connect() as connection:
            connection.execute(f"grant usage on schema ops, raw_refused to {name}")
            connection.execute(f"grant all on all tables in schema ops, raw_refused to {name}")
            connection.execute(f"revoke insert on ops.stream_state from {name}")
        assert "InsufficientPrivilege, SQLSTATE 42501" in str(attempt(load, role, "refused"))
        faults.inject("right missing")
        assert load.state(warehouse, "refused") == before
        with warehouse.connect() as connection:
            connection.execute(f"grant insert on ops.stream_state to {name}")
        converge(load, role, "refused", after, faults)
