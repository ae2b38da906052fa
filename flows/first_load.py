"""The first load of a large stream: its slices are landed by sub-runs, side by side."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from crmhouse.errors import SourceError
from flows import fan_out, tasks
from ingestion.runs import checkpoints
from ingestion.sources.connector import ByOneProcess, choose

if TYPE_CHECKING:
    from crmhouse.settings import SourceConfig
    from flows.artifacts import Progress
    from flows.work import Work

_SUB_RUNS_PER_SLOT = 4
"""Few enough that starting them costs little, and enough that the last ones end together."""


def share_out(work: Work, source: SourceConfig, stream: str, progress: Progress) -> None:
    """Have sub-runs land the slices of a first load, where there are some, and a work pool.

    What is missing after all lands with the sync of the stream, which follows, or that says why.

    Raises:
        CrmhouseError: the first load could not be planned.
    """
    if isinstance(work.reader(source), ByOneProcess):
        return
    with tasks.errors_of_ours(f"first load of {source.name}.{stream}"):
        landed, names = _load(work, source, stream)
        is_over = landed and landed >= {*names}
        if is_over or not fan_out.is_deployed():
            return
        tasks.plan_first_load(work, source, stream)
        landed, names = _load(work, source, stream)
        if len({*names} - landed) < 2:  # noqa: PLR2004  # nothing to do side by side
            return
        # All slices, landed ones too: each try of this run cuts and names the same parts.
        size = ceil(len(names) / (source.parallel_slices * _SUB_RUNS_PER_SLOT))
        groups = [names[start : start + size] for start in range(0, len(names), size)]
        parts = {f"{source.name}.{stream} {_span(group)}": group for group in groups}

        def missing() -> list[str]:
            landed, _ = _load(work, source, stream)
            return [name for name, group in parts.items() if not landed >= {*group}]

        fan_out.land(
            [fan_out.Part(name, _parameters(work, source, stream, parts[name])) for name in parts],
            missing=missing,
            at_once=source.parallel_slices,
            tell=progress.within,
        )
        work.add_slices_of_sub_runs(source.name)


def _load(work: Work, source: SourceConfig, stream: str) -> tuple[set[str], list[str]]:
    """Return what of a stream has landed, and the names of all slices of a load under way."""
    with work.warehouse.connect() as connection:
        landed = checkpoints(connection, source.name, stream)
    if not landed:
        return set(), []
    reader = work.reader(source)
    try:
        (one,) = choose(reader, source.name, [stream])
    except SourceError:  # its sync will tell, and record it
        return {*landed}, []
    return {*landed}, reader.load_slices(one, landed)


def _span(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def _parameters(
    work: Work, source: SourceConfig, stream: str, names: list[str]
) -> dict[str, str | list[str]]:
    return {
        "source": source.name,
        "run_id": str(work.run_id),
        "stream": stream,
        "load_slices": names,
    }
