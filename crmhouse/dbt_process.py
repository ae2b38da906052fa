"""The process that dbt runs in: it ends, with all its children, when its time or its parent ends.

`python -m crmhouse.dbt_process FD ARGUMENT...` runs dbt with those arguments. FD is the reading
end of a pipe whose other end only the parent holds: when even a killed parent is gone, the kernel
closes that end, and an orphaned dbt cannot go on writing beside the next run.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from crmhouse.errors import TransformFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

_SECONDS_TO_CANCEL = 10.0


def call_dbt(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    output: Path,
    timeout: float,
    stop: threading.Event | None,
    watch: Callable[[], None] | None = None,
) -> int:
    """Run dbt to its end and return its exit code.

    Args:
        arguments: of dbt.
        environment: of dbt.
        output: the file for what it prints.
        timeout: seconds that it may take.
        stop: ends it when it is set.
        watch: is called some times a second while it runs, and once after its end.

    Raises:
        TransformFailedError: it took longer than `timeout` seconds, or `stop` was set.
    """
    deadline = time.monotonic() + timeout
    with _pipe() as (ours, theirs), output.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # our interpreter and arguments
            [sys.executable, "-P", "-m", "crmhouse.dbt_process", str(ours), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=output.parent,
            env=environment,
            pass_fds=[ours],
            start_new_session=True,
        )
        del theirs  # held open by the pipe until dbt has ended
        try:
            while True:
                try:
                    code = process.wait(timeout=0.2)
                except subprocess.TimeoutExpired:
                    if watch:
                        watch()
                    if stop is not None and stop.is_set():
                        raise TransformFailedError("dbt was stopped on request.") from None
                    if time.monotonic() > deadline:
                        raise TransformFailedError(
                            f"dbt took longer than {timeout:g} s and was ended; the published "
                            f"marts are unchanged. Its log: {output}. dbt.timeout_seconds in "
                            "crmhouse.yaml allows more."
                        ) from None
                else:
                    if watch:
                        watch()
                    return code
        finally:
            _end(process)


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """Open a pipe whose writing end lives as long as this process and this block."""
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End dbt and all its children: asked first, so that it cancels its statements."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(timeout=_SECONDS_TO_CANCEL)
        except subprocess.TimeoutExpired:
            logger.warning("dbt did not end when asked to; it is killed")
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    """Watch the parent, then run dbt's command line."""
    parent = int(sys.argv[1])
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    from dbt.cli.main import cli  # noqa: PLC0415  # takes two seconds: the watch starts first

    cli(sys.argv[2:], prog_name="dbt")


def _die_with(parent: int) -> None:
    os.read(parent, 1)
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    main()
