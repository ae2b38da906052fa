"""Runs the refresh flow in this process, without a Prefect server to start by hand.

Prefect reads its settings once, while it is imported, so this module and everything it imports at
the top leave Prefect alone: settings first, then the import.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from crmhouse.errors import RunFailedError
from flows.progress import listening

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from crmhouse.settings import Settings
    from flows.progress import Listener
    from flows.results import RefreshResult

logger = logging.getLogger(__name__)

API_URL = "PREFECT_API_URL"
_SECONDS_TO_START = (
    300.0  # 18 s for the first start on an idle machine, over a minute on a busy one
)
_SECONDS_TO_END = 5.0
_SECONDS_FOR_ORPHANS = 30.0  # a server without its starter is gone after ten
_HOST = "127.0.0.1"
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def run_refresh(
    settings: Settings,
    *,
    force: bool = False,
    accept: Sequence[str] = (),
    tell: Listener | None = None,
) -> RefreshResult:
    """Run the refresh flow in this process and wait for its end.

    For the command line (`crmhouse run`). When PREFECT_API_URL is set, that server keeps the
    record; otherwise a server of this process does, with its database under `settings.home`, until
    the process ends. Prefect's first import decides, so a process that already imported it must
    have PREFECT_API_URL set.

    Args:
        settings: the project's settings. The flow reads them again from `settings.config_file`
            and the environment, as it does on a worker.
        force: build and publish even when nothing is new.
        accept: results of the gates that count as warnings in this run, `<suite>/<expectation>`.
        tell: is told each step that begins, with the share that is done. Called in this thread.

    Returns:
        What was done. `status` is `partial` when a stream failed; `outcome` is one of
        `crmhouse.pipeline.PUBLISHED` and `NOTHING_NEW`.

    Raises:
        ConfigurationError: a source is not configured as it should be; nothing was started.
        AlreadyRunningError: another run works on this warehouse.
        SyncFailedError: no stream at all could be synced.
        TransformFailedError: dbt reported a failed model or test.
        GateFailedError: a gate is red; says which expectation and how many rows.
        PublishRefusedError: publishing would break what others rely on.
        WarehouseError: the warehouse did not do its part.
        RunFailedError: Prefect's server did not start.
            After any of these the published marts are as they were.
    """
    use_server(settings.home / "prefect")
    # They import Prefect, which reads the settings.
    from prefect import tags  # noqa: PLC0415

    from flows.names import TAG  # noqa: PLC0415
    from flows.refresh import refresh  # noqa: PLC0415

    logging.getLogger("prefect").propagate = False  # the command line tells what there is to tell
    config = str(settings.config_file) if settings.config_file else None
    # As the deployments do: on a server with other users the maintenance knows its runs by the tag.
    with listening(tell), tags(TAG):
        # The flow hands back a state, whose value Prefect's caller gets.
        result = refresh(config=config, force=force, accept=list(accept))
        return cast("RefreshResult", result)


def use_server(home: Path) -> str:
    """Set Prefect up for this process; start a server unless one is named. Return its API's URL.

    Args:
        home: the folder of the server's database and log, when one is started.

    Raises:
        RunFailedError: the server did not start.
    """
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    if url := os.environ.get(API_URL):
        return url
    if "prefect" in sys.modules:
        raise RuntimeError(f"Prefect was imported before {API_URL} was set: it would be ignored")
    home.mkdir(parents=True, exist_ok=True)
    _reach_this_machine_directly()
    os.environ["PREFECT_HOME"] = str(home)
    os.environ[API_URL] = _start(home)
    return os.environ[API_URL]


def _start(home: Path) -> str:
    log = home / "server.log"
    environment = {name: value for name, value in os.environ.items() if name != API_URL}
    # What a full server does beside its API (schedules, late runs) is not needed for one flow.
    environment |= {"PREFECT__SERVER_EPHEMERAL": "1", "PREFECT_UI_ENABLED": "false"}
    with (
        _one_start_at_a_time(home) as starting,
        (home / "servers.lock").open("w") as serving,
        log.open("ab") as errors,
    ):
        if _join(home):
            _wait_for_lock(
                serving, _SECONDS_FOR_ORPHANS,
                f"A Prefect server of a run that is gone still works in {home}. End it (its "
                f"command names flows.local_server), or name a server in {API_URL}.",
            )  # fmt: skip
            errors.truncate(0)
        fcntl.flock(serving, fcntl.LOCK_SH)
        process = subprocess.Popen(  # our interpreter and module
            [sys.executable, "-P", "-m", "flows.local_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            text=True,
            start_new_session=True,  # an interruption at the keyboard is for the flow alone
            # The server holds both locks, too: should we be killed, they are free when it is gone.
            pass_fds=[starting.fileno(), serving.fileno()],
        )
        atexit.register(_stop, process)
        port = process.stdout.readline().strip() if process.stdout else ""
        url = f"http://{_HOST}:{port}/api"
        deadline = time.monotonic() + _SECONDS_TO_START
        while not (port and _answers(f"{url}/health")):
            if process.poll() is not None or time.monotonic() > deadline:
                _stop(process)
                raise RunFailedError(
                    f"Prefect's local server did not start; its log: {log}. Run again, or name a "
                    f"server in {API_URL}."
                )
            time.sleep(0.1)
    return url


def _reach_this_machine_directly() -> None:
    """Take this machine out of what goes through a proxy: Prefect's client asks the environment."""
    hosts = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
    if not {"*", _HOST} & {host.strip() for host in hosts}:
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join([*filter(None, hosts), _HOST])


def _answers(url: str) -> bool:
    try:
        with _direct.open(url, timeout=5) as response:
            return bool(response.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, OSError):
        return False


def _stop(process: subprocess.Popen[str]) -> None:
    """End the server: closing its standard input is enough, unless it hangs."""
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(timeout=_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _one_start_at_a_time(home: Path) -> Iterator[IO[str]]:
    """Let one process create the database; a second would apply the same migrations.

    The server inherits the lock. It is taken off for both when the server answers, and stays on
    where the starter is killed before that, until its server is gone.
    """
    with (home / "starting.lock").open("w") as lock:
        _wait_for_lock(
            lock, _SECONDS_TO_START,
            f"Another process is starting Prefect's server in {home} and does not come to an end. "
            f"End it, or name a server in {API_URL}.",
        )  # fmt: skip
        try:
            yield lock
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)


def _join(home: Path) -> bool:
    """Join the processes that have a server in this home; say whether we are the only one.

    Their servers share the database with ours. A server whose starter is gone is about to end.
    """
    living = os.open(home / "starters.lock", os.O_RDWR | os.O_CREAT)  # closed when we end
    try:
        fcntl.flock(living, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        fcntl.flock(living, fcntl.LOCK_SH)
    return True


def _wait_for_lock(lock: IO[str], seconds: float, otherwise: str) -> None:
    """Take a lock for this process alone.

    Raises:
        RunFailedError: says `otherwise`; somebody held the lock for all the time.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise RunFailedError(otherwise) from None
            time.sleep(0.1)
