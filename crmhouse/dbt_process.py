"""The process that dbt runs in: it loads dbt once, and each call of dbt is a fork of it.

`python -m crmhouse.dbt_process FOLDER` says that dbt is loaded, then reads calls from its standard
input and answers each with its exit code, a line each; FOLDER tells whoever lists processes whose
it is. The parent alone holds the other end of that input: when even a killed parent is gone, the
kernel closes it, and an orphaned dbt cannot go on writing beside the next run.
"""

from __future__ import annotations

import json
import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Self, cast

from crmhouse.errors import TransformFailedError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

_LOADED = b"loaded\n"
_SECONDS_TO_CANCEL = 10.0
_SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class DbtCall:
    """One call of dbt.

    Attributes:
        arguments: of dbt.
        output: the file for what it prints.
        timeout: seconds that it may take, loading dbt included.
        stop: ends it when it is set.
        watch: is called some times a second while it runs, and once after its end.
    """

    arguments: Sequence[str]
    output: Path
    timeout: float
    stop: threading.Event | None = None
    watch: Callable[[], None] | None = None


class DbtProcess:
    """A process with dbt, from the beginning of a block to its end; it ends with all its children.

    Args:
        folder: its working directory, which exists.
        environment: of the process.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._is_loaded = False

    def __enter__(self) -> Self:
        self._running()  # dbt is loaded while others work
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def run(self, call: DbtCall) -> int:
        """Run dbt to its end and return its exit code.

        Raises:
            TransformFailedError: it took longer than it may, or was stopped on request.
        """
        deadline = time.monotonic() + call.timeout
        process, is_asked = self._running(), False
        call.output.unlink(missing_ok=True)
        try:
            answer = _LOADED if self._is_loaded else self._answer(process, call, deadline)
            self._is_loaded = answer == _LOADED
            if self._is_loaded:
                is_asked = True
                self._ask(process, call)
                answer = self._answer(process, call, deadline)
        except BaseException:
            if is_asked:
                self._cancel(process)
            self._end()
            raise
        if call.watch:
            call.watch()
        return int(answer) if answer else self._code_of_an_end(process, call.output)

    def _running(self) -> subprocess.Popen[bytes]:
        """Return the process, started when there is none."""
        if self._process is None:
            self._is_loaded = False
            with self._errors.open("wb") as errors:
                self._process = subprocess.Popen(  # noqa: S603  # our interpreter and module
                    [sys.executable, "-P", "-m", "crmhouse.dbt_process", str(self._folder)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    cwd=self._folder,
                    env=self._environment,
                    start_new_session=True,
                )
        return self._process

    @property
    def _errors(self) -> Path:
        return self._folder / "process.log"

    def _ask(self, process: subprocess.Popen[bytes], call: DbtCall) -> None:
        question = {"arguments": list(call.arguments), "output": str(call.output)}
        with suppress(BrokenPipeError):  # it is gone: its answer will tell
            calls = cast("IO[bytes]", process.stdin)
            calls.write(json.dumps(question).encode() + b"\n")
            calls.flush()

    def _answer(self, process: subprocess.Popen[bytes], call: DbtCall, deadline: float) -> bytes:
        """Wait for the process's next line; an empty one says that the process has ended."""
        while not _has_answer(process, _SECONDS_BETWEEN_LOOKS):
            if call.watch:
                call.watch()
            if call.stop is not None and call.stop.is_set():
                raise TransformFailedError("dbt was stopped on request.")
            if time.monotonic() > deadline:
                raise TransformFailedError(
                    f"dbt took longer than {call.timeout:g} s and was ended; the published marts "
                    f"are unchanged. Its log: {call.output}. dbt.timeout_seconds in crmhouse.yaml "
                    "allows more."
                )
        return cast("IO[bytes]", process.stdout).readline()

    def _code_of_an_end(self, process: subprocess.Popen[bytes], output: Path) -> int:
        """Return the exit code of a process that has ended before its dbt; keep what it said."""
        code = process.wait()
        self._end()
        if not output.exists():
            shutil.copyfile(self._errors, output)
        return code or 1

    def _cancel(self, process: subprocess.Popen[bytes]) -> None:
        """Ask dbt to end, so that it cancels its statements."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        if not _has_answer(process, _SECONDS_TO_CANCEL):
            logger.warning("dbt did not end when asked to; it is killed")

    def _end(self) -> None:
        """End the process and all its children."""
        if self._process is None:
            return
        process, self._process = self._process, None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()  # closes its pipes and waits for it


def _has_answer(process: subprocess.Popen[bytes], seconds: float) -> bool:
    return bool(select.select([process.stdout], [], [], seconds)[0])


def main() -> None:
    """Load dbt, then fork for each call until the parent closes the input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the fork at work
    calls, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed on the way is no answer
    from dbt.cli.main import cli  # noqa: PLC0415  # takes two seconds

    answers.write(_LOADED)
    answers.flush()
    for line in calls:
        working, works = os.pipe()
        child = os.fork()
        if child == 0:
            call = json.loads(line)
            answers.close()
            _speak_into(call["output"])
            signal.signal(signal.SIGINT, signal.default_int_handler)
            cli(call["arguments"], prog_name="dbt")  # ends the fork
        os.close(works)  # held open by the fork alone
        ended, _, _ = select.select([calls, working], [], [])
        if calls in ended:  # no further call comes before the answer: the parent is gone
            os.killpg(os.getpgid(0), signal.SIGKILL)
        os.close(working)
        _, status = os.waitpid(child, 0)
        answers.write(b"%d\n" % os.waitstatus_to_exitcode(status))
        answers.flush()


def _speak_into(output: str) -> None:
    """Give the fork no input, and its output to a file."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    for ours, standard in ((nothing, 0), (file, 1), (file, 2)):
        os.dup2(ours, standard)


if __name__ == "__main__":
    main()
