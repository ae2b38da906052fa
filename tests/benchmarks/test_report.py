from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
try:
    import report  # the benchmarks are scripts, not a package
    from processes import Took
finally:
    sys.path.remove(str(BENCHMARKS))

ROUNDS = [
    {
        "plain_copy": Took(5, 0, 50),
        "first_load": Took(first, 0, 200),
        "dlt": Took(30, 0, 400),
        "dlt_default": Took(20, 0, 300),
        "pandas": Took(10, 0, 300),
    }
    for first in (8, 10, 12)
]


def ratio(name: str, source: str = "csv", rows: int = 1_000_000) -> report.Ratio:
    group = report.Group(source, rows, 100_000, ROUNDS)
    (found,) = (ratio for ratio in report.ratios([group]) if ratio.name == name)
    return found


def test_the_median_round_counts_and_the_least_and_the_most_are_told() -> None:
    found = ratio("first load, share of COPY's rate")
    assert found.value == report.Spread(0.5, round(5 / 12, 5), 0.625)


@pytest.mark.parametrize(("source", "met"), [("csv", True), ("postgres", False)])
def test_a_database_has_a_higher_target_than_a_file(source: str, met: bool) -> None:
    assert ratio("first load, share of COPY's rate", source).met is met


def test_where_one_side_has_fewer_rows_the_rates_are_compared_and_not_the_times() -> None:
    assert ratio("first load, times dlt's best rate").value.median == 3
    assert ratio("first load, times dlt's default rate").value.median == 20
    assert ratio("first load, times pandas.to_sql's rate").value.median == 10
    assert ratio("first load, times pandas.to_sql's rate").met is False


@pytest.mark.parametrize(("rows", "met"), [(9_999_999, None), (10_000_000, False)])
def test_a_target_for_many_rows_is_not_judged_with_fewer(rows: int, met: bool | None) -> None:
    rounds = [{"first_load": Took(10, 0, 1), "nothing_new": Took(1, 0, 1)}]
    found = report.ratios([report.Group("csv", rows, 100, rounds)])
    assert {each.name: each.met for each in found}["nothing new, share of the first load"] is met


def test_memory_of_many_rows_is_compared_with_that_of_fewer_of_the_same_source() -> None:
    small = report.Group("csv", 10, 10, [{"first_load": Took(1, 0, 200)}])
    large = report.Group("csv", 100, 10, [{"first_load": Took(1, 0, 230)}])
    other = report.Group("parquet", 100, 10, [{"first_load": Took(1, 0, 900)}])
    growth = [r for r in report.ratios([small, large, other]) if "against" in r.name]
    assert [(r.source, r.rows, r.value.median, r.met) for r in growth] == [
        ("csv", 100, 1.15, False)
    ]
