"""The first load of a large stream: its slices are landed by sub-runs, side by side."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from flows import fan_out, tasks
from ingestion.runs import checkpoints
from ingestion.sources.connector import ByOneProcess

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
    reader = work.reader(source)
    if isinstance(reader, ByOneProcess) or not fan_out.is_deployed():
        return
    names = tasks.plan_first_load(work, source, stream)
    if len(names) < 2:  # noqa: PLR2004  # nothing to do side by side
        return
    size = ceil(len(names) / (source.parallel_slices * _SUB_RUNS_PER_SLOT))
    groups = [names[start : start + size] for start in range(0, len(names), size)]
    parts = {f"{source.name}.{stream} {_span(group)}": group for group in groups}
    (one,) = reader.only([stream]).streams()

    def missing() -> list[str]:
        with work.warehouse.connect() as connection:
            landed = checkpoints(connection, source.name, stream)
        left = set(reader.open_slices(one, landed))
        return [name for name, group in parts.items() if left & {*group}]

    fan_out.land(
        [fan_out.Part(name, _parameters(work, source, stream, parts[name])) for name in parts],
        missing=missing,
        at_once=source.parallel_slices,
        tell=progress.within,
    )
    work.add_slices_of_sub_runs(source.name)


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
