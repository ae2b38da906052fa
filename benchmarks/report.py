"""The report: medians of the sides, and the ratios beside their targets, as tables and as JSON."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from processes import Took

SIDES = {
    "plain_copy": "plain COPY",
    "plain_changed": "plain COPY and UPDATE, 10 % changed",
    "first_load": "crmhouse, first load",
    "nothing_new": "crmhouse, nothing new",
    "keys_swept": "crmhouse, nothing new, all keys read",
    "changed": "crmhouse, 10 % changed",
    "changed_in_place": "crmhouse, 10 % changed in place",
    "dlt": "dlt, best, first load",
    "dlt_changed": "dlt, best, 10 % changed",
    "dlt_csv": "dlt, best but by CSV, first load",
    "dlt_default": "dlt, default, first load",
    "pandas": "pandas.to_sql, first load",
    "slices_by_one": "crmhouse, slices, 1 process",
    "slices_by_two": "crmhouse, slices, 2 processes",
    "windows_by_one": "crmhouse, windows, 1 process",
    "windows_by_two": "crmhouse, windows, 2 processes",
}
"""All sides by their names in the JSON, in the order in which they are printed."""

SMALL_SIDES = frozenset({"dlt_default", "pandas"})
"""Those that are measured with fewer rows; their rates are compared, not their times."""

_CHANGED_SIDES = frozenset({"plain_changed", "changed", "dlt_changed"})
_IDLE_SIDES = frozenset({"nothing_new", "keys_swept"})


@dataclass(frozen=True)
class Group:
    """The rounds of one source with one number of rows.

    Attributes:
        source: its kind.
        rows: of the table.
        small_rows: of the small table.
        rounds: what each side took, by its name.
    """

    source: str
    rows: int
    small_rows: int
    rounds: Sequence[dict[str, Took]]

    def landed_by(self, side: str) -> int | None:
        """Return how many rows a side lands; None where it finds nothing."""
        if side in _IDLE_SIDES:
            return None
        if side in SMALL_SIDES:
            return self.small_rows
        return -(-self.rows // 10) if side in _CHANGED_SIDES else self.rows

    def of(self, side: str) -> list[Took]:
        """Return what a side took in each round."""
        return [took[side] for took in self.rounds if side in took]


@dataclass(frozen=True)
class Spread:
    """A figure over all rounds."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Take the median and the ends."""
        return cls(*(round(f(values), 5) for f in (statistics.median, min, max)))


@dataclass(frozen=True)
class Target:
    """What a ratio is to reach.

    Attributes:
        bound: the figure.
        at_least: whether the ratio is to be at least that; at most, otherwise.
        rows: of the table from which on it holds.
    """

    bound: float
    at_least: bool = False
    rows: int = 0

    def met(self, value: float, rows: int) -> bool | None:
        """Say whether it is met; None where the table is too small to tell."""
        if rows < self.rows:
            return None
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        words = f"{'at least' if self.at_least else 'at most'} {self.bound:g}"
        return words + (f" from {self.rows:,} rows on" if self.rows else "")


@dataclass(frozen=True)
class Ratio:
    """A ratio beside its target.

    Attributes:
        name: what it tells.
        source: the kind of the source.
        rows: of the table.
        value: over the rounds.
        target: in words; empty where there is none.
        met: whether it is met; None where there is none, or where it is for more rows than these.
    """

    name: str
    source: str
    rows: int
    value: Spread
    target: str = ""
    met: bool | None = None

    @classmethod
    def of(cls, name: str, group: Group, values: Sequence[float], target: Target | None) -> Ratio:
        """Judge the figures of all rounds by their median."""
        value = Spread.of(values)
        met = target.met(value.median, group.rows) if target else None
        return cls(name, group.source, group.rows, value, str(target or ""), met)


def sides(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return what every side took."""
    found = []
    for group in groups:
        for side, label in SIDES.items():
            if not (took := group.of(side)):
                continue
            seconds = Spread.of([each.seconds for each in took])
            landed = group.landed_by(side)
            found.append({
                "source": group.source,
                "table_rows": group.rows,
                "side": side,
                "label": label,
                "rows": landed,
                "seconds": asdict(seconds),
                "rows_per_second": None if landed is None else round(landed / seconds.median),
                "cpu_seconds": round(statistics.median(each.cpu_seconds for each in took), 3),
                "peak_mb": round(max(each.peak_mb for each in took), 1),
            })  # fmt: skip
    return found


def ratios(groups: Sequence[Group]) -> list[Ratio]:
    """Return every ratio that the groups allow."""
    found = [
        Ratio.of(name, group, values, targets.get(group.source, targets.get("")))
        for group in groups
        for name, measured, targets in _RATIOS
        if (values := measured(group))
    ]
    return found + list(_growth(groups))


def _growth(groups: Sequence[Group]) -> Iterator[Ratio]:
    """Compare the memory of a first load of many rows with that of fewer."""
    for large in groups:
        for base in groups:
            if base.source == large.source and base.rows < large.rows:
                most, least = (max(_peaks(group)) for group in (large, base))
                name = f"first load, peak memory against that of {base.rows:,} rows"
                yield Ratio.of(name, large, [most / least], Target(1.1))


def _peaks(group: Group) -> list[float]:
    return [took.peak_mb for took in group.of("first_load")]


def _times(above: str, below: str) -> Callable[[Group], list[float]]:
    """Divide the time of one side by that of another, round by round."""

    def divided(group: Group) -> list[float]:
        pairs = zip(group.of(above), group.of(below), strict=False)
        return [one.seconds / other.seconds for one, other in pairs]

    return divided


def _rates(above: str, below: str) -> Callable[[Group], list[float]]:
    """Divide the rows per second of one side by those of another, round by round."""

    def divided(group: Group) -> list[float]:
        scale = (group.landed_by(above) or 0) / (group.landed_by(below) or 1)
        return [value * scale for value in _times(below, above)(group)]

    return divided


_RATIOS: tuple[tuple[str, Callable[[Group], list[float]], dict[str, Target]], ...] = (
    (
        "first load, share of COPY's rate",
        _times("plain_copy", "first_load"),
        {"": Target(0.5, at_least=True), "postgres": Target(0.7, at_least=True)},
    ),
    (
        "nothing new, share of the first load",
        _times("nothing_new", "first_load"),
        {"": Target(0.01, rows=10_000_000)},
    ),
    (
        "nothing new, all keys read, share of the first load",
        _times("keys_swept", "first_load"),
        {},
    ),
    (
        "10 % changed, share of the first load",
        _times("changed", "first_load"),
        {"": Target(0.25)},
    ),
    (
        "10 % changed, share of plain SQL's rate",
        _times("plain_changed", "changed"),
        {},
    ),
    (
        "10 % changed in place, share of the first load",
        _times("changed_in_place", "first_load"),
        {},
    ),
    (
        "first load, times dlt's best rate",
        _times("dlt", "first_load"),
        {"": Target(3, at_least=True)},
    ),
    ("10 % changed, times dlt's best rate", _times("dlt_changed", "changed"), {}),
    ("first load, times dlt's rate by CSV", _times("dlt_csv", "first_load"), {}),
    ("first load, times dlt's default rate", _rates("first_load", "dlt_default"), {}),
    (
        "first load, times pandas.to_sql's rate",
        _rates("first_load", "pandas"),
        {"": Target(20, at_least=True)},
    ),
    ("first load, peak memory in MB", _peaks, {"": Target(400)}),
    ("slices, times faster by two processes", _times("slices_by_one", "slices_by_two"), {}),
    ("windows, times faster by two processes", _times("windows_by_one", "windows_by_two"), {}),
)
"""All ratios: name, how it is measured, and the target by the kind of source ("": any other)."""
