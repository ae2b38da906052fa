"""Prefect's real worker and observer, on a Kubernetes that grants the chart's Role and no more.

Every pod is a real process; all of them start at once, and each then has its own fate.
"""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from chart import rendered
from flow_jobs import as_stored
from hardening import complaints, pods_of
from kubernetes_cluster import MISSING_IMAGE
from kubernetes_schemas import VERSIONS, faults
from prefect_server import CREDENTIALS, wait_for
from release_rules import WORKER_MAY, granted

if TYPE_CHECKING:
    from conftest import Platform

    from crmhouse.warehouse import Warehouse

pytestmark = [pytest.mark.xdist_group("kubernetes-worker"), pytest.mark.timeout(900)]

WAITING = ("out-of-memory", "evicted", "dies-unseen")
NO_IMAGE = ("deleted", "cancelled")


@dataclass(frozen=True)
class Story:
    """What became of each run, by its name.

    Attributes:
        runs: in their last state.
        logs: of those that ended before their time.
        unseen: the run that died while there was no worker, as it was then.
    """

    runs: dict[str, dict[str, Any]]
    logs: dict[str, str]
    unseen: dict[str, Any]


@pytest.fixture(scope="module")
def story(platform: Platform) -> Story:
    cluster = platform.cluster
    ids = {name: platform.wait(name) for name in WAITING}
    ids["sync"] = platform.start("sync-source/reference")
    for name in NO_IMAGE:
        ids[name] = platform.wait(name, job_variables={"image": MISSING_IMAGE})
    ids["too-early"] = platform.wait("too-early")
    # Its process lives, and has not yet said so to Prefect.
    wait_for(lambda: cluster.phase_of(ids["too-early"]) == "Running", seconds=240, what="the pod")
    cluster.run_out_of_memory(ids["too-early"])
    for name in WAITING:
        platform.until_started(name)
    with urllib.request.urlopen(platform.health, timeout=30) as answer:  # noqa: S310  # loopback
        assert answer.status == 200

    cluster.run_out_of_memory(ids["out-of-memory"])
    cluster.evict(ids["evicted"])
    logs = {name: platform.until_log(ids[name], "Image pull failed") for name in NO_IMAGE}
    cluster.delete_job(ids["deleted"])
    platform.server.call(
        f"/flow_runs/{ids['cancelled']}/set_state", {"state": {"type": "CANCELLING"}}
    )
    for name in ids.keys() - {"evicted", "dies-unseen"}:
        platform.until(ids[name])
    logs["out-of-memory"] = platform.until_log(ids["out-of-memory"], "out-of-memory")
    wait_for(
        lambda: platform.run(ids["evicted"])["run_count"] == 2, seconds=240, what="the second pod"
    )

    platform.worker.kill()
    cluster.run_out_of_memory(ids["dies-unseen"])
    platform.let_go("evicted")
    platform.until(ids["evicted"])
    unseen = platform.run(ids["dies-unseen"])
    platform.worker.start()
    platform.until(ids["dies-unseen"])
    return Story({name: platform.run(run_id) for name, run_id in ids.items()}, logs, unseen)


def test_who_waits_for_the_server_with_a_wrong_password_gives_up(platform: Platform) -> None:
    worker = next(pod for pod in pods_of(rendered()) if pod.component == "worker")
    done = platform.cluster.run(
        worker.spec["initContainers"][0],
        PREFECT_API_URL=platform.server.url,
        PREFECT_API_AUTH_STRING="operator:wrong",
    )
    assert done.returncode == 1
    assert "HTTP 401" in done.stderr
    assert "wrong" not in done.stderr


def test_a_sync_in_a_pod_lands_what_the_source_has(
    story: Story, module_warehouse: Warehouse
) -> None:
    assert story.runs["sync"]["state_type"] == "COMPLETED"
    with module_warehouse.connect() as connection:
        row = connection.execute("select count(*) from raw_reference.fx_rates_monthly").fetchone()
    assert row == (3,)


def test_a_pod_out_of_memory_is_a_crashed_run_with_a_diagnosis(
    story: Story, platform: Platform
) -> None:
    run = story.runs["out-of-memory"]
    assert run["state_type"] == "CRASHED"
    assert "Resolution" in story.logs["out-of-memory"]
    related = {"related": {"id": [f"prefect.flow-run.{run['id']}"]}}
    events = platform.server.call(
        "/events/filter",
        {"filter": {**related, "event": {"name": ["prefect.kubernetes.pod.evicted"]}}},
    )["events"]
    assert events[0]["resource"]["kubernetes.diagnosis"] == "OOMKilled"


def test_a_pod_that_dies_before_its_run_has_begun_is_found_too(story: Story) -> None:
    assert story.runs["too-early"]["state_type"] == "CRASHED"


def test_an_evicted_run_goes_on_in_a_second_pod_which_does_not_need_the_worker(
    story: Story, platform: Platform
) -> None:
    run = story.runs["evicted"]
    assert run["state_type"] == "COMPLETED"
    assert run["run_count"] == 2

    def ends() -> list[tuple[int, int]]:
        states = [job["status"] for job in platform.cluster.jobs_of(run["id"])]
        return [(state.get("failed", 0), state.get("succeeded", 0)) for state in states]

    # The run says that it is completed before its pod has ended.
    wait_for(lambda: all(map(any, ends())), seconds=120, what="the end of its pods")
    assert ends() == [(1, 0), (0, 1)]


def test_an_image_that_is_not_there_is_told(story: Story) -> None:
    for name in NO_IMAGE:
        assert "Verify the image name" in story.logs[name]


def test_a_deleted_job_is_a_crashed_run(story: Story) -> None:
    assert story.runs["deleted"]["state_type"] == "CRASHED"
    assert "deleted" in story.runs["deleted"]["state"]["message"]


def test_a_run_that_is_cancelled_before_it_begins_takes_its_job_with_it(
    story: Story, platform: Platform
) -> None:
    run = story.runs["cancelled"]
    assert run["state_type"] == "CANCELLED"
    assert platform.cluster.jobs_of(run["id"]) == []


def test_a_worker_that_is_back_finds_what_died_meanwhile(story: Story) -> None:
    assert story.unseen["state_type"] == "RUNNING"
    assert story.runs["dies-unseen"]["state_type"] == "CRASHED"


def test_the_worker_asks_for_exactly_what_the_chart_grants(
    story: Story,  # noqa: ARG001  # it must have happened
    platform: Platform,
) -> None:
    asked: dict[tuple[str, str], set[str]] = {}
    for group, resource, verb in platform.cluster.asked:
        asked.setdefault((group, resource), set()).add(verb)
    assert asked == granted(rendered()) == WORKER_MAY
    assert platform.cluster.refused == set()


def test_the_jobs_that_it_makes_are_hardened_and_hold_no_secret(
    story: Story,  # noqa: ARG001
    platform: Platform,
) -> None:
    # All of them, the sync, the one that dies too early, and the second pod of the evicted one.
    assert len(platform.cluster.manifests) == len(WAITING) + len(NO_IMAGE) + 3
    for sent in platform.cluster.manifests:
        job = as_stored(sent)
        assert faults(job, VERSIONS[0]) + faults(job, VERSIONS[-1]) == []
        assert complaints(pods_of([job])) == []
        assert CREDENTIALS not in str(sent)
        container = job["spec"]["template"]["spec"]["containers"][0]
        references = {
            entry["name"]: entry["valueFrom"]["secretKeyRef"]["name"]
            for entry in container["env"]
            if "valueFrom" in entry
        }
        assert references == {
            "CRMHOUSE_WAREHOUSE_URL": "crmhouse-warehouse",
            "PREFECT_API_AUTH_STRING": "crmhouse-prefect-auth",
        }
