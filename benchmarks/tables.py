"""The report as it is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from report import Ratio


def lines(facts: dict[str, Any], sides: Sequence[dict[str, Any]], ratios: Sequence[Ratio]) -> str:
    """Write the report out.

    Args:
        facts: what was run, where and with which versions.
        sides: as `report.sides` has them.
        ratios: as `report.ratios` has them.
    """
    return "\n".join([*_head(facts), "", *_sides(sides), "", *_ratios(ratios)])


def _head(facts: dict[str, Any]) -> Iterator[str]:
    machine = facts["machine"]
    yield facts["command"]
    yield (
        f"{facts['started_at']}, {machine['cores']} cores, {machine['memory_gb']} GB of memory, "
        f"load at the start {machine['load']}"
    )
    for name, versions in facts["versions"].items():
        yield f"{name}: " + ", ".join(f"{what} {version}" for what, version in versions.items())
    yield (
        f"Median of {facts['rounds']} rounds, the least and the most. Plain COPY reads CSV for "
        "Parquet too. The default of dlt and pandas.to_sql get "
        f"{facts['small_rows']:,} rows; their rates are compared."
    )
    yield "CPU and memory are those of the loading process, not of the server."


def _sides(sides: Sequence[dict[str, Any]]) -> Iterator[str]:
    heads = ("seconds", "least", "most", "rows/s", "CPU s", "peak MB")
    yield f"{'source':10}{'side':38}{'rows':>12}" + "".join(f"{head:>10}" for head in heads)
    for side in sides:
        seconds = side["seconds"]
        rows, rate = (f"{n:,}" if n is not None else "-" for n in _counts(side))
        yield (
            f"{side['source']:10}{side['label']:38}{rows:>12}{seconds['median']:10.2f}"
            f"{seconds['min']:10.2f}{seconds['max']:10.2f}{rate:>10}"
            f"{side['cpu_seconds']:10.2f}{side['peak_mb']:10.0f}"
        )


def _counts(side: dict[str, Any]) -> tuple[int | None, int | None]:
    return side["rows"], side["rows_per_second"]


def _ratios(ratios: Sequence[Ratio]) -> Iterator[str]:
    heads = ("median", "least", "most")
    yield f"{'source':10}{'ratio':56}{'table rows':>12}" + "".join(f"{h:>10}" for h in heads)
    for ratio in ratios:
        value = ratio.value
        met = {True: ": met", False: ": MISSED", None: ""}[ratio.met]
        yield (
            f"{ratio.source:10}{ratio.name:56}{ratio.rows:>12,}{value.median:10.3f}"
            f"{value.min:10.3f}{value.max:10.3f}  {ratio.target}{met}"
        ).rstrip()
