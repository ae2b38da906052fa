"""Progress on standard error: a bar on a terminal, plain lines elsewhere, JSON if the log is."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from crmhouse.cli.output import say
from crmhouse.log import is_json

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from ingestion.runs import SliceRun

_SECONDS_BETWEEN_LINES = 10


class Progress:
    """Shows what is being done and how far it is; used as a context manager.

    A sync tells it what has arrived and what has landed: it is an `ingestion.sync.Listener`.
    """

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._last = ""
        self._place = ""
        self._began = self._spoke = 0.0

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not is_json():
            from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            from crmhouse.cli.output import talk

            self._bar = Bar(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[detail]}"),
                TimeElapsedColumn(),
                console=talk(),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("starting", total=1.0, detail="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def tell(self, what: str, share: float, detail: str = "") -> None:
        """Say what is being done, in detail if there is any, and the share of the whole, 0 to 1."""
        now = time.monotonic()
        if self._bar and self._task is not None:
            self._bar.update(
                self._task, description=what, total=1.0, completed=share, detail=detail
            )
        elif what != self._last or (detail and now - self._spoke >= _SECONDS_BETWEEN_LINES):
            self._spoke = now
            say(f"[{share:4.0%}] {what}" + (f": {detail}" if detail else ""))
        self._last = what

    def arrived(self, place: str, records: int, expected: int | None) -> None:
        """Say how many records of a slice have arrived, of how many, and how many a second."""
        now = time.monotonic()
        if place != self._place:
            self._place, self._began, self._spoke = place, now, now
        detail = f"{records:,} records"
        if now > self._began:
            detail += f", {records / (now - self._began):,.0f}/s"
        if self._bar and self._task is not None:
            self._bar.update(
                self._task, description=place, total=expected, completed=records, detail=detail
            )
        elif now - self._spoke >= _SECONDS_BETWEEN_LINES:
            self._spoke = now
            say(f"{place}: {detail}")

    def landed(self, run: SliceRun) -> None:
        """Say on a terminal what has just landed; the log tells it elsewhere."""
        self._place = ""
        if self._bar and self._task is not None:
            self._bar.update(
                self._task, description=run.place, detail=f"{run.extracted:,} records landed"
            )
