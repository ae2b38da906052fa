"""What tests of recovery do with runs and their processes: find them, kill them, wait for them."""

from __future__ import annotations

import copy
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from moments import content, holds
from prefect_server import POOL, PrefectServer, wait_for

from ingestion.locks import open_locks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crmhouse.warehouse import Warehouse

ROOT = Path(__file__).parents[2]
ELSEWHERE = "elsewhere"
RECOVERY = ROOT / "deployments" / "automations" / "recovery.yaml"
GRACE = 60  # what the platform grants a pod to leave
_SECONDS = 900  # of patience: on a busy machine a refresh takes minutes


@dataclass(frozen=True)
class Deployment:
    """A deployment on a server, with a schedule that is paused."""

    server: PrefectServer
    id: str

    def scheduled_run(self) -> dict[str, Any]:
        """Let the schedule go on until a worker has taken a run of it, and that run runs."""
        before = {run["id"] for run in self.server.runs(self.id)}

        def taken() -> dict[str, Any] | None:
            new = (run for run in self.server.runs(self.id) if run["id"] not in before)
            return next((run for run in new if run["state_type"] in {"PENDING", "RUNNING"}), None)

        # Once, soon: the scheduler may add runs to a deployment that is being paused.
        (schedule,) = self.server.call(f"/deployments/{self.id}/schedules")
        soon = datetime.now(UTC) + timedelta(seconds=12)
        once = {**schedule["schedule"], "interval": _SECONDS - 60, "anchor_date": soon.isoformat()}
        path = f"/deployments/{self.id}/schedules/{schedule['id']}"
        self.server.call(path, {"schedule": once, "active": True}, "PATCH")
        self.server.call(f"/deployments/{self.id}/resume_deployment", {})
        try:
            found: dict[str, Any] = wait_for(taken, seconds=_SECONDS, what="a scheduled run")
        finally:
            self.server.call(f"/deployments/{self.id}/pause_deployment", {})
        assert found["auto_scheduled"] is True
        return wait_for_state(self.server, found, "Running")

    def run_by_hand(self, **parameters: Any) -> dict[str, Any]:
        """Put a run in the queue."""
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        found: dict[str, Any] = self.server.call(f"/deployments/{self.id}/create_flow_run", body)
        return found


def deploy(
    server: PrefectServer, folder: Path, wanted: dict[str, dict[str, Any]]
) -> dict[str, Deployment]:
    """Deploy variants of the repository's deployments, with schedules that are paused.

    Args:
        server: where to.
        folder: where their prefect.yaml is written; their runs start there.
        wanted: keys that differ from the repository's file, by the variant's name; `of` is the
            name of the deployment there, and so of its flow; `pool` its work pool.
    """
    content = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    known = {one["name"]: one for one in content["deployments"]}
    variants, flows = [], {}
    for name, changes in wanted.items():
        more = dict(changes)
        flows[name] = more.pop("of")
        kept = copy.deepcopy(known[flows[name]])
        pool = {**kept["work_pool"], "name": more.pop("pool", POOL)}
        daily = [{"slug": "daily", "interval": 86_400, "timezone": "Etc/UTC"}]
        own = {"name": name, "schedules": daily, "paused": True, "work_pool": pool, **more}
        variants.append({**kept, **own})
    content["deployments"] = variants
    (folder / "prefect.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    server.prefect("--no-prompt", "deploy", "--all", cwd=folder)
    return {
        name: Deployment(server, server.call(f"/deployments/name/{flow}/{name}")["id"])
        for name, flow in flows.items()
    }


def everything(warehouse: Warehouse) -> dict[str, str]:
    """Return a digest of each table that must be as if nothing had been disturbed."""
    return content(warehouse, "identity")


def states(server: PrefectServer, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the states a run has been in, oldest first."""
    found: list[dict[str, Any]] = server.call(f"/flow_run_states/?flow_run_id={run['id']}")
    return sorted(found, key=lambda state: str(state["timestamp"]))


def wait_for_second_try(server: PrefectServer, run: dict[str, Any]) -> None:
    """Wait until a run that had crashed runs again."""

    def again() -> bool:
        now = server.call(f"/flow_runs/{run['id']}")
        return bool(now["run_count"] == 2 and now["state_type"] == "RUNNING")

    wait_for(again, seconds=_SECONDS, what=f"the second try of {run['name']}")


def wait_for_state(
    server: PrefectServer, run: dict[str, Any], *names: str, seconds: float = _SECONDS
) -> dict[str, Any]:
    """Wait until a run is in one of these states; return the run."""

    def reached() -> dict[str, Any] | None:
        now: dict[str, Any] = server.call(f"/flow_runs/{run['id']}")
        return now if now["state_name"] in names else None

    try:
        found: dict[str, Any] = wait_for(reached, seconds=seconds, what=f"{run['name']}: {names}")
    except AssertionError as error:
        seen = [(state["name"], state["message"]) for state in states(server, run)]
        raise AssertionError(f"{error}; was {seen}\n{server.logs(run)[-3000:]}") from None
    return found


def wait_until(warehouse: Warehouse, condition: str) -> None:
    """Wait until a condition holds in the warehouse."""
    deadline = time.monotonic() + _SECONDS
    with warehouse.connect(autocommit=True) as connection:
        while not holds(connection, condition):
            assert time.monotonic() < deadline, condition
            time.sleep(0.02)


def processes_of(run: dict[str, Any]) -> dict[int, str]:
    """Return the command lines of the processes of a run, by their id: dbt's are among them."""
    wanted = f"PREFECT__FLOW_RUN_ID={run['id']}".encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if line:  # none: it is dead and waits for its parent
                    found[int(process.name)] = line
    return found


def kill_run(run: dict[str, Any]) -> int:
    """Send SIGKILL to the processes of a run, except to dbt: it has to notice by itself."""
    ours = [pid for pid, line in processes_of(run).items() if "dbt_process" not in line]
    for pid in ours:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(ours)


def slots_taken(server: PrefectServer, name: str) -> int:
    """Return how many slots of a concurrency limit are taken."""
    for limit in server.call("/v2/concurrency_limits/filter", {}):
        if limit["name"] == name:
            return int(limit["active_slots"])
    raise AssertionError(f"no limit {name}")


def take_slot(server: PrefectServer, run: dict[str, Any]) -> None:
    """Set a run to Pending, as a worker does before it has a process or a pod made."""
    body = {"state": {"type": "PENDING", "name": "Pending"}}
    answer = server.call(f"/flow_runs/{run['id']}/set_state", body)
    assert answer["status"] == "ACCEPT", answer


def execute(
    server: PrefectServer, run: dict[str, Any], log: Path, **variables: str
) -> subprocess.Popen[bytes]:
    """Start the program that a pod of a run consists of."""
    environment = server.environment(PREFECT__FLOW_RUN_ID=run["id"], **variables)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "prefect", "flow-run", "execute"],
            cwd=log.parent, env=environment, stdin=subprocess.DEVNULL,
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip


def evict(
    server: PrefectServer, run: dict[str, Any], warehouse: Warehouse, when: str, folder: Path,
    *, home: Path, **variables: str,
) -> float:  # fmt: skip
    """Run a pod until a condition holds, tell it to go, and take its disk away.

    Returns:
        The seconds until all of its processes were gone.
    """
    take_slot(server, run)
    log = folder / "pod.log"
    variables["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] = "reschedule"
    pod = execute(server, run, log, **variables)
    wait_until(warehouse, when)
    told = time.monotonic()
    pod.send_signal(signal.SIGTERM)
    assert pod.wait(GRACE) == 0, log.read_text(encoding="utf-8")[-3000:]
    wait_for(lambda: not processes_of(run), seconds=GRACE, what="the end of all of it")
    seconds = time.monotonic() - told
    wait_for_state(server, run, "AwaitingRetry", seconds=10)
    shutil.rmtree(home, ignore_errors=True)  # a sync makes none
    return seconds


@contextmanager
def held(warehouse: Warehouse, lock: str) -> Iterator[None]:
    """Hold one of the locks of ingestion, so that a sync waits at that place."""
    with open_locks(warehouse) as locks:
        assert locks.take(lock, seconds=10)
        yield


WAITS_FOR_A_LOCK = """
    select count(*) > 0 from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'
"""


def no_more_than(connections: int) -> str:
    """Return the condition that so many connections of runs are open, whatever they do."""
    return f"""
        select count(*) <= {connections} from pg_stat_activity
        where datname = current_database() and application_name in ('crmhouse', 'crmhouse-dbt')
            and pid <> pg_backend_pid()
    """
