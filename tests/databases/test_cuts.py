"""Cuts: a first load in slices, whatever its key looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Source

TIME = {"postgresql": "timestamptz", "mariadb": "timestamp(6)", "sqlite": "datetime"}
CUT: dict[str, Any] = {"cursor": "updated_at", "sweep_every_hours": 0, "slice_rows": 1000}
ROWS = 3500


def of_letters(number: int) -> str:
    """Texts that collations order differently: cases, accents, digits, spaces."""
    return "".join("aAbBäÄzZ-_9 é'"[number // 14**place % 14] for place in range(4)) + "."


KEYS: dict[str, tuple[str, Any]] = {
    "negative and sparse": ("bigint", lambda n: (n - 1700) * 5_000_000_000_000_003),
    "huge decimals": ("decimal(38, 0)", lambda n: str(10**30 + n * 3)),
    "texts": ("varchar(20)", lambda n: f"k{n}x"),
    "times": (
        "timestamp(6)",
        lambda n: f"2026-01-01 {n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d}",
    ),
    "days": ("date", lambda n: f"{2010 + n // 336}-{1 + n // 28 % 12:02d}-{1 + n % 28:02d}"),
}


def load(source: Source, columns: str, rows: list[dict[str, Any]], names: str) -> None:
    time = TIME[source.dialect]
    source.execute(f"create table things (updated_at {time} not null, {columns})")
    source.fill(f"insert into things values ('2026-01-01 00:00:00', {names})", rows)
    runs = source.sync({"things": CUT})
    assert len(runs) > 3
    assert source.raw("count(*)") == [(len(rows),)]
    again = source.sync({"things": CUT})
    assert all(run.changed == 0 for run in again.values()), again


@pytest.mark.parametrize("name", KEYS)
def test_a_key_of_every_kind_is_cut_without_loss(source: Source, name: str) -> None:
    kind, value = KEYS[name]
    if source.dialect == "sqlite" and name == "huge decimals":
        pytest.skip("SQLite makes floats of them")
    rows = [{"id": value(number)} for number in range(ROWS)]
    load(source, f"id {kind} primary key", rows, ":id")


def test_texts_are_cut_in_the_order_of_their_collation(source: Source) -> None:
    binary = " collate utf8mb4_bin" if source.dialect == "mariadb" else ""
    rows = [{"id": of_letters(number)} for number in range(ROWS)]
    load(source, f"id varchar(20){binary} primary key", rows, ":id")


def test_texts_that_differ_by_case_alone_are_one_key_of_mariadb(mariadb: Source) -> None:
    rows = [{"a": "aA"[number % 2] + str(number // 1200), "b": number} for number in range(ROWS)]
    load(mariadb, "a varchar(9), b integer, primary key (a, b)", rows, ":a, :b")


def test_one_value_with_more_rows_than_a_slice_is_a_slice_of_its_own(source: Source) -> None:
    rows = [{"a": 7 if number < 2500 else number, "b": number} for number in range(ROWS + 2000)]
    load(source, "b integer, a integer, primary key (a, b)", rows, ":b, :a")


def test_uuids_are_cut_without_loss(postgres: Source) -> None:
    postgres.execute(
        "create table things (id uuid primary key default gen_random_uuid(), "
        "updated_at timestamptz not null)",
        f"insert into things (updated_at) select '2026-01-01' from generate_series(1, {ROWS})",
    )
    assert len(postgres.sync({"things": CUT})) > 3
    assert postgres.raw("count(*)") == [(ROWS,)]


def test_rows_of_a_view_without_a_key_value_are_kept_back_by_the_first_slice(
    postgres: Source,
) -> None:
    postgres.execute(
        "create view things as select nullif(n, 5) as id, timestamptz '2026-01-01' as updated_at "
        f"from generate_series(1, {ROWS}) as n"
    )
    runs = postgres.sync({"things": {**CUT, "key": ["id"]}})
    assert next(name for name, run in runs.items() if run.quarantined) == "load 0001"
    assert postgres.raw("count(*)") == [(ROWS - 1,)]
