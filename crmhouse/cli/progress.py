"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

import click

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from ingestion.runs import SliceRun


class Progress:
    """Shows what is being done and how far it is; used as a context manager."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._last = ""

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            from crmhouse.cli.output import talk

            self._bar = Bar(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                TimeElapsedColumn(),
                console=talk(),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("starting", total=1.0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def tell(self, what: str, share: float) -> None:
        """Say what begins now, and the share of the whole that is done, 0 to 1."""
        if self._bar and self._task is not None:
            self._bar.update(self._task, description=what, completed=share)
        elif what != self._last:
            click.echo(f"[{share:4.0%}] {what}", err=True)
        self._last = what

    def landed(self, run: SliceRun) -> None:
        """Say on a terminal what has just landed; the log tells it elsewhere."""
        if self._bar and self._task is not None:
            text = f"{run.source}.{run.stream} {run.slice}: {run.extracted:,} records"
            self._bar.update(self._task, description=text)
